// What the page says of itself, and where it says something.
export const element = (id) => document.getElementById(id);

const desk = element("desk");
export const { base, ask, user } = desk.dataset;
export const may = Boolean(desk.dataset.may);
const clock = Date.parse(desk.dataset.now) - Date.now(); // the server's clock counts
export const now = () => new Date(Date.now() + clock).toISOString();

export const grid = element("grid");
const buttons = [...document.querySelectorAll("[data-word]")];
// Words by key, such as "auto" by "a".
export const words = new Map(buttons.map((button) => [button.dataset.key, button.dataset.word]));
export const keyOf = (word) => [...words].find(([, one]) => one === word)?.[0];

export const number = (value) => value.toLocaleString("en-GB");
export const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export function say(text) {
  element("said").textContent = text;
  element("said").hidden = false;
}

export function hush() {
  element("said").hidden = true;
}

export function make(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

// JSON of one of our routes; an error is a sentence.
export async function askFor(path, query) {
  let answer;
  try {
    answer = await fetch(`${base}/labels/${path}?${new URLSearchParams({ ask, ...query })}`, {
      credentials: "same-origin",
      headers: { Accept: "application/json" },
    });
  } catch {
    throw new Error("Airflow cannot be reached; try again.");
  }
  if (answer.status === 401) throw new Error("You are logged out: log in to Airflow, and reload.");
  if (!answer.ok) throw new Error(await sentence(answer));
  return answer.json();
}

async function sentence(answer) {
  const text = await answer.text();
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? detail : text;
  } catch {
    return text;
  }
}
