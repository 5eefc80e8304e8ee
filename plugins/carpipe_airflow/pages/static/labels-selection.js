// The tile that keys move, and the tiles that a label is for: by arrows, Shift, Ctrl, clicks, or a band drawn over them.
import { columns, tiles } from "./labels-grid.js";
import { grid } from "./labels-page.js";

const FAR = 6; // px that a pressed mouse moves before it draws a band
let cursor = 0;
let anchor = 0; // where a range begins
let chosen = new Set(); // by place; empty: the tile of the cursor
let moved = () => {};

export const onMove = (tell) => (moved = tell);
export const place = () => cursor;
export const selected = () => (chosen.size ? [...chosen].sort((one, other) => one - other) : tiles().length ? [cursor] : []);

export function select(to, { extend = false, keep = false } = {}) {
  cursor = Math.min(Math.max(to, 0), Math.max(0, tiles().length - 1));
  if (extend) chosen = between(anchor, cursor);
  else if (!keep) chosen = new Set();
  if (!extend) anchor = cursor;
  show();
}

export function toggle(to) {
  cursor = anchor = to;
  if (!chosen.delete(to)) chosen.add(to);
  show();
}

export function selectAll() {
  chosen = new Set(tiles().keys());
  show();
}

const between = (one, other) => new Set(Array.from({ length: Math.abs(one - other) + 1 }, (_, step) => Math.min(one, other) + step));

function show() {
  const places = new Set(selected());
  tiles().forEach((figure, index) => {
    figure.setAttribute("aria-selected", String(places.has(index)));
    figure.classList.toggle("cursor", index === cursor);
  });
  const figure = tiles()[cursor];
  if (figure) grid.setAttribute("aria-activedescendant", figure.id);
  else grid.removeAttribute("aria-activedescendant");
  if (!band) figure?.scrollIntoView({ block: "nearest" });
  moved();
}

const STEPS = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: () => -columns(),
  ArrowDown: () => columns(),
  Home: () => -cursor,
  End: () => tiles().length,
};
export const SELECTION_KEYS = {
  ...Object.fromEntries(Object.entries(STEPS).flatMap(([key, step]) => [
    [key, () => select(cursor + step())],
    [`Shift+${key}`, () => select(cursor + step(), { extend: true })],
    [`Ctrl+${key}`, () => select(cursor + step(), { keep: true })],
  ])),
  "Ctrl+ ": () => toggle(cursor),
  "Ctrl+a": selectAll,
  Escape: () => select(cursor),
};

// ---- by mouse ----

let start; // of a press: {x, y, before}, on the page
let band; // the band that is being drawn
let drawn = false; // the click that ends a band is none

export function onTap(enlarge) {
  grid.addEventListener("click", (event) => {
    const to = tiles().indexOf(event.target.closest(".tile"));
    if (drawn || to < 0) return;
    if (event.ctrlKey || event.metaKey) toggle(to);
    else if (event.shiftKey) select(to, { extend: true });
    else if (to === cursor && !chosen.size) enlarge();
    else select(to);
  });
}

// By a finger: who holds it there adds the photo, or takes it out.
grid.addEventListener("contextmenu", (event) => {
  const to = tiles().indexOf(event.target.closest(".tile"));
  if (event.pointerType !== "touch" || to < 0) return;
  event.preventDefault();
  toggle(to);
});

grid.addEventListener("mousedown", (event) => {
  drawn = false;
  if (event.button) return;
  event.preventDefault(); // no text is selected
  grid.focus({ preventScroll: true });
  const adds = event.ctrlKey || event.metaKey || event.shiftKey;
  start = { x: event.pageX, y: event.pageY, before: adds ? new Set(chosen) : new Set() };
});
window.addEventListener("mousemove", (event) => {
  if (!start || !band && Math.hypot(event.pageX - start.x, event.pageY - start.y) < FAR) return;
  if (!band) {
    band = document.createElement("div");
    band.className = "band";
    grid.append(band);
  }
  stretch(event.pageX, event.pageY);
});
window.addEventListener("mouseup", () => {
  drawn = Boolean(band);
  band?.remove();
  start = band = undefined;
});

function stretch(x, y) {
  const [left, right] = [start.x, x].sort((one, other) => one - other);
  const [top, bottom] = [start.y, y].sort((one, other) => one - other);
  const home = grid.getBoundingClientRect();
  Object.assign(band.style, {
    left: `${left - home.left - scrollX}px`, top: `${top - home.top - scrollY}px`,
    width: `${right - left}px`, height: `${bottom - top}px`,
  });
  const within = tiles().flatMap((figure, index) => (touches(figure.getBoundingClientRect(), left, top, right, bottom) ? [index] : []));
  chosen = new Set([...start.before, ...within]);
  if (within.length) cursor = anchor = within.at(-1);
  show();
}

const touches = (box, left, top, right, bottom) =>
  box.left + scrollX < right && box.right + scrollX > left && box.top + scrollY < bottom && box.bottom + scrollY > top;
