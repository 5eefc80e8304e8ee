// What people say of an answer. That of a listing is said of each of its photos.

import { ask } from "./ask.js";
import { at, make } from "./show.js";
import { readable } from "./words.js";

let answers = [];
let listed = "";

// Ask whether it is right. `found` are the answers that have an id, `prediction` is that of all of them together.
export function askForFeedback(found, prediction) {
  if (!at("feedback")) return;
  [answers, listed] = [found, prediction];
  at("feedback").hidden = !answers.length;
  at("correction").hidden = true;
  at("wrong").setAttribute("aria-expanded", "false");
  at("class_name").value = "";
  at("thanks").textContent = "";
  at("hint").textContent =
    `Sends your photo${answers.length > 1 ? "s" : ""}, scaled down, to those who train the model.`;
}

// A button that says of a photo that there is a car in it.
export function dispute(reply) {
  if (!at("feedback")) return null;
  const button = make("button", "button", "There is a car");
  button.type = "button";
  button.addEventListener("click", async () => {
    button.disabled = true;
    const thanks = make("p", "said", await send({ id: reply.id, right: false }).catch((error) => error.message));
    thanks.setAttribute("role", "status");
    button.replaceWith(thanks);
  });
  return button;
}

// What to say of each photo, where all together are right, or are `name`.
function sayings(right, name) {
  const truth = right ? listed : name;
  return answers
    .filter((one) => truth || right || one.prediction === listed)
    .map((one) =>
      one.prediction === truth ? { id: one.id, right: true } : { id: one.id, right: false, class_name: truth || undefined });
}

async function send(saying) {
  const body = JSON.stringify(saying);
  await ask("feedback", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  return "Thank you.";
}

async function tell(right, name = "") {
  const said = sayings(right, name);
  if (!said.length) {
    at("thanks").textContent = "No photo was answered so by itself. What is it?";
    return;
  }
  const buttons = at("feedback").querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  const asked = answers;
  try {
    for (const saying of said) {
      await send(saying);
      asked.splice(asked.findIndex((one) => one.id === saying.id), 1); // not twice, should one fail
    }
    if (asked === answers) at("feedback").hidden = true;
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

// People may write a class as the page shows it.
function classOf(text) {
  const same = [...at("classes").children].find((one) => one.text.toLowerCase() === text.toLowerCase());
  return same ? same.value : text;
}

if (at("feedback")) {
  at("right").addEventListener("click", () => tell(true));
  at("wrong").addEventListener("click", correct);
  at("feedback").addEventListener("submit", (event) => {
    event.preventDefault();
    tell(false, classOf(at("class_name").value.trim()));
  });
}
