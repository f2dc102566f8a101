// Draws the charts of the page from its JSON block, with the colours of the style sheet.
// All text comes from the data; this module only places marks. Names are hostile: plain() before any of plotly's text.

const charts = {};
const selected = {};
const root = document.documentElement;

export const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
export const lines = (texts) => texts.map(plain).join("<br>");
export const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
export const narrow = (node) => node.clientWidth < 560;

// What all charts share.
export function layout(extra) {
  const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, ticks: "", automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("muted") },
    hoverlabel: {
      bgcolor: colour("surface"), bordercolor: colour("early"), align: "left",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 12.5 },
    },
    hovermode: "closest",
    showlegend: true,
    legend: { orientation: "h", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
    ...extra,
    xaxis: { ...axis, ...extra.xaxis },
    yaxis: { ...axis, ...extra.yaxis },
  };
}

export const title = (text) => ({ text, standoff: 12, font: { size: 12.5 } });

const MARKS = {
  met: { symbol: "circle", name: "met", colour: "met" },
  not_met: { symbol: "x", name: "not met", colour: "missed" },
  promising: { symbol: "circle-open", name: "met so far", colour: "met" },
  rejected: { symbol: "triangle-down-open", name: "rejected early", colour: "early" },
  fail: { symbol: "diamond-open", name: "cannot run on the chip", colour: "infeasible" },
};

// The good end of the accuracy axis is always up.
function accuracyAxis(chart) {
  const [low, high] = chart.window;
  return { title: title(plain(chart.metric)), range: chart.better === "lower" ? [high, low] : [low, high] };
}

// A trial without any value still happened: it stands at the bad end.
const floor = (chart) => (chart.better === "lower" ? chart.window[1] : chart.window[0]);

// An estimate of the full set has its interval as a bar; a value that was measured has none.
function estimateBars(points, mark) {
  const reach = (end) => points.map((point) => (point[end] === null || point.y === null ? 0 : Math.abs(point[end] - point.y)));
  return { type: "data", symmetric: false, array: reach("high"), arrayminus: reach("low"), color: colour(mark.colour), thickness: 1, width: 3 };
}

function trialTraces(chart, x, { labels }) {
  return Object.entries(MARKS).flatMap(([verdict, mark]) => {
    const points = chart.points.filter((point) => point.verdict === verdict && x(point) !== null);
    if (!points.length) return [];
    const told = (point) => {
      const parts = [];
      if (point.outside) parts.push(`${point.value} ↓`);
      if (point.y === null) parts.push("no value");
      if (labels && !point.chosen) parts.push(point.cost_text);
      return plain(parts.join(" · "));
    };
    return [{
      type: "scatter", mode: "markers+text", name: mark.name, cliponaxis: false,
      x: points.map(x), y: points.map((point) => point.y ?? floor(chart)),
      text: points.map(told),
      textposition: points.map((point) => (verdict === "met" || point.outside || point.y === null ? "top center" : "bottom center")),
      textfont: { size: 11, color: colour("muted") },
      hovertext: points.map((point) => lines(point.hover)), hoverinfo: "text", customdata: points.map((point) => ["trial", String(point.x)]),
      marker: { symbol: mark.symbol, size: 10, color: colour(mark.colour), line: { width: mark.symbol.endsWith("open") ? 2 : 0, color: colour(mark.colour) } },
      error_y: estimateBars(points, mark),
    }];
  });
}

// The lines are labelled right of the plot where there is room.
function goalLines(chart, inside) {
  const shapes = chart.lines.map((line) => ({
    type: "line", xref: "paper", x0: 0, x1: 1, y0: line.y, y1: line.y, layer: "below",
    line: { color: colour(line.kind === "required" ? "goal" : "early"), width: line.kind === "required" ? 1.6 : 1.2, dash: line.kind === "required" ? "dash" : "dot" },
  }));
  const required = chart.lines.find((line) => line.kind === "required");
  if (required) {
    const top = chart.better === "lower" ? chart.window[0] : chart.window[1];
    shapes.unshift({ type: "rect", xref: "paper", x0: 0, x1: 1, y0: required.y, y1: top, layer: "below", line: { width: 0 }, fillcolor: colour("met"), opacity: 0.07 });
  }
  const span = chart.window[1] - chart.window[0];
  const ys = chart.lines.map((line) => line.y);
  const crowded = (Math.max(...ys) - Math.min(...ys)) / span < 0.07;
  const beside = (line) => (crowded && ys.length > 1 ? (line.kind === "float" ? "bottom" : "top") : "middle");
  const annotations = chart.lines.map((line) => ({
    xref: "paper", x: 1, xanchor: inside ? "right" : "left", xshift: inside ? 0 : 6, y: line.y, showarrow: false,
    yanchor: inside ? (line.kind === "float" ? "bottom" : "top") : beside(line), align: "left",
    text: plain(line.text), font: { size: 12, color: colour(line.kind === "required" ? "ink" : "muted") },
  }));
  return { shapes, annotations };
}

// Greedy line breaks between words, at most `most` characters a line.
function wrap(name, most) {
  const rows = [""];
  for (const word of name.split(" ")) {
    const last = rows[rows.length - 1];
    if (!last) rows[rows.length - 1] = word;
    else if (last.length + 1 + word.length <= most) rows[rows.length - 1] = `${last} ${word}`;
    else rows.push(word);
  }
  return lines(rows);
}

function drawLadder(node, chart) {
  const points = chart.points;
  const { shapes, annotations } = goalLines(chart, narrow(node));
  const first = points[0].x - 0.6;
  const last = points[points.length - 1].x + 0.6;
  const pixels = (node.clientWidth - (narrow(node) ? 90 : 190)) / (last - first);
  const width = (stage) => (stage.last - stage.first + 1) * pixels;
  const longest = (stage) => Math.max(...stage.name.split(" ").map((word) => word.length));
  const slanted = chart.stages.some((stage) => longest(stage) * 6.8 > width(stage));
  chart.stages.forEach((stage, index) => {
    if (index) shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: stage.first - 0.5, x1: stage.first - 0.5, layer: "below", line: { color: colour("line"), width: 1 } });
    if (!stage.name || width(stage) < 14) return;
    annotations.push({
      yref: "paper", y: 1, yanchor: "bottom", x: slanted ? stage.first - 0.3 : (stage.first + stage.last) / 2, xanchor: slanted ? "left" : "center",
      yshift: 4, textangle: slanted ? -28 : 0, showarrow: false, text: slanted ? plain(stage.name) : wrap(stage.name, width(stage) / 6.8), font: { size: 12, color: colour("muted") },
    });
  });
  const chosen = points.find((point) => point.chosen);
  const traces = [
    {
      type: "scatter", mode: "lines", showlegend: false, hoverinfo: "skip", cliponaxis: false,
      x: points.map((point) => point.x), y: points.map((point) => point.y ?? floor(chart)),
      line: { shape: "hvh", color: colour("early"), width: 1 }, opacity: 0.55,
    },
    ...trialTraces(chart, (point) => point.x, { labels: points.length <= 40 }),
  ];
  if (chosen) traces.push(ring([chosen.x], [chosen.y], chosen.cost_text, lines(chosen.hover)));
  traces.push(...selectedTrial(chart, points, (point) => point.x));
  const tallest = Math.max(...chart.stages.map((stage) => stage.name.length));
  const top = slanted ? Math.min(120, 24 + 3.4 * tallest) : 54;
  return {
    traces,
    layout: layout({
      height: 376 + top, margin: { l: 64, r: narrow(node) ? 16 : 118, t: top, b: 84 }, shapes, annotations,
      xaxis: { title: title(points.length <= 40 ? "Trial; the number at each mark is its cost" : "Trial"), range: [first, last], showgrid: false, dtick: points.length <= 40 ? 1 : undefined },
      yaxis: accuracyAxis(chart),
    }),
  };
}

function ring(x, y, text, hover) {
  return {
    type: "scatter", mode: "markers+text", name: "chosen", x, y, text: x.map(() => plain(text)), textposition: "top center",
    textfont: { size: 13, weight: 700, color: colour("ink") }, hovertext: x.map(() => hover), hoverinfo: "text", cliponaxis: false,
    marker: { symbol: "circle-open", size: 19, color: colour("ink"), line: { width: 2, color: colour("ink") } },
  };
}

// The trial that is selected on the page, wherever it was clicked.
function selectedTrial(chart, points, x) {
  const point = points.find((one) => String(one.x) === selected.trial);
  if (!point) return [];
  return [{
    type: "scatter", mode: "markers", name: "selected", x: [x(point)], y: [point.y ?? floor(chart)], hoverinfo: "skip", cliponaxis: false,
    marker: { symbol: "square-open", size: 22, color: colour("link"), line: { width: 2.5, color: colour("link") } },
  }];
}

function drawCost(node, chart) {
  const source = charts[chart.points_of];
  const placed = source.points.filter((point) => point.cost !== null && point.y !== null);
  const { shapes, annotations } = goalLines(source, narrow(node));
  chart.bounds.forEach((bound, index) => {
    shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: bound.cost, x1: bound.cost, layer: "below", line: { color: colour("early"), width: 1, dash: "dot" } });
    annotations.push({ yref: "paper", y: 1, yanchor: "bottom", x: bound.cost, xanchor: index ? "right" : "left", showarrow: false, text: plain(bound.text), font: { size: 12, color: colour("muted") } });
  });
  const front = chart.front.map((trial) => placed.find((point) => point.x === trial)).filter(Boolean);
  const traces = [];
  if (front.length) {
    traces.push({
      type: "scatter", mode: "lines", name: "front", x: front.map((point) => point.cost), y: front.map((point) => point.y),
      line: { shape: "hv", color: colour("met"), width: 2 }, hoverinfo: "skip", cliponaxis: false,
    });
  }
  traces.push(...trialTraces({ ...source, points: placed }, (point) => point.cost, { labels: false }));
  if (chart.chosen) {
    const mark = ring([chart.chosen.x], [chart.chosen.y], chart.chosen.text, lines(chart.chosen.hover));
    const { low, high, y } = chart.chosen;
    if (low !== null && high !== null) mark.error_y = { type: "data", symmetric: false, array: [high - y], arrayminus: [y - low], color: colour("ink"), thickness: 1.4, width: 5 };
    mark.textposition = "middle right";
    traces.push(mark);
  }
  traces.push(...selectedTrial(source, placed, (point) => point.cost));
  return {
    traces,
    layout: layout({
      height: 430, margin: { l: 64, r: narrow(node) ? 16 : 118, t: 30, b: 84 }, shapes, annotations,
      xaxis: { title: title(plain(chart.cost_title)), showgrid: false, range: costRange(placed, chart) }, yaxis: accuracyAxis(source),
    }),
  };
}

function costRange(points, chart) {
  const all = [...points.map((point) => point.cost), ...chart.bounds.map((bound) => bound.cost)];
  const low = Math.min(...all);
  const high = Math.max(...all);
  const margin = 0.05 * (high - low) || 0.05 * high || 1;
  return [low - margin, high + margin];
}

function drawBars(node, chart) {
  const rows = chart.rest ? [...chart.rows, { ...chart.rest, kind: "rest", hover: [chart.rest.label, chart.rest.text] }] : chart.rows;
  const isChosen = (row) => Boolean(row.group) && row.group === selected.group;
  const kinds = [
    { kind: "activation", name: "A activation", letter: "A ", colour: "activation", pattern: "" },
    { kind: "weight", name: "W weight", letter: "W ", colour: "weight", pattern: "/" },
    { kind: "rest", name: "the rest, summed", letter: "", colour: "early", pattern: "." },
  ];
  const traces = kinds.flatMap(({ kind, name, colour: fill, pattern }) => {
    const places = rows.map((row, place) => place).filter((place) => rows[place].kind === kind);
    if (!places.length) return [];
    return [{
      type: "bar", orientation: "h", name, y: places, x: places.map((place) => rows[place].value ?? 0), width: 0.72,
      text: places.map((place) => plain(rows[place].text)), textposition: "outside", cliponaxis: false, textfont: { size: 11, color: colour("muted") },
      hovertext: places.map((place) => lines(rows[place].hover)), hoverinfo: "text",
      customdata: places.map((place) => (rows[place].group ? ["group", rows[place].group] : null)),
      marker: {
        color: colour(fill), line: { color: places.map((place) => colour(isChosen(rows[place]) ? "ink" : fill)), width: places.map((place) => (isChosen(rows[place]) ? 2.5 : 1)) },
        pattern: { shape: pattern, size: 6, solidity: 0.35, fillmode: "overlay", fgcolor: colour("surface"), bgcolor: colour(fill) },
      },
    }];
  });
  const letter = Object.fromEntries(kinds.map((entry) => [entry.kind, entry.letter]));
  const most = narrow(node) ? 16 : 34;
  const short = (text) => (text.length > most ? `…${text.slice(1 - most)}` : text);
  return {
    traces,
    layout: layout({
      height: 84 + 16.5 * rows.length, margin: { l: 10, r: 56, t: 34, b: 36 }, barmode: "overlay",
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
      xaxis: { rangemode: "tozero", title: { text: "" }, exponentformat: "e" },
      yaxis: {
        range: [rows.length - 0.4, -0.6], tickmode: "array", tickvals: rows.map((row, place) => place), showgrid: false,
        ticktext: rows.map((row) => plain(letter[row.kind] + (row.kind === "rest" ? row.label : short(row.label)))), tickfont: { size: 11, color: colour("ink") },
      },
    }),
  };
}

function drawCurve(node, chart) {
  return {
    traces: [
      { type: "scatter", mode: "lines", x: chart.x, y: chart.y, line: { color: colour("activation"), width: 2 }, fill: "tozeroy", fillcolor: `${colour("activation")}18`, hovertemplate: "%{x} points: %{y:.1f} %<extra></extra>" },
      {
        type: "scatter", mode: "markers+text", x: chart.marks.map((mark) => mark.x), y: chart.marks.map((mark) => mark.y), text: chart.marks.map((mark) => plain(mark.text)),
        textposition: "bottom right", textfont: { size: 11.5, color: colour("muted") }, marker: { size: 7, color: colour("activation") }, hoverinfo: "skip", cliponaxis: false,
      },
    ],
    layout: layout({
      height: 330, margin: { l: 52, r: 16, t: 12, b: 50 }, showlegend: false,
      xaxis: { title: title("Points, most sensitive first"), rangemode: "tozero", showgrid: false },
      yaxis: { title: title("Share of the summed error, %"), range: [0, 103] },
    }),
  };
}

const DRAW = { ladder: drawLadder, cost: drawCost, bars: drawBars, curve: drawCurve };

// Another view's kind of chart: `make(node, chart)` returns `{ traces, layout }`.
export function addKind(kind, make) {
  DRAW[kind] = make;
}

export function setCharts(found) {
  Object.assign(charts, found);
}

// Kinds of chart in which a selection is seen.
const SHOWN_IN = { trial: ["ladder", "cost"], group: ["bars"] };

// Marks what is selected (`trial`, ...) in every chart that shows it.
export function setSelected(name, value) {
  if (selected[name] === value) return;
  selected[name] = value;
  const shows = SHOWN_IN[name] ?? [];
  document.querySelectorAll("[data-chart]").forEach((node) => visible(node) && shows.includes(charts[node.dataset.chart]?.kind) && draw(node));
}

export function draw(node) {
  const chart = charts[node.dataset.chart];
  const { traces, layout: shape } = DRAW[chart.kind](node, chart);
  const isNew = !node.classList.contains("js-plotly-plot");
  Plotly.react(node, traces, shape, { displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false });
  if (!isNew) return;
  node.on("plotly_click", (event) => {
    const chosen = event.points.map((point) => point.customdata).find(Boolean);
    if (chosen) node.dispatchEvent(new CustomEvent("chart-select", { bubbles: true, detail: { name: chosen[0], value: chosen[1] } }));
  });
}

// Draws the charts again, each in a task of its own; one that is out of sight waits until it is looked at.
export function drawSoon() {
  awaited.disconnect();
  document.querySelectorAll("[data-chart]").forEach((node) => awaited.observe(node));
}

const awaited = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
    awaited.unobserve(target);
    setTimeout(() => target.isConnected && isDrawable(target) && draw(target));
  }),
  { rootMargin: "200px" },
);

const visible = (node) => !node.closest("[hidden]");

const isDrawable = (node) => visible(node) && charts[node.dataset.chart]?.kind in DRAW;

export function drawAll() {
  document.querySelectorAll("[data-chart]").forEach((node) => isDrawable(node) && draw(node));
}
