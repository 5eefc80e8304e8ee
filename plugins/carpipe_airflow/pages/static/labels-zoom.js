// One photo as large as the screen, and in its own pixels by a click. Keys label it there too.
import { toldBy } from "./labels-grid.js";
import { element } from "./labels-page.js";
import { given, photos } from "./labels-photos.js";
import { place } from "./labels-selection.js";

const dialog = element("zoom");
const image = dialog.querySelector("img");

export function zoom() {
  if (dialog.open) return dialog.close();
  if (!photos().length) return;
  dialog.showModal();
  follow();
}

export function follow() {
  const photo = photos()[place()];
  if (!dialog.open || !photo) return;
  const source = `${photo.url}&size=large`;
  if (image.getAttribute("src") !== source) {
    dialog.classList.remove("pixels");
    image.src = source;
  }
  const said = [given.get(photo.key)?.label, toldBy(photo) && `filter ${toldBy(photo)}`, photo.key];
  dialog.querySelector("p").textContent = said.filter(Boolean).join(" · ");
}

image.addEventListener("click", () => dialog.classList.toggle("pixels"));
dialog.querySelector("button").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => element("grid").focus());
