// A promotion under way will change what is shown.
"use strict";

const LOOK_AGAIN = 4000; // ms

if (document.getElementById("moving")) {
  setInterval(() => document.visibilityState === "visible" && location.reload(), LOOK_AGAIN);
}
