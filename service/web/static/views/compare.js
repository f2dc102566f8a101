// Fronts of several studies in one chart: told apart by colour, symbol and dash.

import { addKind, colour, drawAll, layout, narrow, plain, title } from "../charts.js";

const LOOKS = [
  { token: "activation", symbol: "circle", dash: "solid" },
  { token: "weight", symbol: "square", dash: "dash" },
  { token: "met", symbol: "diamond", dash: "dot" },
  { token: "infeasible", symbol: "triangle-up", dash: "dashdot" },
  { token: "early", symbol: "cross", dash: "longdash" },
];

function drawFronts(node, chart) {
  const traces = chart.sides.flatMap((side, place) => {
    const look = LOOKS[place % LOOKS.length];
    const hue = colour(look.token);
    const line = {
      type: "scatter", mode: "lines+markers", name: plain(side.label), x: side.x, y: side.y, cliponaxis: false,
      hovertext: side.hover.map((text) => `${plain(side.label)}<br>${plain(text)}`), hoverinfo: "text",
      line: { shape: "hv", color: hue, width: 2, dash: look.dash }, marker: { symbol: look.symbol, size: 9, color: hue },
    };
    if (!side.at || side.at.y === null) return [line];
    const at = {
      type: "scatter", mode: "markers", showlegend: false, x: [side.at.x], y: [side.at.y], hoverinfo: "skip", cliponaxis: false,
      marker: { symbol: `${look.symbol}-open`, size: 19, color: hue, line: { width: 2.5, color: hue } },
    };
    return [line, at];
  });
  return {
    traces,
    layout: layout({
      height: 430, margin: { l: 64, r: narrow(node) ? 16 : 40, t: 20, b: 96 },
      xaxis: { title: title("Cost (estimate)"), showgrid: false },
      yaxis: { title: title(plain(chart.metric)), autorange: chart.better === "lower" ? "reversed" : true },
    }),
  };
}

export function mount() {
  addKind("fronts", drawFronts);
  drawAll();
}
