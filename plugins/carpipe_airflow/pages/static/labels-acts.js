// Labelling, skipping, and taking back: one press, one act. All photos of an act have its time, so that it can be taken
// back as a whole, today by what is remembered here, and later by that time.
import { allShown, dress, dressAll, tiles } from "./labels-grid.js";
import { askFor, counted, hush, may, now, say } from "./labels-page.js";
import { record } from "./labels-pace.js";
import { given, insert, isOpen, mine, photos, shown, skip, skipped, turn } from "./labels-photos.js";
import { forget, mayBeSaved, put, saveAll, takeBack, waitingFor } from "./labels-saving.js";
import { place, select, selected } from "./labels-selection.js";

const done = []; // {page, place, at, photos: [[photo, what was given before]]}, or with `skipped`
const MOST = 96; // photos of a page
let busy = false;

export const forgetDone = () => (done.length = 0);
const sizeOf = (some) => some.reduce((sum, photo) => sum + 1 + (photo.copies?.length ?? 0), 0);

export function label(word) {
  const places = selected();
  if (!places.length || !may) return;
  give(places.map((index) => [photos()[index], word]));
  places.forEach((index) => dress(tiles()[index], photos()[index]));
  advance(places.at(-1));
}

export function rest(word) {
  const open = photos().filter(isOpen);
  if (!may || !seen()) return;
  if (open.length) give(open.map((photo) => [photo, word]));
  dressAll();
  turn(shown.page + 1);
}

// As the filter predicts. What it has said nothing of stays open.
export function accept() {
  const open = photos().filter(isOpen);
  if (!may || !photos().length || !seen()) return;
  const told = open.filter((photo) => photo.word);
  if (told.length) give(told.map((photo) => [photo, photo.word]));
  dressAll();
  if (told.length === open.length) return turn(shown.page + 1);
  select(photos().findIndex(isOpen));
  say(`The filter has said nothing of ${counted(open.length - told.length, "photo")}: label them by key.`);
}

function seen() {
  if (allShown()) return true;
  say("Some pictures are still on their way. Press again when you have seen them.");
  return false;
}

export function pass() {
  const places = selected();
  const chosen = places.map((index) => photos()[index]).filter(isOpen);
  if (!chosen.length) return;
  done.push({ page: shown.page, place: place(), photos: chosen, skipped: true });
  skip(chosen, true);
  dressAll();
  advance(places.at(-1));
}

function give(pairs) {
  hush();
  const at = now();
  const before = pairs.map(([photo]) => [photo, given.get(photo.key)]);
  done.push({ page: shown.page, place: place(), at, photos: before });
  record(sizeOf(pairs.map(([photo]) => photo)));
  for (const [photo, word] of pairs) {
    if (skipped.has(photo.key)) skip([photo], false);
    given.set(photo.key, { label: word, at });
    put(photo, word, at);
  }
}

function advance(from) {
  if (mine()) return select(from + 1);
  const next = photos().findIndex((photo, index) => index > from && isOpen(photo));
  const anywhere = next >= 0 ? next : photos().findIndex(isOpen);
  if (anywhere >= 0) select(anywhere);
  else turn(shown.page + 1);
}

export async function undo() {
  if (busy || !may) return;
  const last = done.pop();
  if (!last) return undoSaved();
  if (last.skipped) skip(last.photos, false);
  else {
    for (const [photo, before] of last.photos) restore(photo, before, last.at);
    record(-sizeOf(last.photos.map(([photo]) => photo)));
  }
  hush();
  await turn(last.page);
  select(last.place);
}

function restore(photo, before, at) {
  if (before) {
    // Said before, it is nothing new; else it is a change of mind, which is no conflict.
    const said = mayBeSaved(photo.key) ? now() : before.at;
    given.set(photo.key, { label: before.label, at: said });
    return put(photo, before.label, said);
  }
  given.delete(photo.key);
  if (mayBeSaved(photo.key)) takeBack(photo, at, now());
  else forget(photo.key);
}

// What an earlier visit has saved: all that was labelled by the last press.
async function undoSaved() {
  busy = true;
  try {
    await saveAll();
    const { photos: saved, left } = await askFor("mine", { count: 100 });
    const last = saved.filter((photo) => photo.at === saved[0].at && !waitingFor(photo.key));
    if (!last.length) return say("There is nothing of yours to take back.");
    if (last.length > MOST) return say("Your last labels came in a file. Change them among your labels, or by another file.");
    const at = now();
    for (const photo of last) {
      given.delete(photo.key);
      takeBack(photo, photo.at, at);
    }
    insert(last, left);
    const time = new Date(last[0].at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    say(`Taken back: ${counted(sizeOf(last), "label")} of ${time}. The photos are here again.`);
    await saveAll();
  } catch (error) {
    say(error.message);
  } finally {
    busy = false;
  }
}
