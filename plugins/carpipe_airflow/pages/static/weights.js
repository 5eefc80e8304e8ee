// Weights: a promotion under way will change what is shown; a training under way is asked for again and again.
"use strict";

const LOOK_AGAIN = 4000; // ms
const QUIET = 20000; // where nothing trains

const seen = () => document.visibilityState === "visible";

if (document.getElementById("moving")) {
  setInterval(() => seen() && location.reload(), LOOK_AGAIN);
}

const place = document.getElementById("training");

function followLater() {
  setTimeout(followTraining, place.childElementCount ? LOOK_AGAIN : QUIET);
}

async function followTraining() {
  if (seen()) await showTraining();
  followLater();
}

async function showTraining() {
  try {
    const answer = await fetch(place.dataset.source, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) return;
    const html = await answer.text();
    if (html.trim() === place.dataset.shown) return;
    place.dataset.shown = html.trim();
    const parsed = new DOMParser().parseFromString(html, "text/html");
    place.replaceChildren(...parsed.body.childNodes);
    for (const link of place.querySelectorAll("a.airflow")) link.addEventListener("click", follow);
  } catch {
    // Airflow cannot be reached: what is shown stays, and the next look may find it.
  }
}

followLater();
