// Every page: theme, switches, tables as CSV, and the modules of its views.
//
// `<div data-view="name">` is handed to `mount(element, page)` of ./views/name.js; `page` is the object below.

import { setCharts, setSelected } from "./charts.js";
import { startFilter, startSwitches, startTables, startTheme } from "./page.js";
import { startActions } from "./actions.js";
import { ask } from "./api.js";
import { selection } from "./selection.js";

const stored = {
  set(name, value) {
    try {
      localStorage.setItem(name, value);
    } catch {
      // storage is switched off: the choice lasts for this page
    }
  },
};

// Says something to those who cannot see the page change; phases and results only.
export function announce(text) {
  document.getElementById("announcement").textContent = text;
}

// What every view gets: the interface, the selection in the address, charts, and its data block as JSON.
const page = { ask, announce, selection, refresh: startPart };

// Starts what stands in `root`: charts from its data blocks, switches, CSV buttons. Again after `root` was replaced.
export function startPart(root = document) {
  root.querySelectorAll("script[data-charts]").forEach((block) => setCharts(JSON.parse(block.textContent)));
  startSwitches(selection);
  startTables(root);
  startActions(root);
  markSelected();
}

function markSelected() {
  const trial = selection.get("trial");
  document.querySelectorAll("tr[data-trial]").forEach((row) => row.toggleAttribute("data-selected", row.dataset.trial === trial));
  document.querySelectorAll("[data-select]").forEach((link) => {
    if (selection.get(link.dataset.select) === link.dataset.value) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  });
  setSelected("trial", trial ?? undefined);
}

document.addEventListener("chart-select", (event) => selection.toggle(event.detail.name, event.detail.value));
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-select]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (selection.get(link.dataset.select) === link.dataset.value) return; // the second click follows the link
  event.preventDefault();
  selection.set(link.dataset.select, link.dataset.value);
});
selection.onChange(markSelected);

startPart();
startFilter();
startTheme(stored);
for (const element of document.querySelectorAll("[data-view]")) {
  if (!/^[a-z-]+$/.test(element.dataset.view)) continue;
  const block = element.querySelector(":scope > script[data-json]");
  import(`./views/${element.dataset.view}.js`).then((view) => view.mount(element, { ...page, data: block && JSON.parse(block.textContent) }));
}
