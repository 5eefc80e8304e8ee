// Shows photos and what is answered. Text from outside goes into textContent only.

import { percent, readable, span, view } from "./words.js";

export const at = (id) => document.getElementById(id);
const TITLE = document.title;
const WRONG = "note bad"; // the look of a sentence that says what is wrong
let urls = [];

// The photos, before anything is known of them.
export function showPhotos(files) {
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = files.map((file) => URL.createObjectURL(file));
  at("photos").replaceChildren(...files.map((file, number) => photo(file, number, files.length)));
  at("result").className = files.length > 1 ? "many" : "one";
  at("result").hidden = false;
  at("name").className = "";
  at("name").textContent = "Looking …";
  ["known", "years", "missing"].forEach((id) => (at(id).hidden = true));
  at("sure").textContent = "";
  at("top").replaceChildren();
  announce("Looking …");
}

function photo(file, number, count) {
  const item = make("li", "shot");
  const picture = make("div", "photo");
  const image = make("img");
  image.src = urls[number];
  image.alt = count > 1 ? `Photo ${number + 1} of ${count}, ${file.name}` : "Your photo";
  image.addEventListener("error", () => image.replaceWith(make("p", "unseen", `${file.name} cannot be shown here.`)));
  picture.append(image);
  item.append(picture);
  if (count > 1) item.append(make("p", "said", ""));
  return item;
}

// One answer: on a photo, or on all of a listing.
export function showAnswer(reply) {
  const perhaps = reply.known === false;
  at("name").textContent = readable(reply.prediction);
  at("sure").textContent = `${percent(reply.score)}, ${reply.sure ? "quite sure" : "not sure"}`;
  at("known").hidden = !perhaps;
  at("years").hidden = !reply.years;
  at("years").textContent = reply.years ? `Year: ${span(reply.years)}` : "";
  at("top").replaceChildren(...reply.top5.map(row));
  showModel(reply.model);
  announce(`${perhaps ? "Perhaps " : ""}${readable(reply.prediction)}, ${percent(reply.score)}`);
}

// The photos stay, and what is wrong is said beside them.
export function showError(sentence) {
  at("name").className = WRONG;
  at("name").textContent = sentence;
  announce(sentence);
}

// What is answered on each photo of a listing. `dispute(reply)` makes what disputes a refusal, or nothing.
export function showEach(reply, dispute) {
  [...at("photos").children].forEach((item, number) => {
    const said = reply.photos[number];
    place(item, said);
    const notes = [reply.views?.[number] && view(reply.views[number].view), reply.cover === number && "put it first"];
    const text = said.success ? `${readable(said.prediction)}, ${percent(said.score)}` : said.error;
    item.lastChild.textContent = [text, ...notes.filter(Boolean)].join(" · ");
    item.lastChild.className = said.success ? "said" : `said ${WRONG}`;
    const button = said.id && !said.success && dispute(said);
    if (button) item.append(button);
  });
  at("missing").hidden = !reply.missing_views?.length;
  at("missing").textContent = `A good listing shows also: ${(reply.missing_views ?? []).map(view).join(", ")}.`;
  showModel(reply.model);
}

// Where the car is, on the first photo or on that one of a listing.
export function place(item, { box, width, height }) {
  if (!box) return;
  const [x0, y0, x1, y1] = box;
  const frame = make("div", "box");
  const edges = { left: x0 / width, top: y0 / height, width: (x1 - x0) / width, height: (y1 - y0) / height };
  for (const [edge, share] of Object.entries(edges)) frame.style[edge] = `${100 * share}%`;
  item.querySelector(".photo").append(frame);
}

function row(candidate) {
  const item = make("li");
  const [bar, filled] = [make("span", "track"), make("span")];
  filled.style.width = `${100 * candidate.score}%`;
  bar.append(filled);
  item.append(make("span", "class", readable(candidate.class)), make("span", "n", percent(candidate.score)), bar);
  return item;
}

function showModel(model) {
  at("version").textContent =
    `Model ${model.id.slice(0, 10)}, generation ${model.generation} of channel ${model.channel}`;
}

// For the tab, and for who hears the page.
function announce(sentence) {
  document.title = `${sentence.replace(/\.$/, "")} – ${TITLE}`;
  at("status").className = "heard";
  at("status").textContent = sentence;
}

export function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}
