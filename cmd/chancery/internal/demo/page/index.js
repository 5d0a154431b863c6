// The stage: the admin's view of the sessions, and the clock that runs from the
// click until the API refuses.
const token = document.querySelector('meta[name="demo-token"]').content;
const stage = new BroadcastChannel("demo");
const devices = new Map();
const ended = new Map(); // when a session was ended, until its device is refused
const list = document.getElementById("sessions");
const result = document.getElementById("result");

async function ask(path, body) {
  const response = await fetch(path, {
    method: body ? "POST" : "GET", headers: { "X-Demo-Token": token, "Content-Type": "application/json" }, body: body && JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function show(strong, text) {
  const number = document.createElement("strong");
  number.textContent = strong;
  result.replaceChildren(number, ` ${text}`);
}

const nameOf = (session) => session.client ?? devices.get(session.id) ?? "a device";

async function end(session, button) {
  button.disabled = true;
  const name = nameOf(session).toLowerCase();
  if (session.client) {
    show("✓", `The server tells the ${name} itself, by a signed logout token.`);
  } else {
    ended.set(session.id, Date.now());
    show("…", `until the API refuses the ${name}`);
  }
  try {
    await ask("/admin/revoke", { id: session.id });
  } catch (error) {
    ended.delete(session.id);
    show("✗", error.message);
  }
  await draw();
}

stage.addEventListener("message", ({ data }) => {
  if (data.session) {
    devices.set(data.session, data.device);
    draw();
  }
  if (data.refused && ended.has(data.refused)) {
    const took = data.at - ended.get(data.refused);
    ended.delete(data.refused);
    result.dataset.took = took;
    show(`${took} ms`, `from the click until the API refused the ${(devices.get(data.refused) ?? "device").toLowerCase()}, whose token had not expired.`);
  }
});

function row(session) {
  const line = document.createElement("div");
  line.className = "session";
  line.dataset.id = session.id;
  const text = document.createElement("div");
  const name = document.createElement("b");
  name.textContent = nameOf(session);
  const since = document.createElement("span");
  since.className = "quiet";
  const times = ["not refreshed yet", "refreshed once", "refreshed twice"][session.refreshes] ?? `refreshed ${session.refreshes} times`;
  since.textContent = `since ${new Date(session.created_at).toLocaleTimeString([], { hour12: false })}, ${times}`;
  text.append(name, since);
  const button = document.createElement("button");
  button.className = "danger";
  button.textContent = "End session";
  button.addEventListener("click", () => end(session, button));
  line.append(text, button);
  return line;
}

let last = "";
async function draw() {
  const sessions = await ask("/admin/sessions").catch(() => null);
  if (!sessions) {
    const over = document.createElement("p");
    over.className = "empty";
    over.textContent = "The demo has ended.";
    list.replaceChildren(over);
    last = "";
    return;
  }
  const now = JSON.stringify([sessions, ...devices]);
  if (now === last) return; // a button must not vanish under the pointer
  last = now;
  const empty = document.createElement("p");
  empty.className = "empty";
  empty.textContent = "Nobody is signed in.";
  list.replaceChildren(...(sessions.length ? sessions.map(row) : [empty]));
}

stage.postMessage("who");
for (;;) {
  await draw();
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
