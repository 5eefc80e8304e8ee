// Beside the guidelines: photos on which people and the filter agree.
import { askFor, element, make } from "./labels-page.js";

const guide = element("guide");
const place = element("examples");

async function showExamples() {
  try {
    const found = await askFor("examples", {});
    const rows = Object.entries(found).filter(([, photos]) => photos.length);
    place.replaceChildren(...rows.map(row));
    if (!rows.length) place.textContent = "Examples come once photos are labelled and the filter has seen them.";
  } catch (error) {
    place.textContent = error.message;
  }
}

function row([word, photos]) {
  const strip = make("div", "strip");
  for (const photo of photos) {
    const image = new Image();
    [image.src, image.alt] = [photo.url, `an example of ${word}`];
    strip.append(image);
  }
  const made = make("section", "");
  made.append(make("h3", "", word), strip);
  return made;
}

guide.addEventListener("toggle", () => guide.open && !place.childElementCount && showExamples());
