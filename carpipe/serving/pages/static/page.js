"use strict";
// Shows what the API answers. Text from outside goes into textContent only.

const at = (id) => document.getElementById(id);
let answerId = null;
let latest = 0;

async function ask(url, options) {
  const response = await fetch(url, options);
  const reply = await response.json().catch(() => ({ error: `The server answers ${response.status}.` }));
  if (!response.ok) throw new Error(reply.error);
  return reply;
}

function say(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

async function look(file) {
  const turn = ++latest;
  at("result").hidden = true;
  say("Looking …");
  const form = new FormData();
  form.append("file", file, "photo");
  try {
    const reply = await ask("predict", { method: "POST", body: form });
    if (turn === latest) show(file, reply);
  } catch (error) {
    if (turn === latest) say(error instanceof TypeError ? "The server cannot be reached." : error.message, true);
  }
}

function show(file, reply) {
  say("");
  URL.revokeObjectURL(at("photo").src);
  at("photo").src = URL.createObjectURL(file);
  place(reply.box, reply.width, reply.height);
  at("name").textContent = readable(reply.prediction);
  at("sure").textContent = `${percent(reply.score)}, ${reply.sure ? "quite sure" : "not sure"}`;
  at("known").hidden = reply.known !== false;
  at("years").hidden = !reply.years;
  at("years").textContent = reply.years ? `Year: ${span(reply.years)}` : "";
  at("top").replaceChildren(...reply.top5.map(row));
  at("version").textContent =
    `Model ${reply.model.id.slice(0, 10)}, generation ${reply.model.generation} of channel ${reply.model.channel}`;
  at("result").hidden = false;
  answerId = reply.id;
  askForFeedback();
}

function place([x0, y0, x1, y1], width, height) {
  const style = at("box").style;
  style.left = `${(100 * x0) / width}%`;
  style.top = `${(100 * y0) / height}%`;
  style.width = `${(100 * (x1 - x0)) / width}%`;
  style.height = `${(100 * (y1 - y0)) / height}%`;
  at("box").hidden = false;
}

function row(candidate) {
  const item = document.createElement("li");
  const bar = part("bar", "");
  bar.style.width = `${100 * candidate.score}%`;
  item.append(bar, part("class", readable(candidate.class)), part("score", percent(candidate.score)));
  return item;
}

function part(name, text) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

const span = ([first, last]) => (first === last ? `${first}` : `${first} to ${last}`);
const percent = (score) => (score < 0.001 ? "< 0.1 %" : `${(100 * score).toFixed(1)} %`);
// mercedes-benz_c-class -> Mercedes-Benz C-Class, bmw_i3 -> BMW I3
const readable = (name) =>
  name.replace(/^[^_]{1,3}(?=_)/, (make) => make.toUpperCase()).replace("_", " ")
    .replace(/(^|[\s-])\p{L}/gu, (letter) => letter.toUpperCase());

function askForFeedback() {
  if (!at("feedback")) return;
  at("feedback").hidden = false;
  at("correction").hidden = true;
  at("wrong").setAttribute("aria-expanded", "false");
  at("class_name").value = "";
  at("thanks").textContent = "";
}

async function tell(right, className) {
  const buttons = at("feedback").querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  try {
    const body = JSON.stringify({ id: answerId, right, class_name: className || undefined });
    await ask("feedback", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    at("feedback").hidden = true;
    at("thanks").textContent = "Thank you.";
  } catch (error) {
    at("thanks").textContent = error.message;
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

async function correct() {
  const open = at("correction").hidden;
  at("correction").hidden = !open;
  at("wrong").setAttribute("aria-expanded", String(open));
  if (!open) return;
  at("class_name").focus();
  if (at("classes").children.length) return;
  const { classes } = await ask("classes").catch(() => ({ classes: [] }));
  at("classes").replaceChildren(...classes.map((name) => new Option(readable(name), name)));
}

at("file").addEventListener("change", (event) => event.target.files[0] && look(event.target.files[0]));
// Choosing the same file again should look again.
at("file").addEventListener("click", (event) => (event.target.value = ""));
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => event.relatedTarget || at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) look(event.dataTransfer.files[0]);
});
if (at("feedback")) {
  at("right").addEventListener("click", () => tell(true));
  at("wrong").addEventListener("click", correct);
  at("feedback").addEventListener("submit", (event) => { event.preventDefault(); tell(false, at("class_name").value.trim()); });
}
