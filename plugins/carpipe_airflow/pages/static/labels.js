// Labels by key press. What was pressed is kept in this browser, photo by photo, until the server has it:
// a closed tab, a lost connection or an expired login loses nothing.
"use strict";

const desk = document.getElementById("desk");
const { base, ask, user } = desk.dataset;
const may = Boolean(desk.dataset.may);
const clock = Date.parse(desk.dataset.now) - Date.now(); // the server's clock counts
const element = (id) => document.getElementById(id);
const [grid, how, count] = ["grid", "how", "count"].map(element);

// Words by key, such as "auto" by "a".
const words = new Map([...document.querySelectorAll("[data-word]")].map((button) => [button.dataset.key, button.dataset.word]));
const keyOf = (word) => [...words].find(([, one]) => one === word)?.[0];

// Where labels that are not saved wait, by question: both are saved wherever the page is open.
const WAITING = { cars: `carpipe-label:${user}:`, views: `carpipe-view:${user}:` };
const UNSAVED = WAITING[ask];
const REFUSED = `carpipe-refused:${user}:`;
const ENOUGH = 24; // unsaved labels that are sent at once
const PAUSE = 3000; // ms without a key press after which fewer are sent
const MOST = 100; // labels in a request: under the 64 kB that a closing page may send
const memory = new Map(); // where the browser keeps nothing

const store = {
  set(name, value) {
    try {
      localStorage.setItem(name, value);
      memory.delete(name); // an older value, from when there was no room
    } catch {
      memory.set(name, value);
    }
  },
  get: (name) => memory.get(name) ?? read(() => localStorage.getItem(name), null),
  remove(name) {
    memory.delete(name);
    read(() => localStorage.removeItem(name));
  },
  names: (prefix) =>
    [...new Set([...memory.keys(), ...read(() => Object.keys(localStorage), [])])].filter((name) => name.startsWith(prefix)),
};

function read(ask, otherwise) {
  try {
    return ask();
  } catch {
    return otherwise;
  }
}

// ---- saving ----

let sending = []; // names of what is on its way
let wait = 0; // ms until a failed save is tried again
let timer;

const unsaved = () => Object.values(WAITING).flatMap(store.names);

function schedule() {
  clearTimeout(timer);
  timer = setTimeout(save, wait || (unsaved().length >= ENOUGH ? 0 : PAUSE));
  show();
}

async function save() {
  clearTimeout(timer);
  if (sending.length || !may) return;
  const asked = Object.keys(WAITING).find((one) => store.names(WAITING[one]).length);
  if (!asked) return show();
  const sent = store.names(WAITING[asked]).slice(0, MOST).map((name) => [name, store.get(name)]).filter(([, value]) => value);
  if (!sent.length) return show();
  sending = sent.map(([name]) => name);
  show();
  try {
    const answer = await post(asked, sent.map(([, value]) => JSON.parse(value)));
    for (const [name, value] of sent) settle(name, value, answer.refused);
    if (asked === ask) progress(answer.progress);
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
  const { key } = JSON.parse(value);
  if (refused[key]) store.set(REFUSED + key, refused[key]);
  if (store.get(name) === value) store.remove(name);
}

function fail(text) {
  const waiting = unsaved().length;
  element("failure").textContent = `${waiting} ${waiting === 1 ? "label is" : "labels are"} not saved. ${text}`;
  element("failure").hidden = false;
}

// ---- pages of photos ----

const pages = []; // of {photos: [{key, url}], left}
const given = new Map(); // label by photo key
const done = []; // what undo takes back: {page, place, key, before}
let page = -1;
let place = 0;
let after = 0;
let ahead; // the page that is being fetched
let draw = 0; // rises when other photos are asked for

function fetchPage() {
  const mine = draw;
  const query = new URLSearchParams({ ask, how: how.value, after, count: count.value });
  ahead = fetch(`${base}/labels/batch?${query}`, { credentials: "same-origin", headers: { Accept: "application/json" } })
    .then(async (answer) => {
      if (!answer.ok) throw new Error(answer.status === 401 ? "You are logged out: log in to Airflow, and reload." : await answer.text());
      return answer.json();
    })
    .then((found) => {
      if (mine !== draw) return null;
      after = found.after;
      progress(found.progress);
      // What was labelled here and is not saved yet, the server does not know of.
      found.photos = found.photos.filter((photo) => !given.has(photo.key) && !store.get(UNSAVED + photo.key));
      for (const photo of found.photos) new Image().src = photo.url; // prefetch
      return found;
    });
  ahead.catch(() => {}); // said when the page is turned to
}

async function turn(to) {
  if (to < 0) return;
  const mine = draw;
  try {
    while (to >= pages.length) {
      if (!ahead) fetchPage();
      const found = await ahead;
      if (mine !== draw) return;
      if (!found) continue;
      ahead = undefined;
      if (!found.photos.length && found.left > 0) continue;
      if (!found.photos.length) return say("That was all that was drawn for you. Reload the page for more, or come back when there are new photos.");
      if (to >= pages.length) pages.push(found);
    }
  } catch (error) {
    ahead = undefined;
    return say(error.message || "Airflow cannot be reached; try again.");
  }
  element("said").hidden = true;
  page = to;
  place = Math.max(0, pages[page].photos.findIndex((photo) => !given.has(photo.key)));
  paint();
  if (page === pages.length - 1 && !ahead) fetchPage();
}

function restart() {
  draw += 1;
  pages.length = done.length = 0;
  [page, place, after, ahead] = [-1, 0, 0, undefined];
  grid.replaceChildren();
  turn(0);
}

function paint() {
  grid.replaceChildren(...pages[page].photos.map(tile));
  select(place);
}

function tile(photo, index) {
  const figure = document.createElement("figure");
  figure.className = "tile";
  figure.setAttribute("role", "option");
  const image = new Image();
  image.alt = "cannot be shown";
  image.src = photo.url;
  const mark = document.createElement("span");
  mark.className = "mark";
  const caption = document.createElement("figcaption");
  caption.textContent = photo.key;
  caption.title = photo.key;
  figure.append(image, mark, caption);
  figure.addEventListener("click", () => (index === place ? enlarge() : select(index)));
  dress(figure, given.get(photo.key));
  return figure;
}

function dress(figure, label) {
  figure.classList.toggle("auto", Boolean(label) && label !== "no_auto");
  figure.classList.toggle("no_auto", label === "no_auto");
  figure.querySelector(".mark").textContent = !label ? "" : ask === "views" ? `${keyOf(label)} ${label}` : label;
  figure.querySelector(".mark").hidden = !label;
}

function select(to) {
  place = Math.min(Math.max(to, 0), grid.children.length - 1);
  [...grid.children].forEach((figure, index) => figure.setAttribute("aria-selected", String(index === place)));
  grid.children[place]?.scrollIntoView({ block: "nearest" });
}

function enlarge() {
  grid.classList.toggle("large");
  select(place);
}

// ---- labelling ----

function label(value) {
  const photo = pages[page]?.photos[place];
  if (!photo || !may) return;
  element("said").hidden = true;
  done.push({ page, place, key: photo.key, before: given.get(photo.key) });
  put(photo.key, value);
  dress(grid.children[place], value);
  const open = pages[page].photos.findIndex((one, index) => index > place && !given.has(one.key));
  const anywhere = pages[page].photos.findIndex((one) => !given.has(one.key));
  if (open >= 0 || anywhere >= 0) select(open >= 0 ? open : anywhere);
  else turn(page + 1);
}

function put(key, value) {
  given.set(key, value);
  store.set(UNSAVED + key, JSON.stringify({ key, label: value, at: new Date(Date.now() + clock).toISOString() }));
  schedule();
}

function rest() {
  if (!pages[page] || !may) return;
  for (const [index, photo] of pages[page].photos.entries()) {
    if (given.has(photo.key)) continue;
    done.push({ page, place: index, key: photo.key, before: undefined });
    put(photo.key, "auto");
  }
  turn(page + 1);
}

// A label that the server has stays in the label set: then the photo is shown again, to be given another.
function undo() {
  const last = done.pop();
  if (!last) return;
  const name = UNSAVED + last.key;
  const kept = !store.get(name) || sending.includes(name);
  if (last.before) put(last.key, last.before);
  else if (!kept) {
    given.delete(last.key);
    store.remove(name);
  }
  if (last.page !== page) page = last.page;
  place = last.place;
  paint();
  if (kept && !last.before) say(`This photo was already saved as ${given.get(last.key)}. Another key overrules that.`);
  else element("said").hidden = true;
  show();
}

// ---- what is shown ----

function say(text) {
  element("said").textContent = text;
  element("said").hidden = false;
}

function progress(found) {
  const number = (value) => value.toLocaleString("en-GB");
  const counts = Object.entries(found.by_label);
  for (const [word, value] of ask === "views" ? counts : []) document.querySelector(`[data-count="${word}"]`).textContent = number(value);
  const labels = counts.map(([name, value]) => `${number(value)} ${name}`).join(", ");
  const said = ask === "views" ? "have a view" : `are labelled (${labels})`;
  element("progress").textContent = `${number(found.labelled)} photos ${said}, ${number(found.mine)} of them by you.`;
}

function show() {
  const waiting = unsaved().length;
  element("state").textContent = sending.length ? "saving ..." : waiting ? `${waiting} not saved yet` : "all saved";
  const refused = store.names(REFUSED);
  element("refused").hidden = !refused.length;
  if (refused.length) showRefused(refused);
}

function showRefused(names) {
  const list = document.createElement("ul");
  for (const name of names) {
    const line = document.createElement("li");
    line.textContent = `${name.slice(REFUSED.length)}: ${store.get(name)}`;
    list.append(line);
  }
  const seen = document.createElement("button");
  seen.className = "button";
  seen.textContent = "I have seen this";
  seen.addEventListener("click", () => {
    names.forEach(store.remove);
    show();
  });
  element("refused").replaceChildren("These labels cannot be saved:", list, seen);
}

// ---- keys ----

const columns = () => [...grid.children].filter((figure) => figure.offsetTop === grid.children[0].offsetTop).length || 1;
const KEYS = {
  ArrowLeft: () => select(place - 1),
  ArrowRight: () => select(place + 1),
  ArrowUp: () => select(place - columns()),
  ArrowDown: () => select(place + columns()),
  PageDown: () => turn(page + 1),
  PageUp: () => turn(page - 1),
  " ": enlarge,
  u: undo,
  ...Object.fromEntries([...words].map(([key, word]) => [key, () => label(word)])),
  ...(ask === "cars" ? { A: rest } : {}),
};

document.addEventListener("keydown", (event) => {
  if (event.target.closest("select, input") || event.altKey || event.metaKey && event.key !== "z") return;
  const back = (event.ctrlKey || event.metaKey) && event.key === "z";
  if (event.ctrlKey && !back) return;
  const act = back ? undo : KEYS[event.key] ?? (event.shiftKey ? undefined : KEYS[event.key.toLowerCase()]);
  if (!act || event.key === " " && event.target.closest("button")) return;
  event.preventDefault();
  act();
});
function onClick(button, act, changes) {
  button.disabled = changes && !may;
  button.addEventListener("click", () => {
    act();
    grid.focus();
  });
}
for (const button of document.querySelectorAll("[data-word]")) onClick(button, KEYS[button.dataset.key], true);
onClick(element("do-undo"), undo, true);
if (element("do-rest")) onClick(element("do-rest"), rest, true);
onClick(element("do-back"), KEYS.PageUp, false);
onClick(element("do-next"), KEYS.PageDown, false);
for (const choice of [how, count]) {
  choice.addEventListener("change", () => {
    grid.focus();
    restart();
  });
}
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && save());
window.addEventListener("pagehide", save);
window.addEventListener("online", save);
window.addEventListener("beforeunload", (event) => memory.size && event.preventDefault());

show();
save().then(restart); // what an earlier visit left is saved before photos are drawn, else they would come again
window.focus();
grid.focus();
