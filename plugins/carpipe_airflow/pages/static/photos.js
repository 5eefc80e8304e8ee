// Photos: filters apply when they change; neighbours by arrow keys; zoom, box and label of one photo.
"use strict";

const element = (id) => document.getElementById(id);

for (const choice of document.querySelectorAll(".filters select, .filters input[type=checkbox]")) {
  choice.addEventListener("change", () => choice.form.requestSubmit());
}
// Empty fields ask for nothing, and have no place in an address that is passed on.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
  });
}

function toggle(button, className, of) {
  const on = of.classList.toggle(className);
  button.setAttribute("aria-pressed", String(on));
}
const large = element("large");
element("zoom")?.addEventListener("click", (event) => toggle(event.currentTarget, "zoomed", large));
element("hide-box")?.addEventListener("click", (event) => toggle(event.currentTarget, "without-box", large));
large?.querySelector("img").addEventListener("click", () => element("zoom").click());

const follow = (kind) => document.querySelector(`a[rel=${kind}]`)?.click();
const KEYS = {
  ArrowLeft: () => follow("prev"),
  ArrowRight: () => follow("next"),
  z: () => element("zoom")?.click(),
  b: () => element("hide-box")?.click(),
};
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key]; // Caps Lock may be on
  if (!act) return;
  event.preventDefault();
  act();
});

const place = element("label");
for (const button of place?.querySelectorAll("[data-label]") ?? []) button.addEventListener("click", () => save(button));

async function save(button) {
  const { base, key } = place.dataset;
  const body = JSON.stringify({ labels: [{ key, label: button.dataset.label, at: new Date().toISOString() }] });
  const said = element("labelled");
  said.textContent = "saving ...";
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(`${base}/labels?ask=cars`, { method: "POST", headers, body, credentials: "same-origin" });
    if (!answer.ok) throw new Error(`It was not saved (${answer.status}): ${(await answer.text()).slice(0, 300)}`);
    const { refused } = await answer.json();
    said.textContent = refused[key] ?? `Saved: ${button.textContent}.`;
  } catch (error) {
    said.textContent = error instanceof TypeError ? "It was not saved: Airflow cannot be reached." : error.message;
  }
}
