// The report: everything is in the page.

import { setCharts, setSelected } from "./charts.js";
import { mountLayers } from "./layers.js";
import { mountMap } from "./map.js";
import { startFilter, startSwitches, startTables, startTheme } from "./page.js";
import { selection } from "./selection.js";
import { mountSensitivity } from "./sensitivity.js";

// Data of the views is deflated: the page stays small.
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const MOUNTS = { layers: mountLayers, map: mountMap, sensitivity: mountSensitivity };

setCharts(JSON.parse(document.getElementById("report-data").textContent));
startSwitches(selection);
startTables();
startFilter();
startTheme();
selection.onChange(() => setSelected("trial", selection.get("trial") ?? undefined));
document.addEventListener("chart-select", (event) => selection.toggle(event.detail.name, event.detail.value));
document.querySelectorAll("[data-view]").forEach(async (element) => {
  const data = await unpacked(element.querySelector(":scope > script[data-packed]").textContent);
  MOUNTS[element.dataset.view](element, { selection, data });
});
