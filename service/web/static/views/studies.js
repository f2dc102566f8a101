// The list of studies: read again while the page is looked at, without moving what has the focus or is ticked.

import { part } from "../api.js";

const EVERY_MS = 4000;

export function mount(element, page) {
  if (!("refresh" in element.dataset)) return;
  const cells = (row) => row.dataset.version;
  async function refresh() {
    if (document.hidden) return;
    let found;
    try {
      found = (await part(location.href)).querySelector('[data-region="studies"]');
    } catch {
      return; // the next time will tell
    }
    if (!found) return;
    const rows = (root) => [...root.querySelectorAll("tr[data-study]")];
    const same = rows(element).map((row) => row.dataset.study).join() === rows(found).map((row) => row.dataset.study).join();
    if (!same) {
      if (element.contains(document.activeElement) || element.querySelector("input:checked")) return;
      element.replaceChildren(...found.childNodes);
      page.refresh(element);
      return;
    }
    rows(found).forEach((row, place) => {
      const old = rows(element)[place];
      if (cells(old) === cells(row) || old.contains(document.activeElement)) return;
      const ticked = old.querySelector("input").checked;
      old.replaceWith(row);
      row.querySelector("input").checked = ticked;
      page.refresh(row);
    });
  }
  setInterval(refresh, EVERY_MS);
}
