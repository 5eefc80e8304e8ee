// The page Labels: keys and buttons, and how its parts are put together.
import "./labels-examples.js";
import { accept, forgetDone, label, pass, rest, undo } from "./labels-acts.js";
import { paint } from "./labels-grid.js";
import { local } from "./labels-kept.js";
import { counts, showPace } from "./labels-pace.js";
import { ask, element, grid, may, say, words } from "./labels-page.js";
import { isOpen, mine, onCounts, onTurn, photos, restart, shown, turn } from "./labels-photos.js";
import { onProgress, save, show } from "./labels-saving.js";
import { onMove, onTap, place, select, SELECTION_KEYS } from "./labels-selection.js";
import { follow, zoom } from "./labels-zoom.js";

const CHOICES = ["how", "count", "only"].map(element);
const CHOSEN = `carpipe-chosen:${ask}:`;

function enlarge() {
  grid.classList.toggle("large");
  select(place());
}

const told = element("told");

function acceptShown() {
  if (told.checked) accept();
  else say("The predictions are hidden: show them before you accept a page.");
}

const ACTS = {
  "do-accept": acceptShown,
  "do-rest": () => rest("auto"),
  "do-rest-no": () => rest("no_auto"),
  "do-skip": pass,
  "do-undo": undo,
  "do-zoom": zoom,
  "do-back": () => turn(shown.page - 1),
  "do-next": () => turn(shown.page + 1),
};
const LOOKS = ["do-zoom", "do-back", "do-next"]; // they change nothing
const KEYS = {
  ...SELECTION_KEYS,
  ...Object.fromEntries([...words].map(([key, word]) => [key, () => label(word)])),
  ...(ask === "cars" ? { "Shift+a": ACTS["do-rest"], "Shift+n": ACTS["do-rest-no"] } : {}),
  Enter: acceptShown,
  s: pass,
  u: undo,
  "Ctrl+z": undo,
  z: zoom,
  " ": enlarge,
  PageDown: ACTS["do-next"],
  PageUp: ACTS["do-back"],
};
// A key that is held down repeats: pages would be accepted that nobody has seen.
const ONCE = ["Enter", "Shift+a", "Shift+n", "u", "z", "Ctrl+z", ...words.keys()];

function nameOf(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.shiftKey ? "Shift+" : ""}${key}`;
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.target.closest("select, input, textarea")) return;
  const name = nameOf(event);
  if ([" ", "Enter"].includes(event.key) && event.target.closest("button, summary, a")) return;
  if (name === "Escape" && element("zoom").open) return; // which it closes
  const act = KEYS[name];
  if (!act) return;
  event.preventDefault();
  if (!event.repeat || !ONCE.includes(name)) act();
});

function onClick(button, act, changes) {
  button.disabled = changes && !may;
  button.addEventListener("click", () => {
    act();
    if (!element("zoom").open) grid.focus();
  });
}
for (const button of document.querySelectorAll("[data-word]")) onClick(button, KEYS[button.dataset.key], true);
for (const [id, act] of Object.entries(ACTS)) if (element(id)) onClick(element(id), act, !LOOKS.includes(id));

function begin() {
  element("only-label").hidden = !mine();
  forgetDone();
  return restart();
}
for (const choice of CHOICES) {
  const kept = local.get(CHOSEN + choice.id);
  if ([...choice.options].some((option) => option.value === kept)) choice.value = kept;
  choice.addEventListener("change", () => {
    local.set(CHOSEN + choice.id, choice.value);
    grid.focus();
    begin();
  });
}
told.checked = local.get(`${CHOSEN}told`) !== "no";
const hideTold = () => grid.classList.toggle("untold", !told.checked);
told.addEventListener("change", () => {
  local.set(`${CHOSEN}told`, told.checked ? "yes" : "no");
  hideTold();
  grid.focus(); // where keys go
});

onTurn(() => {
  paint();
  select(Math.max(0, photos().findIndex(isOpen)));
  showPace();
});
onCounts(counts);
onProgress(counts);
onMove(follow);
onTap(enlarge);
hideTold();
show();
save().then(begin); // what an earlier visit left is saved before photos are drawn, else they would come again
window.focus();
grid.focus();
