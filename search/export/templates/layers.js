// Layers: error and ranges against depth, and the histogram of the layer that is selected.
//
// Selected: `group` (a layer by its group or model input), `measure` (what the first figure draws).

import { addKind, colour, draw, layout, lines, narrow, plain, title } from "./charts.js";
import { tellPicked } from "./picked.js";

const LAYER_FORMATS = {
  int8: { symbol: "circle", colour: "int8" }, int16: { symbol: "square", colour: "int16" },
  fp16: { symbol: "diamond", colour: "fp16" }, fp32: { symbol: "triangle-up", colour: "fp32" },
};
const LAYER_LEAST = 1e-9;
const layersShown = { layers: [], start: null, measure: "sqnr", group: null, top: 100 };

const largestOf = (ends) => (ends ? Math.max(Math.abs(ends[0]), Math.abs(ends[1]), LAYER_LEAST) : null);
// Equal layers (200 dB) stand a little above the best of the others.
const layerTop = (layers) => 1.12 * Math.max(20, ...layers.flatMap((layer) => [layer.sqnr, layer.rounding]).filter((value) => value !== null && value < 200));
const LAYER_MEASURES = {
  sqnr: { axis: "SQNR, dB", type: "linear", value: (layer) => (layer.sqnr === null ? null : Math.min(layer.sqnr, layersShown.top)) },
  cosine: { axis: "1 − cosine", type: "log", value: (layer) => (layer.cosine === null ? null : Math.max(layer.cosine, LAYER_LEAST)) },
  range: { axis: "Largest absolute value", type: "log", value: (layer) => largestOf(layer.quantized) },
};

function layerDots(measure, shown) {
  return Object.entries(LAYER_FORMATS).flatMap(([format, mark]) => {
    const places = shown.layers.map((_, place) => place).filter((place) => shown.layers[place].format === format && measure.value(shown.layers[place]) !== null);
    if (!places.length) return [];
    return [{
      type: "scatter", mode: "markers", name: shown.measure === "range" ? `quantized, ${format}` : format, cliponaxis: false,
      x: places, y: places.map((place) => measure.value(shown.layers[place])),
      hovertext: places.map((place) => lines(shown.layers[place].hover)), hoverinfo: "text",
      customdata: places.map((place) => ["group", shown.layers[place].id]),
      marker: { symbol: mark.symbol, size: shown.layers.length > 300 ? 6 : 9, color: colour(mark.colour), line: { width: 1, color: colour("surface") } },
    }];
  });
}

function layerReference(shown) {
  const all = shown.layers.map((_, place) => place);
  const trace = (name, places, value, marker) => ({
    type: "scatter", mode: "markers", name, x: places, y: places.map((place) => value(shown.layers[place])), hoverinfo: "skip", cliponaxis: false, marker,
  });
  if (shown.measure === "sqnr") {
    const places = all.filter((place) => shown.layers[place].rounding !== null);
    return [trace("its own rounding alone", places, (layer) => Math.min(layer.rounding, shown.top), { symbol: "line-ew-open", size: 9, color: colour("early"), line: { width: 1.6, color: colour("early") } })];
  }
  if (shown.measure !== "range") return [];
  return [
    trace("float", all.filter((place) => shown.layers[place].float), (layer) => largestOf(layer.float), { symbol: "circle-open", size: 13, color: colour("ink"), line: { width: 1.3, color: colour("ink") } }),
    trace("end of what it holds", all.filter((place) => shown.layers[place].clip), (layer) => Math.max(largestOf(layer.clip)), { symbol: "line-ew-open", size: 13, color: colour("missed"), line: { width: 2, color: colour("missed") } }),
  ];
}

// Layers without a ratio stand at the bottom, with a cross.
function layerBroken(measure, shown) {
  const places = shown.layers.map((_, place) => place).filter((place) => measure.value(shown.layers[place]) === null);
  if (!places.length) return [];
  const known = shown.layers.map(measure.value).filter((value) => value !== null);
  const floor = shown.measure === "sqnr" ? 0 : Math.max(LAYER_LEAST, ...known);
  return [{
    type: "scatter", mode: "markers", name: "no ratio", x: places, y: places.map(() => floor), cliponaxis: false,
    hovertext: places.map((place) => lines(shown.layers[place].hover)), hoverinfo: "text", customdata: places.map((place) => ["group", shown.layers[place].id]),
    marker: { symbol: "x", size: 9, color: colour("missed") },
  }];
}

function layersDepth(node) {
  const shown = layersShown;
  const measure = LAYER_MEASURES[shown.measure];
  shown.top = layerTop(shown.layers);
  const shapes = [];
  const annotations = [];
  const exact = shown.layers.findIndex((layer) => layer.sqnr >= 200);
  if (shown.measure === "sqnr" && exact >= 0) annotations.push({ x: exact, y: shown.top, xshift: 9, xanchor: "left", showarrow: false, text: "equal", font: { size: 11.5, color: colour("muted") } });
  const bar = (x, name, text, top) => {
    shapes.push({ type: "line", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, layer: "below", line: { color: colour(name), width: 1.5, dash: top ? "dash" : "solid" } });
    annotations.push({ yref: "paper", y: 1, yanchor: "bottom", yshift: top ? 18 : 2, x, xanchor: x > shown.layers.length / 2 ? "right" : "left", showarrow: false, text: plain(text), font: { size: 12, color: colour("ink") } });
  };
  if (shown.start !== null) bar(shown.start, "missed", "the error starts to grow here", true);
  const chosen = shown.layers.findIndex((layer) => layer.id === shown.group);
  if (chosen >= 0) bar(chosen, "link", shown.layers[chosen].label, false);
  return {
    traces: [...layerReference(shown), ...layerDots(measure, shown), ...layerBroken(measure, shown)],
    layout: layout({
      height: 440, margin: { l: 64, r: 18, t: 44, b: narrow(node) ? 130 : 96 }, shapes, annotations,
      xaxis: { title: title(narrow(node) ? "Depth" : "Depth: layers in the order they are computed"), showgrid: false, range: [-0.6, shown.layers.length - 0.4] },
      yaxis: { title: title(measure.axis), type: measure.type, range: shown.measure === "sqnr" ? [Math.min(0, ...shown.layers.map((layer) => layer.sqnr ?? 0)) - 2, 1.04 * shown.top] : undefined, tickformat: "~g", dtick: measure.type === "log" ? decades(shown.layers.map(measure.value).filter((value) => value !== null)) : undefined }, // a power of ten with a raised exponent would set an inline style
    }),
  };
}

addKind("layers-depth", layersDepth);

// Ticks of a logarithmic axis: 1, 2, 5 of each decade where there are few decades.
function decades(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return high / low < 300 ? "D2" : undefined;
}

// Another layer is chosen: only the lines move.
function moveLines(node) {
  const { shapes, annotations } = layersDepth(node).layout;
  Plotly.relayout(node, { shapes, annotations });
}

function layerBins(layer) {
  const [low, high, counts] = layer.bins;
  const width = (high - low) / 64;
  return counts.map((n, index) => ({ from: low + index * width, to: low + (index + 1) * width, n }));
}

addKind("layers-histogram", () => {
  const layer = layersShown.layers.find((one) => one.id === layersShown.group);
  if (!layer?.bins) return { traces: [], layout: layout({ height: 120, xaxis: { visible: false }, yaxis: { visible: false } }) };
  const bins = layerBins(layer);
  const [low, high] = [layer.bins[0], layer.bins[1]];
  const room = 0.06 * (high - low);
  const range = [low - room, high + room];
  const shapes = [];
  const annotations = [];
  (layer.clip ?? []).forEach((end, index) => {
    const inside = end >= range[0] - 2 * room && end <= range[1] + 2 * room;
    if (inside) {
      range[index] = index ? Math.max(range[1], end + room) : Math.min(range[0], end - room);
      shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: end, x1: end, line: { color: colour("missed"), width: 1.8, dash: "dash" } });
    }
    const at = inside ? end : range[index];
    const share = (at - range[0]) / (range[1] - range[0]);
    const anchor = index === 0 ? (share < 0.3 ? "left" : "right") : (share > 0.7 ? "right" : "left");
    annotations.push({ yref: "paper", y: 1, yanchor: "bottom", yshift: index ? 0 : 15, x: at, xanchor: anchor, showarrow: false, font: { size: 12, color: colour("ink") }, text: plain(`${inside ? "" : index ? "" : "← "}holds ${index ? "up to" : "from"} ${layer.clipText[index]}${!inside && index ? " →" : ""}`) });
    if (inside) shapes.push({ type: "rect", yref: "paper", y0: 0, y1: 1, x0: index ? end : Math.min(range[0], end), x1: index ? Math.max(range[1], end) : end, line: { width: 0 }, fillcolor: colour("missed"), opacity: 0.1 });
  });
  return {
    traces: [{
      type: "bar", x: bins.map((bin) => (bin.from + bin.to) / 2), y: bins.map((bin) => bin.n), width: bins.map((bin) => bin.to - bin.from),
      marker: { color: colour(LAYER_FORMATS[layer.format].colour), line: { width: 0 } }, name: "float values", cliponaxis: false,
      hovertext: bins.map((bin) => `${bin.n.toLocaleString("en")} values from ${bin.from.toPrecision(4)} to ${bin.to.toPrecision(4)}`), hoverinfo: "text",
    }],
    layout: layout({
      height: 350, margin: { l: 64, r: 18, t: 44, b: 52 }, showlegend: false, bargap: 0, shapes, annotations,
      xaxis: { title: title("Float value"), range, showgrid: false },
      yaxis: { title: title("Values (log)"), type: "log", rangemode: "tozero", dtick: 1, tickformat: "~s" },
    }),
  };
});

function tellLayer(element, layer) {
  const figure = element.querySelector("#layers-histogram");
  figure.querySelector("h3").textContent = layer ? `Values of ${layer.name}` : "Values of one layer";
  figure.querySelector(".summary").textContent = layer ? layer.told : figure.dataset.hint;
  figure.querySelector("tbody").replaceChildren(...(layer?.bins ? layerBins(layer) : []).map((bin) => {
    const row = document.createElement("tr");
    [bin.from.toPrecision(6), bin.to.toPrecision(6), bin.n.toLocaleString("en")].forEach((text) => {
      const cell = document.createElement("td");
      cell.className = "num";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }));
}

// `page` gives `data` and `selection`.
export function mountLayers(element, page) {
  const { selection } = page;
  Object.assign(layersShown, page.data);
  const figure = element.querySelector("#layers-histogram");
  figure.dataset.hint = figure.querySelector(".summary").textContent;
  const measure = element.querySelector("[data-layers-measure]");
  const rows = [...element.querySelectorAll("#layers-depth tbody tr")];
  let shown = null;
  const show = () => {
    const wanted = selection.get("measure");
    layersShown.measure = wanted in LAYER_MEASURES ? wanted : "sqnr";
    measure.value = layersShown.measure;
    const group = selection.get("group");
    const found = layersShown.layers.find((layer) => layer.id === group) ?? layersShown.layers[layersShown.start ?? -1] ?? layersShown.layers[layersShown.layers.length - 1];
    const key = `${found?.id} ${layersShown.measure}`;
    if (key === shown) return;
    const isMoved = shown?.endsWith(` ${layersShown.measure}`);
    shown = key;
    layersShown.group = found?.id ?? null;
    rows.forEach((row) => row.toggleAttribute("data-selected", row.cells[3].textContent === layersShown.group));
    tellLayer(element, found);
    tellPicked(element, layersShown.group, found?.name);
    const [depth, values] = element.querySelectorAll("[data-chart]");
    setTimeout(() => { // after what was clicked has answered
      if (isMoved) moveLines(depth);
      else draw(depth);
      draw(values);
    });
  };
  measure.addEventListener("change", () => selection.set("measure", measure.value === "sqnr" ? null : measure.value));
  element.addEventListener("keydown", (event) => {
    if (!event.target.closest("[data-layers-keys]") || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const at = layersShown.layers.findIndex((layer) => layer.id === layersShown.group) + (event.key === "ArrowRight" ? 1 : -1);
    const next = layersShown.layers[at];
    if (next) selection.set("group", next.id);
    event.preventDefault();
  });
  element.querySelector("[data-layers-keys]").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-step]");
    if (!button) return;
    const next = layersShown.layers[layersShown.layers.findIndex((layer) => layer.id === layersShown.group) + Number(button.dataset.step)];
    if (next) selection.set("group", next.id);
  });
  selection.onChange(show);
  show();
}
