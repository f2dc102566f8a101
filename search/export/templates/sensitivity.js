// Sensitivity: bars of the points that fit a filter, and what is selected in them.
//
// Selected: `group`, and the filter: `kind`, `op`, `point`.

import { draw, setCharts, setSelected } from "./charts.js";
import { tellPicked } from "./picked.js";

// The worst points of a table that fit, and the rest summed, as the bars show them.
function fittingRows(data, id, fits) {
  const found = data.tables[id].filter(([point]) => fits(data.points[point]));
  const rest = found.slice(data.bars);
  const total = rest.reduce((sum, [, value]) => sum + (value ?? 0), 0);
  const rows = found.slice(0, data.bars).map(([point, value, text]) => {
    const [name, kind, op, dtype, share, group] = data.points[point];
    const label = name.length > 34 ? `…${name.slice(-33)}` : name;
    return { label, kind, value, text, group, hover: [name, `${kind} of ${op}`, `error ${text} at ${dtype}`, `${share} of compute`], cells: [name, kind, op, text, dtype, share, group] };
  });
  const told = Number(total.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
  return { rows, rest: rest.length ? { label: `${rest.length.toLocaleString("en")} others, summed`, value: total, text: told } : null, n: found.length };
}

function fillTable(figure, found) {
  const body = figure.querySelector("tbody");
  const line = (cells) => {
    const row = document.createElement("tr");
    cells.forEach((text, index) => {
      const cell = document.createElement("td");
      if ([0, 4, 6].includes(index)) cell.className = "num";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  };
  const rows = found.rows.map((row, index) => line([String(index + 1), ...row.cells]));
  if (found.rest) rows.push(line(["", found.rest.label, "", "", found.rest.text, "", "", ""]));
  body.replaceChildren(...rows);
}

// `page` gives `data` and `selection`.
export function mountSensitivity(element, page) {
  const { data, selection } = page;
  const find = (name) => element.querySelector(`[data-sensitivity="${name}"]`);
  const [text, op, kind] = ["point", "op", "kind"].map(find);
  [...new Set(data.points.map((point) => point[2]))].sort().forEach((name) => {
    const option = document.createElement("option");
    option.textContent = name;
    op.append(option);
  });
  const read = () => {
    text.value = selection.get("point") ?? "";
    op.value = selection.get("op") ?? "";
    kind.value = selection.get("kind") ?? "";
  };
  const nameOf = (group) => data.points.find((point) => point[5] === group)?.[0];
  let shown = null;

  function filter() {
    const wanted = text.value.trim().toLowerCase();
    const fits = ([name, side, operator]) => (!kind.value || side === kind.value) && (!op.value || operator === op.value) && name.toLowerCase().includes(wanted);
    let [n, all] = [0, 0];
    Object.keys(data.tables).forEach((id) => {
      const found = fittingRows(data, id, fits);
      const node = element.querySelector(`[data-chart="${id}"]`);
      setCharts({ [id]: { kind: "bars", rows: found.rows, rest: found.rest } });
      fillTable(node.closest("figure"), found);
      if (node.closest("[hidden]")) return;
      [n, all] = [found.n, data.tables[id].length];
      draw(node);
    });
    find("found").textContent = n === all ? `${all.toLocaleString("en")} points` : `${n.toLocaleString("en")} of ${all.toLocaleString("en")} points`;
  }
  function show() {
    const group = selection.get("group");
    setTimeout(() => setSelected("group", group ?? undefined)); // after what was clicked has answered
    tellPicked(element, group, nameOf(group));
    read();
    const key = ["point", "op", "kind", "table"].map((name) => selection.get(name)).join("\n");
    if (key === shown) return;
    shown = key;
    queueMicrotask(filter); // once the switch has shown its panel
  }
  text.addEventListener("input", () => selection.set("point", text.value));
  op.addEventListener("change", () => selection.set("op", op.value));
  kind.addEventListener("change", () => selection.set("kind", kind.value));
  selection.onChange(show);
  show();
}
