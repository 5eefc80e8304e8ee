// Takes photos, asks the API, and has the answer shown.

import { Refused, ask } from "./ask.js";
import { askForFeedback, dispute } from "./feedback.js";
import { at, place, showAnswer, showEach, showError, showPhotos } from "./show.js";

const PART = "file";
const MB = 1_000_000;
const { maxPhotos, maxPhotoMb, maxRequestMb } = at("main").dataset;
let asking = new AbortController();

async function look(files) {
  asking.abort();
  const { signal } = (asking = new AbortController());
  showPhotos(files);
  askForFeedback([], "");
  try {
    check(files);
    const show = files.length > 1 ? await listing(files, signal) : await single(files, signal);
    if (!signal.aborted) show();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refused)) throw error;
    refuse(error);
  }
}

// A server that refuses what is much too long may close the connection before the browser reads why.
function check(files) {
  const sizes = files.map((file) => file.size);
  const sum = sizes.reduce((one, other) => one + other, 0);
  if (files.length > maxPhotos) throw new Refused(`These are ${files.length} photos; send at most ${maxPhotos}.`);
  if (Math.max(...sizes) > maxPhotoMb * MB || sum > maxRequestMb * MB) {
    throw new Refused(`Too large: a photo may have ${maxPhotoMb} MB, all together ${maxRequestMb} MB.`);
  }
}

function form(files) {
  const data = new FormData();
  files.forEach((file) => data.append(PART, file, "photo"));
  return data;
}

async function single(files, signal) {
  const reply = await ask("predict", { method: "POST", body: form(files), signal });
  return () => {
    place(at("photos").firstChild, reply);
    showAnswer(reply);
    askForFeedback([reply], reply.prediction);
  };
}

async function listing(files, signal) {
  const reply = await ask("predict/listing", { method: "POST", body: form(files), signal });
  return () => {
    showEach(reply, dispute);
    showAnswer(reply);
    askForFeedback(reply.photos.filter((one) => one.success && one.id), reply.prediction);
  };
}

function refuse({ message, reply }) {
  showError(message);
  if (reply.photos) showEach(reply, dispute);
  else if (reply.id) askForFeedback([{ id: reply.id, prediction: "" }], "");
}

at("file").addEventListener("change", (event) => event.target.files.length && look([...event.target.files]));
// Choosing the same files again should look again.
at("file").addEventListener("click", (event) => (event.target.value = ""));
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
}
document.addEventListener("dragleave", (event) => event.relatedTarget || at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  if (event.dataTransfer.files.length) look([...event.dataTransfer.files]);
});
