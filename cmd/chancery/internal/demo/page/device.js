// One device: signs in with the browser client and calls the API again and
// again, so that it can be seen when a token stops to count.
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
const { Chancery, ChanceryError } = await import(`${meta("issuer")}/assets/chancery.js`);

const device = meta("device");
// A refresh is left to the API's 401, so that it can be watched.
const session = new Chancery({ issuer: meta("issuer"), clientId: meta("client-id"), name: device, refreshAhead: -3600 });
const stage = new BroadcastChannel("demo");
const element = (id) => document.getElementById(id);
const items = ["coffee", "an umbrella", "two tickets", "a bicycle bell", "tea for two", "a map of the stars"];

const every = 150; // milliseconds between two calls
const shown = 60; // calls in the strip
let calling = true;
let count = 0;
let lifetime = 60_000;
let lastSession = "";

function say(text, kind = "") {
  const line = document.createElement("li");
  line.className = kind;
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString([], { hour12: false });
  line.append(time, ` ${text}`);
  element("log").prepend(line);
  while (element("log").children.length > 30) element("log").lastChild.remove();
}

function draw() {
  const inside = session.signedIn;
  element("sign-in").hidden = inside;
  element("inside").hidden = !inside;
  element("state").textContent = inside ? "signed in" : "signed out";
  element("state").className = inside ? "badge good" : "badge";
}

function tick(kind) {
  const mark = document.createElement("i");
  mark.className = kind;
  element("strip").append(mark);
  while (element("strip").children.length > shown) element("strip").firstChild.remove();
  element("calls").textContent = `${++count}`;
}

function countDown() {
  const rest = session.expiresAt ? session.expiresAt - Date.now() : 0;
  element("seconds").textContent = session.expiresAt ? `${Math.max(0, Math.ceil(rest / 1000))} s` : "–";
  element("rest").style.width = `${Math.max(0, Math.min(100, (100 * rest) / lifetime))}%`;
}

session.addEventListener("change", ({ detail }) => {
  const reasons = { revoked: "the session was ended", reuse_detected: "a stolen token was detected" };
  if (detail.cause === "logout") {
    say("You signed out.");
  } else if (detail.kind === "signed-out") {
    say(`The API answers 401, and a refresh finds that ${reasons[detail.cause] ?? "the session is over"}.`, "bad");
  } else {
    lifetime = session.expiresAt - Date.now();
    say(detail.kind === "login" ? "Signed in." : `Refreshed silently${detail.cause ? ` (${detail.cause})` : ""}.`, detail.kind === "login" ? "good" : "renewed");
    if (detail.kind === "refresh") tick("renewed");
  }
  draw();
});

element("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  element("problem").textContent = "";
  const form = new FormData(event.target);
  try {
    await session.login(form.get("username"), form.get("password"));
    setCalling(true);
  } catch (error) {
    if (!(error instanceof ChanceryError)) throw error;
    element("problem").textContent = error.message;
  }
});

element("sign-out").addEventListener("click", () => session.logout().catch((error) => say(error.message, "bad")));
element("toggle").addEventListener("click", () => setCalling(!calling));
element("order").addEventListener("click", async () => {
  const item = items[Math.floor(Math.random() * items.length)];
  const done = await call("/api/orders", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ item }) });
  if (done) say(`Ordered ${item}.`);
});

function setCalling(on) {
  calling = on;
  element("toggle").textContent = on ? "Pause calls" : "Resume calls";
  element("toggle").setAttribute("aria-pressed", String(on));
}

/** Calls the API, shows what came of it, and returns whether it went well. */
async function call(path, init) {
  let response;
  try {
    response = await session.fetch(path, init);
  } catch (error) {
    if (error instanceof ChanceryError && error.code === "signed_out") return false;
    tick("lost");
    say(`No answer: ${error.message}`, "bad");
    return false;
  }
  tick(response.ok ? "good" : "bad");
  if (response.status === 401) {
    stage.postMessage({ refused: lastSession, at: Date.now() });
  }
  if (response.ok) show(await response.json());
  return response.ok;
}

function show(answer) {
  if (answer.session !== lastSession) {
    lastSession = answer.session;
    stage.postMessage({ session: lastSession, device });
  }
  element("orders").replaceChildren(...answer.orders.map((order) => {
    const line = document.createElement("li");
    line.textContent = `#${order.number} ${order.item}`;
    return line;
  }));
}

stage.addEventListener("message", ({ data }) => {
  if (data === "who" && lastSession) stage.postMessage({ session: lastSession, device });
});

await session.ready;
draw();
say(session.signedIn ? "Still signed in from before." : "Waiting for someone to sign in.");
setInterval(countDown, 200);
for (;;) {
  if (calling && session.signedIn) await call("/api/orders");
  await new Promise((resolve) => setTimeout(resolve, every));
}
