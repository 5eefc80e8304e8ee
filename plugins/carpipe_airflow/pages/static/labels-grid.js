// The photos of a page as tiles: what the filter says, what a person has said, and how many copies there are.
import { ask, counted, grid, keyOf, make } from "./labels-page.js";
import { given, photos, skipped } from "./labels-photos.js";

const DENSE = 30; // photos; more are shown smaller, and without their names

export const tiles = () => [...grid.querySelectorAll(".tile")];

export function paint() {
  grid.replaceChildren(...photos().map(tile));
  grid.classList.toggle("dense", photos().length > DENSE);
}

function tile(photo, index) {
  const figure = make("figure", "tile");
  figure.id = `photo-${index}`;
  figure.setAttribute("role", "option");
  const image = new Image();
  image.alt = "cannot be shown";
  image.draggable = false;
  image.src = photo.url;
  const caption = make("figcaption", "", photo.key);
  caption.title = photo.key;
  const copies = photo.copies?.length ?? 0;
  const count = make("span", "count", copies ? `×${copies + 1}` : "");
  count.title = "photos that show this picture: a label counts for all of them";
  figure.append(image, make("span", "told", toldBy(photo)), count, make("span", "mark"), caption);
  figure.classList.add(`told-${photo.word || "nothing"}`);
  dress(figure, photo);
  return figure;
}

export function toldBy({ word, p }) {
  if (p === null || p === undefined) return "";
  return ask === "views" ? `${keyOf(word)} · ${p.toFixed(2)} ${word}` : p.toFixed(2);
}

export function dress(figure, photo) {
  const label = given.get(photo.key)?.label;
  const away = !label && skipped.has(photo.key);
  figure.classList.toggle("auto", Boolean(label) && label !== "no_auto");
  figure.classList.toggle("no_auto", label === "no_auto");
  figure.classList.toggle("skipped", away);
  const mark = figure.querySelector(".mark");
  mark.textContent = away ? "skipped" : !label ? "" : ask === "views" ? `${keyOf(label)} ${label}` : label;
  mark.hidden = !mark.textContent;
  figure.setAttribute("aria-label", spoken(photo, label, away));
}

function spoken(photo, label, away) {
  const said = label ? `labelled ${label}` : away ? "skipped" : "no label";
  const told = toldBy(photo) ? `the filter says ${photo.word}, ${photo.p.toFixed(2)}` : "";
  const copies = photo.copies?.length ? counted(photo.copies.length + 1, "photo") : "";
  return [said, told, copies, photo.key].filter(Boolean).join(", ");
}

export function dressAll() {
  tiles().forEach((figure, index) => dress(figure, photos()[index]));
}

export const columns = () => tiles().filter((figure, _, [first]) => figure.offsetTop === first.offsetTop).length || 1;
// What has not been seen is not accepted.
export const allShown = () => tiles().every((figure) => figure.querySelector("img").complete);
