// Whoever is signed out elsewhere sees it here within a second or two. The page
// does without this script: the next click tells.
const shown = document.body.dataset.session ?? "";
while (shown) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const session = await fetch("/state").then((answer) => (answer.ok ? answer.text() : shown), () => shown);
  if (session !== shown) location.reload();
}
