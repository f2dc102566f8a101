// The marks of the precision map: SVG elements for boxes, edges, format changes and scopes. Text goes in as text nodes.

import { MAP_BOX, MAP_LANE, MAP_PITCH } from "./map_scene.js";

const MAP_NS = document.querySelector("svg")?.namespaceURI; // written in no page: nothing in it names another place

export function mapElement(name, attributes, ...children) {
  const found = document.createElementNS(MAP_NS, name);
  Object.entries(attributes).forEach(([key, value]) => value !== undefined && found.setAttribute(key, value));
  found.append(...children);
  return found;
}

const mapText = (text, attributes) => mapElement("text", attributes, document.createTextNode(text));
const MAP_SHORT = { int8: "8", int16: "16", fp16: "F16", fp32: "F32" };

function mapBox(item, name) {
  const { width, height } = MAP_BOX;
  const group = mapElement("g", { class: name, "data-key": item.key, transform: `translate(${(item.cx - width / 2).toFixed(1)},${(item.cy - height / 2).toFixed(1)})` });
  group.append(mapElement("rect", { class: "box", width, height, rx: item.node && item.node.kind !== "group" ? height / 2 : 7 }));
  return group;
}

// The coloured block at the left of a group: one letter, or one per side of a gemm.
function mapBlock(precision, x, width) {
  const found = mapElement("g", { class: `block b-${precision.kind}` });
  found.append(mapElement("path", { d: `M${x + 7},.5 h${width - 7} v${MAP_BOX.height - 1} h${7 - width} a6.5,6.5 0 0 1 -6.5,-6.5 v${14 - MAP_BOX.height} a6.5,6.5 0 0 1 6.5,-6.5z` }));
  precision.letters.forEach((letter, index) => {
    const y = precision.letters.length > 1 ? 16.5 + 13 * index : 23.5;
    found.append(mapText(letter, { class: precision.letters.length > 1 ? "letter half" : "letter", x: x + width / 2, y }));
  });
  return found;
}

function mapGroup(map, item, shown) {
  const { node } = item;
  const precision = map.precisions[shown.now[node.id]];
  const before = shown.before && shown.before[node.id] !== shown.now[node.id] ? map.precisions[shown.before[node.id]] : null;
  const group = mapBox(item, `map-node k-box-${precision.kind}${shown.before && !before ? " same" : ""}`);
  group.append(mapElement("rect", { class: `far b-${precision.kind}`, width: MAP_BOX.width, height: MAP_BOX.height, rx: 7 }));
  if (before) {
    group.append(mapBlock(before, 0, 38), mapText("→", { class: "arrow", x: 45, y: 23.5 }));
    const after = mapBlock(precision, 0, 38);
    after.setAttribute("transform", "translate(52,0)");
    group.append(after, mapText(mapCut(node.label, 9), { class: "label", x: 96, y: 23.5 }));
  } else {
    group.append(mapBlock(precision, 0, 38), mapText(node.label, { class: "label", x: 46, y: 17 }), mapText(`${node.op.length > 13 ? `${node.op.slice(0, 12)}…` : node.op} · ${node.cost}`, { class: "sub", x: 46, y: 30 }));
  }
  group.append(mapElement("rect", { class: "cost", x: 46, y: MAP_BOX.height - 4, width: (node.bar * (MAP_BOX.width - 54)).toFixed(1), height: 2 }));
  group.append(mapText(precision.letters.join(" "), { class: "far letter", x: MAP_BOX.width / 2, y: 28 }));
  group.append(mapElement("title", {}, document.createTextNode(mapTold(map, node, shown))));
  return group;
}

const mapCut = (text, most) => (text.length > most ? `…${text.slice(1 - most)}` : text);

export const mapEndKind = (node) => (node.kind === "given" ? "no group writes it" : `model ${node.kind}`);

export function mapTold(map, node, shown) {
  if (node.kind !== "group") return `${node.name}, ${mapEndKind(node)}`;
  const now = map.precisions[shown.now[node.id]].name;
  const before = shown.before ? map.precisions[shown.before[node.id]].name : now;
  return `${node.name}, ${node.op}, ${before === now ? now : `${before} → ${now}`}, ${node.compute} of compute`;
}

function mapScope(map, item, shown) {
  const scope = map.scopes[item.scope];
  const group = mapBox(item, "map-node scope");
  const counts = new Map();
  item.members.forEach((index) => {
    const digit = shown.now[map.nodes[index].id];
    counts.set(digit, (counts.get(digit) ?? 0) + 1);
  });
  group.append(mapElement("rect", { class: "box back", x: 4, y: 4, width: MAP_BOX.width, height: MAP_BOX.height, rx: 7 }), group.firstChild);
  let x = 10;
  const room = MAP_BOX.width - 20;
  [...counts].sort(([a], [b]) => a - b).forEach(([digit, n]) => {
    const width = (room * n) / item.members.length;
    group.append(mapElement("rect", { class: `b-${map.precisions[digit].kind} share`, x: x.toFixed(1), y: 24, width: Math.max(1, width - 1).toFixed(1), height: 7, rx: 1.5 }));
    x += width;
  });
  const changed = shown.before ? item.members.filter((index) => shown.before[map.nodes[index].id] !== shown.now[map.nodes[index].id]).length : 0;
  const told = changed ? `${changed} of ${item.members.length} differ` : `${item.members.length} groups`;
  group.append(mapText(`+ ${mapCut(scope.label, 13)}`, { class: "label", x: 10, y: 17 }), mapText(told, { class: "sub end", x: MAP_BOX.width - 10, y: 17 }));
  if (shown.before && !changed) group.classList.add("same");
  const mix = [...counts].sort(([a], [b]) => a - b).map(([digit, n]) => `${n} ${map.precisions[digit].name}`).join(", ");
  group.append(mapElement("title", {}, document.createTextNode(`${scope.name}: ${mix}. Enter or double-click opens it.`)));
  return group;
}

function mapEnd(item) {
  const group = mapBox(item, "map-node end");
  group.append(mapText(item.node.label, { class: "label middle", x: MAP_BOX.width / 2, y: 17 }), mapText(mapEndKind(item.node), { class: "sub middle", x: MAP_BOX.width / 2, y: 30 }));
  group.append(mapElement("title", {}, document.createTextNode(`${item.node.name}, ${mapEndKind(item.node)}`)));
  return group;
}

export function mapMark(map, item, shown) {
  if (item.scope !== undefined) return mapScope(map, item, shown);
  return item.node.kind === "group" ? mapGroup(map, item, shown) : mapEnd(item);
}

// From the bottom of the source through its bends to the top of the target.
export function mapPath(edge) {
  const half = MAP_BOX.height / 2;
  let [x, y] = [edge.source.cx, edge.source.cy + half];
  let path = `M${x.toFixed(1)},${y.toFixed(1)}`;
  const curve = (toX, toY) => {
    const middle = (y + toY) / 2;
    path += toX === x ? `V${toY.toFixed(1)}` : `C${x.toFixed(1)},${middle.toFixed(1)} ${toX.toFixed(1)},${middle.toFixed(1)} ${toX.toFixed(1)},${toY.toFixed(1)}`;
    [x, y] = [toX, toY];
  };
  edge.points.forEach((point) => {
    curve(point.x, point.y - half);
    path += `V${(point.y + half).toFixed(1)}`;
    y = point.y + half;
  });
  curve(edge.target.cx, edge.target.cy - half);
  return path;
}

// Where a tensor changes its format: labels above the box that reads it, side by side in the order they come from.
export function mapCasts(edges) {
  const byTarget = new Map();
  edges.filter((edge) => edge.isCast).forEach((edge) => byTarget.set(edge.target, [...(byTarget.get(edge.target) ?? []), edge]));
  const from = (edge) => (edge.points.length ? edge.points[edge.points.length - 1].x : edge.source.cx);
  return [...byTarget.values()].flatMap((found) => {
    if (found.length === 1) return [mapCast(found[0], (from(found[0]) - found[0].target.cx) * 0.2)];
    found.sort((a, b) => from(a) - from(b));
    return found.map((edge, index) => mapCast(edge, (index - (found.length - 1) / 2) * 54));
  });
}

function mapCast(edge, shift) {
  const x = edge.target.cx + shift;
  const y = edge.target.cy - MAP_BOX.height / 2 - 11;
  const told = `${MAP_SHORT[edge.stored]}→${MAP_SHORT[edge.read]}`;
  const width = 12 + 6.2 * told.length;
  const mark = mapElement("g", { class: "cast", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` });
  mark.append(mapElement("rect", { x: -width / 2, y: -8, width, height: 16, rx: 8 }), mapText(told, { x: 0, y: 4 }));
  mark.append(mapElement("title", {}, document.createTextNode(`${edge.tensor}: stored in ${edge.stored}, read in ${edge.read}`)));
  return mark;
}

export function mapBracket(map, bracket, scene) {
  const x = scene.barrier - (bracket.lane + 1) * MAP_LANE + MAP_LANE / 2;
  const top = bracket.first * MAP_PITCH.y - MAP_BOX.height / 2;
  const bottom = bracket.last * MAP_PITCH.y + MAP_BOX.height / 2;
  const mark = mapElement("g", { class: "bracket", "data-close": bracket.scope });
  mark.append(mapElement("rect", { class: "hit", x: x - MAP_LANE / 2, y: top, width: MAP_LANE, height: bottom - top }));
  mark.append(mapElement("path", { d: `M${x + 5},${top} h-5 V${bottom} h5` }));
  const most = Math.floor((bottom - top - 20) / 6.4);
  const label = map.scopes[bracket.scope].label;
  if (most >= 3) mark.append(mapText(mapCut(label, Math.max(6, most)), { transform: `translate(${x},${(top + bottom) / 2}) rotate(-90)`, y: 4 }));
  mark.append(mapElement("title", {}, document.createTextNode(`${map.scopes[bracket.scope].name}: click collapses it`)));
  return mark;
}
