// Pages of photos: fetched one ahead, turned to, and what is known of each photo here.
import { tab } from "./labels-kept.js";
import { ask, askFor, element, hush, say, user } from "./labels-page.js";
import { waitingFor } from "./labels-saving.js";

const [how, count, only] = ["how", "count", "only"].map(element);
const SKIPPED = `carpipe-skipped:${ask}:${user}`;

export const pages = []; // of {photos: [{key, url, word, p, copies}], left}
export const given = new Map(); // {label, at} by photo key
export const skipped = new Set(JSON.parse(tab.get(SKIPPED) ?? "[]"));
export const shown = { page: -1 };

let after = 0; // or, of one's own labels, the place of the last
let ahead; // the page that is being fetched
let draw = 0; // rises when other photos are asked for
let painted = () => {};
let told = () => {};

export const onTurn = (paint) => (painted = paint);
export const onCounts = (tell) => (told = tell);
export const photos = () => pages[shown.page]?.photos ?? [];
export const mine = () => how.value === "mine";
export const isOpen = (photo) => !given.has(photo.key) && !skipped.has(photo.key);

export function skip(chosen, away) {
  for (const { key } of chosen) away ? skipped.add(key) : skipped.delete(key);
  tab.set(SKIPPED, JSON.stringify([...skipped]));
}

function fetchNext() {
  if (mine()) return askFor("mine", { label: only.value, past: after || "", count: count.value });
  return askFor("batch", { how: how.value, after, count: count.value });
}

function fetchPage() {
  const own = draw;
  ahead = fetchNext().then((found) => {
    if (own !== draw) return null;
    after = found.past ?? found.after;
    told(found.progress);
    found.photos = found.photos.filter(mine() ? takeOver : isNew);
    for (const photo of found.photos) new Image().src = photo.url; // prefetch
    return found;
  });
  ahead.catch(() => {}); // said when the page is turned to
}

// What was labelled here and is not saved yet, the server does not know of.
const isNew = (photo) => isOpen(photo) && !waitingFor(photo.key);

function takeOver(photo) {
  const waiting = waitingFor(photo.key);
  if (waiting && !waiting.label) return false;
  if (!given.has(photo.key)) given.set(photo.key, { label: waiting?.label ?? photo.label, at: waiting?.at ?? photo.at });
  return true;
}

export async function turn(to) {
  if (to < 0) return;
  const own = draw;
  try {
    while (to >= pages.length) {
      if (!ahead) fetchPage();
      const found = await ahead;
      if (own !== draw) return;
      if (!found) continue;
      ahead = undefined;
      if (!found.photos.length && found.left > 0) continue;
      if (!found.photos.length) return say(nothing());
      if (to >= pages.length) pages.push(found);
    }
  } catch (error) {
    ahead = undefined;
    return say(error.message);
  }
  hush();
  shown.page = to;
  painted();
  if (to === pages.length - 1 && !ahead) fetchPage();
}

function nothing() {
  if (mine()) return pages.length ? "That was all." : "You have labelled nothing of that kind yet.";
  const later = skipped.size ? ` You have skipped ${skipped.size}: they come again when you open the page in a new tab.` : "";
  return `That was all that was drawn for you. Reload the page for more, or come back when there are new photos.${later}`;
}

// A page of photos that are open again, before the one that is shown.
export function insert(again, left) {
  const at = Math.max(0, shown.page);
  pages.splice(at, 0, { photos: again, left });
  shown.page = at;
  painted();
}

export function restart() {
  draw += 1;
  pages.length = 0;
  [shown.page, after, ahead] = [-1, 0, undefined];
  if (mine()) given.clear();
  painted();
  return turn(0);
}
