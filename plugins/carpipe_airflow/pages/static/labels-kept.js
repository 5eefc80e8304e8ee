// What this browser keeps: for good, and until the tab is closed. Where it keeps nothing, memory does.
export const local = kept(() => localStorage);
export const tab = kept(() => sessionStorage);

function kept(storage) {
  const memory = new Map();
  const read = (act, otherwise) => {
    try {
      return act();
    } catch {
      return otherwise;
    }
  };
  return {
    memory,
    set(name, value) {
      try {
        storage().setItem(name, value);
        memory.delete(name); // an older value, from when there was no room
      } catch {
        memory.set(name, value);
      }
    },
    get: (name) => memory.get(name) ?? read(() => storage().getItem(name), null),
    remove(name) {
      memory.delete(name);
      read(() => storage().removeItem(name));
    },
    names: (prefix) =>
      [...new Set([...memory.keys(), ...read(() => Object.keys(storage()), [])])].filter((name) => name.startsWith(prefix)),
  };
}
