// What was pressed is kept in this browser, photo by photo, until the server has it: a closed tab, a lost connection
// or an expired login loses nothing. What is taken back waits in the same place.
import { local } from "./labels-kept.js";
import { ask, base, counted, element, make, may, user } from "./labels-page.js";

// Where labels that are not saved wait, by question: both are saved wherever the page is open.
const WAITING = { cars: `carpipe-label:${user}:`, views: `carpipe-view:${user}:` };
const UNSAVED = WAITING[ask];
const REFUSED = `carpipe-refused:${user}:`;
const ENOUGH = 24; // unsaved labels that are sent at once
const PAUSE = 3000; // ms without a key press after which fewer are sent
const MOST = 400; // rows in a request; the server takes 500
const MOST_BYTES = 55000; // and a closing page may send 64 kB

let sending = []; // names of what is on its way
let wait = 0; // ms until a failed save is tried again
let timer;
let told = () => {}; // of the server's counts

const unsaved = () => Object.values(WAITING).flatMap(local.names);
const keys = ({ key, copies }) => [key, ...(copies ?? [])];

export const onProgress = (tell) => (told = tell);
export const waitingFor = (key) => JSON.parse(local.get(UNSAVED + key) ?? "null");
// Whether the server may have it: then it can only be overruled, or taken back.
export const mayBeSaved = (key) => !local.get(UNSAVED + key) || sending.includes(UNSAVED + key);

// A taking-back that is not saved yet is kept behind the new label: who takes that back has it again.
export function put({ key, copies }, label, at) {
  const waiting = waitingFor(key);
  const behind = waiting?.taken_back ? waiting : waiting?.behind;
  keep({ key, copies, label, at, ...(behind ? { behind } : {}) });
}

export function takeBack({ key, copies }, given, at) {
  keep({ key, copies, label: "", at, taken_back: given });
}

export function forget(key) {
  const behind = waitingFor(key)?.behind;
  if (behind) return keep(behind);
  local.remove(UNSAVED + key);
  show();
}

function keep(label) {
  local.set(UNSAVED + label.key, JSON.stringify(label));
  schedule();
}

function schedule() {
  clearTimeout(timer);
  timer = setTimeout(save, wait || (unsaved().length >= ENOUGH ? 0 : PAUSE));
  show();
}

export async function save() {
  clearTimeout(timer);
  if (sending.length || !may) return;
  const asked = Object.keys(WAITING).find((one) => local.names(WAITING[one]).length);
  const sent = asked ? enough(local.names(WAITING[asked])) : [];
  if (!sent.length) return show();
  sending = sent.map(([name]) => name);
  show();
  try {
    const answer = await post(asked, sent.flatMap(([, value]) => rows(JSON.parse(value))));
    for (const [name, value] of sent) settle(name, value, answer.refused);
    if (asked === ask) told(answer.progress);
    wait = 0;
    element("failure").hidden = true;
  } catch (error) {
    wait = Math.min(Math.max(2000, 2 * wait), 60000);
    fail(`${error.message} What is not saved stays in this browser; the next try is in ${wait / 1000} s.`);
  } finally {
    sending = [];
    if (unsaved().length) schedule();
    show();
  }
}

// All of it, or as far as one try goes.
export async function saveAll() {
  while (unsaved().length && !wait && may) {
    if (sending.length) await new Promise((done) => setTimeout(done, 50));
    else await save();
  }
}

// A row for each photo that shows the picture.
const rows = ({ copies, behind, ...label }) => [label.key, ...(copies ?? [])].map((key) => ({ ...label, key }));

function enough(names) {
  const chosen = [];
  let [count, bytes] = [0, 0];
  for (const name of names) {
    const value = local.get(name);
    if (!value) continue;
    const more = rows(JSON.parse(value));
    count += more.length;
    bytes += new Blob([JSON.stringify(more)]).size;
    if (chosen.length && (count > MOST || bytes > MOST_BYTES)) break;
    chosen.push([name, value]);
  }
  return chosen;
}

async function post(asked, labels) {
  const body = JSON.stringify({ labels });
  let answer;
  try {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body };
    answer = await fetch(`${base}/labels?ask=${asked}`, { ...options, credentials: "same-origin", keepalive: body.length < 60000 });
  } catch {
    throw new Error("Airflow cannot be reached.");
  }
  if (answer.status === 401) throw new Error("You are logged out: log in to Airflow in another tab.");
  if (!answer.ok) throw new Error(`The labels were not saved (${answer.status}): ${(await answer.text()).slice(0, 300)}.`);
  return answer.json();
}

// Saved, or refused for good; one that was changed meanwhile waits for the next save.
function settle(name, value, refused) {
  for (const key of keys(JSON.parse(value))) if (refused[key]) local.set(REFUSED + key, refused[key]);
  if (local.get(name) === value) local.remove(name);
}

function fail(text) {
  const waiting = unsaved().length;
  element("failure").textContent = `${counted(waiting, "label")} ${waiting === 1 ? "is" : "are"} not saved. ${text}`;
  element("failure").hidden = false;
}

export function show() {
  const waiting = unsaved().length;
  element("state").textContent = sending.length ? "saving ..." : waiting ? `${waiting} not saved yet` : "all saved";
  const refused = local.names(REFUSED);
  element("refused").hidden = !refused.length;
  if (refused.length) showRefused(refused);
}

function showRefused(names) {
  const list = document.createElement("ul");
  list.append(...names.map((name) => make("li", "", `${name.slice(REFUSED.length)}: ${local.get(name)}`)));
  const seen = make("button", "button", "I have seen this");
  seen.addEventListener("click", () => {
    names.forEach(local.remove);
    show();
  });
  element("refused").replaceChildren("These labels cannot be saved:", list, seen);
}

document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save());
window.addEventListener("pagehide", save);
window.addEventListener("online", save);
window.addEventListener("beforeunload", (event) => local.memory.size && event.preventDefault());
