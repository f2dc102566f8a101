// What is selected on a page, kept in its address: a copied address shows the same view.

const listeners = new Set();
let kept = null; // where the address of a file cannot change
const params = () => new URLSearchParams(kept ?? location.search);

function write(found) {
  const query = found.toString();
  try {
    history.replaceState(null, "", `${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
  } catch {
    kept = query;
  }
  listeners.forEach((listener) => listener());
}

export const selection = {
  get: (name) => params().get(name),
  set(name, value) {
    const found = params();
    if (value === null || value === "") found.delete(name);
    else found.set(name, value);
    write(found);
  },
  toggle(name, value) {
    this.set(name, this.get(name) === value ? null : value);
  },
  // Calls `listener()` after every change; returns what ends that.
  onChange(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

addEventListener("popstate", () => listeners.forEach((listener) => listener()));
