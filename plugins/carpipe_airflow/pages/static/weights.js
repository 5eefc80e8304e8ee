// Runs are pages of Airflow, which is around this page; and a promotion under way will change what is shown.
"use strict";

const LOOK_AGAIN = 4000; // ms

// Airflow's frame lets this page neither lead it elsewhere nor open tabs, but it is of the same origin: a link in
// Airflow's own document is followed there.
function follow(event) {
  if (window.parent === window || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const outer = window.parent.document;
  const link = outer.createElement("a");
  link.href = event.currentTarget.href;
  outer.body.append(link);
  link.click();
  link.remove();
}

for (const link of document.querySelectorAll("a.airflow")) link.addEventListener("click", follow);
if (document.getElementById("moving")) {
  setInterval(() => document.visibilityState === "visible" && location.reload(), LOOK_AGAIN);
}
