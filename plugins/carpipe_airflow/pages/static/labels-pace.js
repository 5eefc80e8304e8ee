// How many photos are left, how fast they go, and how far the goal is that one has set: a quiet line.
import { local } from "./labels-kept.js";
import { ask, element, grid, number, user } from "./labels-page.js";
import { isOpen, mine, pages, photos, shown } from "./labels-photos.js";

const WINDOW = 5 * 60000; // ms that the pace is of
const GOAL = `carpipe-goal:${ask}:${user}`; // {photos, from}: how many more than one had labelled then
const presses = []; // [time, photos]
const began = Date.now();
let labelled = 0; // by this person, as the server counts
let since = 0; // and here since it has said that

export function record(count) {
  presses.push([Date.now(), count]);
  since += count;
  showPace();
}

export function counts(progress) {
  [labelled, since] = [progress.mine, 0];
  const by = Object.entries(progress.by_label);
  for (const [word, value] of ask === "views" ? by : []) document.querySelector(`[data-count="${word}"]`).textContent = number(value);
  const labels = by.map(([name, value]) => `${number(value)} ${name}`).join(", ");
  const said = ask === "views" ? "have a view" : `are labelled (${labels})`;
  element("progress").textContent = `${number(progress.labelled)} photos ${said}, ${number(progress.mine)} of them by you.`;
  showPace();
}

function perMinute() {
  const from = Math.max(Date.now() - WINDOW, began);
  while (presses.length && presses[0][0] < Date.now() - WINDOW) presses.shift();
  const count = presses.reduce((sum, [, photos]) => sum + photos, 0);
  return Math.max(0, count) / Math.max((Date.now() - from) / 60000, 0.25);
}

export function showPace() {
  const left = (pages[shown.page]?.left ?? 0) + photos().filter(isOpen).length;
  const pace = perMinute();
  const parts = mine() ? [] : [`${number(left)} left to draw`];
  if (pace >= 0.5) parts.push(`${number(Math.round(pace))} photos a minute`);
  element("pace").textContent = parts.join(" · ");
  showGoal(pace);
}

function showGoal(pace) {
  const { photos: goal, from } = JSON.parse(local.get(GOAL) ?? "{}");
  const bar = element("goal-bar");
  bar.hidden = !goal;
  if (!goal) return (element("goal-said").textContent = "");
  const done = Math.min(goal, Math.max(0, labelled + since - from));
  bar.max = goal;
  bar.value = done;
  const end = new Date(Date.now() + ((goal - done) / pace) * 60000).toLocaleTimeString("en-GB", { timeStyle: "short" });
  const when = done >= goal ? ": reached" : pace >= 0.5 ? `, at ${end} if you go on like this` : "";
  element("goal-said").textContent = `${number(done)} of ${number(goal)}${when}`;
}

const field = element("goal");
field.value = JSON.parse(local.get(GOAL) ?? "{}").photos ?? "";
field.addEventListener("change", () => {
  const goal = Math.floor(Number(field.value));
  if (goal > 0) local.set(GOAL, JSON.stringify({ photos: goal, from: labelled + since }));
  else local.remove(GOAL);
  showPace();
});
field.addEventListener("keydown", ({ key }) => key === "Enter" && grid.focus()); // where keys go
setInterval(showPace, 10000);
