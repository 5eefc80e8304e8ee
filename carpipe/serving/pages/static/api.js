"use strict";
// Sends what the forms hold, and shows what is answered. Text from outside goes into textContent only.

const PART = "file";
const here = new URL(".", location.href).href.replace(/\/$/, "");

// Samples ask this server, by the name that it was asked by.
for (const sample of document.querySelectorAll(".curl")) {
  sample.textContent = sample.textContent.replace(document.body.dataset.base, here);
}

function options(form) {
  const method = form.dataset.method;
  const text = form.querySelector("textarea");
  if (text) return { method, headers: { "Content-Type": "application/json" }, body: text.value };
  const input = form.querySelector("input[type=file]");
  if (!input) return { method };
  const kind = form.querySelector("select").value;
  const files = [...input.files];
  if (kind === "multipart/form-data") {
    const body = new FormData();
    files.forEach((file) => body.append(PART, file, "photo"));
    return { method, body };
  }
  const type = kind.endsWith("/*") ? files[0].type || "image/jpeg" : kind;
  return { method, headers: { "Content-Type": type }, body: files[0] };
}

async function send(event) {
  event.preventDefault();
  const form = event.target;
  const [said, reply, button] = [".answered", ".reply", "button"].map((name) => form.querySelector(name));
  said.textContent = "Waiting …";
  reply.hidden = true;
  button.disabled = true;
  const began = performance.now();
  try {
    const response = await fetch(form.dataset.path.slice(1), options(form));
    const text = await response.text();
    said.textContent = `${response.status} ${response.statusText}, ${Math.round(performance.now() - began)} ms`;
    reply.textContent = pretty(text);
    reply.hidden = false;
  } catch {
    said.textContent = "The server cannot be reached.";
  } finally {
    button.disabled = false;
    button.focus();
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

document.querySelectorAll("form.try").forEach((form) => form.addEventListener("submit", send));
