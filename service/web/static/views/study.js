// A study that runs: its progress moves with every event, the rest of the page is read again when something was found.

import { part } from "../api.js";
import { drawSoon } from "../charts.js";
import { follow } from "../stream.js";

const PAUSE_MS = 1200;
const LEAVING_MS = 5000;

// When somebody followed a link: until the next page is there, reading this one again would call the visitor back.
let left = -Infinity;
addEventListener("beforeunload", () => {
  left = performance.now();
});

function readAgain() {
  if (performance.now() - left < LEAVING_MS) setTimeout(readAgain, LEAVING_MS);
  else location.reload();
}

// When the step at hand will be done, from the pace seen here: an estimate, and only after two items.
function remaining(pace, data) {
  const now = performance.now();
  if (pace.task !== data.task || data.completed < pace.first) Object.assign(pace, { task: data.task, first: data.completed, began: now });
  const done = data.completed - pace.first;
  const left = data.total - data.completed;
  if (done < 2 || left <= 0) return "";
  const seconds = (left * (now - pace.began)) / done / 1000;
  return seconds < 90 ? `about ${Math.max(1, Math.round(seconds))} s left in this step (estimate)` : `about ${Math.round(seconds / 60)} min left in this step (estimate)`;
}

// Charts that are there already move into the new part: drawing into them again is much cheaper than drawing anew.
function keepPlots(box, found) {
  box.querySelectorAll(".js-plotly-plot").forEach((plot) => {
    found.querySelector(`[data-chart="${CSS.escape(plot.dataset.chart)}"]`)?.replaceWith(plot);
  });
}

export function mount(element, page) {
  if (!("live" in element.dataset)) return;
  const id = element.dataset.study;
  const box = element.querySelector("[data-part]");
  const stale = element.querySelector(".stale");
  const pace = { task: null, first: 0, began: 0 };
  let due = null;
  let last = 0;

  async function refresh() {
    due = null;
    last = performance.now();
    let found;
    try {
      found = await part(`/studies/${id}/live`);
    } catch {
      ask(); // the stream says when the server is away
      return;
    }
    const scrolled = box.querySelector(".scroll.tall")?.scrollTop ?? 0;
    const open = [...box.querySelectorAll("details[open]")].map((one) => one.closest("figure")?.id);
    keepPlots(box, found);
    box.replaceChildren(...found.body.childNodes);
    open.forEach((figure) => figure && box.querySelector(`#${CSS.escape(figure)} details`)?.setAttribute("open", ""));
    const table = box.querySelector(".scroll.tall");
    if (table) table.scrollTop = scrolled;
    page.refresh(box);
    drawSoon();
  }
  function ask() {
    due ??= setTimeout(refresh, Math.max(0, last + PAUSE_MS - performance.now()));
  }
  function progress(data) {
    const bar = box.querySelector("[data-bar]");
    if (!bar || !data.total) return;
    bar.value = (100 * data.completed) / data.total;
    box.querySelector("[data-told]").textContent = `${data.task}, ${data.completed.toLocaleString("en")} of ${data.total.toLocaleString("en")}`;
    box.querySelector("[data-eta]").textContent = remaining(pace, data);
  }

  follow(id, Number(element.dataset.seen), {
    event(kind, data) {
      if (kind === "progress") return progress(data);
      if (kind === "phase") page.announce(`Phase ${data.phase}`);
      if (kind === "state") page.announce(`The study is ${data.state}${data.outcome ? `, ${data.outcome.replace("_", " ")}` : ""}`);
      ask();
    },
    alive() {
      stale.hidden = true;
    },
    stale(seconds) {
      stale.querySelector("[data-age]").textContent = `${seconds} s`;
      stale.hidden = false;
    },
    end() {
      stale.hidden = true;
      readAgain(); // everything of the page is final now
    },
  });
}
