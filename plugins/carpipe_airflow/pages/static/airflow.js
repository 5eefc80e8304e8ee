// Links to pages of Airflow, which is around this page: its frame lets this page neither lead it elsewhere nor open
// tabs, but it is of the same origin. So a link in Airflow's own document is followed there.
"use strict";

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
