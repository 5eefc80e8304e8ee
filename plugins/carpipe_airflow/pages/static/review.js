// Review: an answer by its key, another name by 5, later by the right arrow.
"use strict";

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  const act = { 5: () => document.getElementById("other")?.focus(), u: () => document.getElementById("undo")?.click(), ArrowRight: () => document.getElementById("skip")?.click() };
  if (!button && !act[event.key]) return;
  event.preventDefault();
  if (button) button.click();
  else act[event.key]();
});
