// What every page has: the theme, switches between panels, the filter of the assignment, tables as CSV.

import { drawAll } from "./charts.js";

const page = document.documentElement;

function show(name, id) {
  document.querySelectorAll(`[data-panel="${name}"]`).forEach((panel) => {
    panel.hidden = panel.dataset.id !== id;
  });
}

// `memory` keeps what is chosen: `get(name)`, `set(name, value)`.
export function startSwitches(memory = null) {
  document.querySelectorAll("[data-switch]").forEach((select) => {
    const name = select.dataset.switch;
    const kept = memory?.get(name);
    if (kept && [...select.options].some((option) => option.value === kept)) select.value = kept;
    show(name, select.value);
    select.addEventListener("change", () => {
      memory?.set(name, select.value);
      show(name, select.value);
      drawAll();
    });
  });
}

export function startTheme(memory = null) {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (page.dataset.theme ? page.dataset.theme === "dark" : system.matches);
  const retheme = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
    drawAll();
  };
  button.addEventListener("click", () => {
    page.dataset.theme = isDark() ? "light" : "dark";
    memory?.set("theme", page.dataset.theme);
    retheme();
  });
  system.addEventListener("change", retheme);
  button.hidden = false;
  retheme();
}

export function startFilter() {
  const filter = document.getElementById("filter");
  if (!filter) return;
  const precision = document.getElementById("filter-precision");
  const changed = document.getElementById("filter-changed");
  const rows = [...document.querySelectorAll("#assignment-table tbody tr")].map((row) => ({ row, text: row.textContent.toLowerCase() }));
  const apply = () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach(({ row, text }) => {
      const fits = text.includes(wanted) && (!precision.value || row.dataset.precision === precision.value) && (!changed.checked || "changed" in row.dataset);
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    document.getElementById("filter-count").textContent = shown === rows.length ? `${shown} operators` : `${shown} of ${rows.length} operators`;
  };
  [filter, precision, changed].forEach((control) => control.addEventListener("input", apply));
}

// A cell that a spreadsheet would run as a formula gets an apostrophe.
export function csvOf(table) {
  const cell = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) && !/^[+\-]?[\d.,]+$/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  return [...table.rows].map((row) => [...row.cells].map((one) => cell(one.textContent.trim())).join(",")).join("\r\n");
}

export function startTables(root = document) {
  root.querySelectorAll("button[data-csv]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csvOf(button.closest("figure").querySelector("table"))], { type: "text/csv" }));
      link.download = `${button.dataset.csv}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
  });
}
