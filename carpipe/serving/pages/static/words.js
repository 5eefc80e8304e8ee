// What names and numbers are called on the page.

// mercedes-benz_c-class -> Mercedes-Benz C-Class, bmw_i3 -> BMW I3
export const readable = (name) =>
  name.replace(/^[^_]{1,3}(?=_)/, (make) => make.toUpperCase()).replace("_", " ")
    .replace(/(^|[\s-])\p{L}/gu, (letter) => letter.toUpperCase());

// The spaces do not break.
export const percent = (score) => (score < 0.001 ? "<\u00a00.1\u00a0%" : `${(100 * score).toFixed(1)}\u00a0%`);
export const span = ([first, last]) => (first === last ? `${first}` : `${first} to ${last}`);
export const view = (name) => (name === "d" ? "detail" : name.replaceAll("-", " "));
