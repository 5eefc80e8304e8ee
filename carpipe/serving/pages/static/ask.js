// Asks the API. Whatever goes wrong is a sentence.

export class Refused extends Error {
  // `reply` is what the API has answered: it may have an id, or answers on single photos.
  constructor(sentence, reply = {}) {
    super(sentence);
    this.reply = reply;
  }
}

export async function ask(url, options) {
  const response = await fetch(url, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Refused("The server cannot be reached.");
  });
  const reply = await response.json().catch(() => ({ error: `The server answers ${response.status}.` }));
  if (!response.ok) throw new Refused(reply.error ?? `The server answers ${response.status}.`, reply);
  return reply;
}
