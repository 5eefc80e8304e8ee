// Review: an answer by its key, another name by 5, later by the right arrow.
"use strict";

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key; // Caps Lock may be on
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const act = { 5: () => document.getElementById("other")?.focus(), u: () => document.getElementById("undo")?.click(), ArrowRight: () => document.getElementById("skip")?.click() };
  if (!button && !act[key]) return;
  event.preventDefault();
  if (event.repeat) return; // a key that is held down would decide what nobody has seen
  if (button) button.click();
  else act[key]();
});
