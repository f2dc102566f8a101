// What of the precision map is seen, and where: nodes, collapsed scopes and edges with their places. No DOM.

export const MAP_PITCH = { x: 190, y: 66 };
export const MAP_BOX = { width: 168, height: 38 };
export const MAP_LANE = 17;

// Outermost collapsed scope of every scope, itself included; -1 where none is.
function mapOwners(scopes, closed) {
  const owners = [];
  scopes.forEach((scope, index) => {
    const around = scope.parent === null ? -1 : owners[scope.parent];
    owners.push(around >= 0 ? around : closed.has(index) ? index : -1);
  });
  return owners;
}

// Positions in a row with at least 1 between neighbours, moved as little as possible: neighbours too close are
// pooled around their mean.
function mapSpread(wanted) {
  const pools = [];
  wanted.forEach((x, index) => {
    let pool = { sum: x - index, n: 1 };
    while (pools.length && pools[pools.length - 1].sum / pools[pools.length - 1].n > pool.sum / pool.n) {
      const before = pools.pop();
      pool = { sum: pool.sum + before.sum, n: pool.n + before.n };
    }
    pools.push(pool);
  });
  const found = [];
  pools.forEach((pool) => {
    for (let n = 0; n < pool.n; n += 1) found.push(pool.sum / pool.n + found.length);
  });
  return found;
}

// Nodes and collapsed scopes that are seen, each with its row and place of the drawing.
function mapItems(map, closed) {
  const owners = mapOwners(map.scopes, closed);
  const boxes = new Map();
  const ownerOf = map.nodes.map((node) => (node.kind === "group" && node.scope !== null ? owners[node.scope] : -1));
  const items = [];
  const itemOf = map.nodes.map((node, index) => {
    if (ownerOf[index] < 0) {
      items.push({ key: node.id, node, members: [index], row: node.row, x: node.x });
      return items[items.length - 1];
    }
    let box = boxes.get(ownerOf[index]);
    if (!box) {
      box = { key: `scope-${ownerOf[index]}`, scope: ownerOf[index], members: [], row: node.row, x: 0 };
      boxes.set(ownerOf[index], box);
      items.push(box);
    }
    box.members.push(index);
    box.row = Math.min(box.row, node.row);
    box.x += node.x;
    return box;
  });
  boxes.forEach((box) => {
    box.x /= box.members.length;
  });
  return { items, itemOf };
}

function mapPlace(items) {
  const rows = new Map();
  items.forEach((item) => rows.set(item.row, [...(rows.get(item.row) ?? []), item]));
  const used = [...rows.keys()].sort((a, b) => a - b);
  used.forEach((row, line) => {
    const found = rows.get(row).sort((a, b) => a.x - b.x || a.members[0] - b.members[0]);
    mapSpread(found.map((item) => item.x)).forEach((x, index) => {
      Object.assign(found[index], { line, left: index ? found[index - 1] : null, cx: x * MAP_PITCH.x, cy: line * MAP_PITCH.y });
      if (index) found[index - 1].right = found[index];
    });
  });
  return new Map(used.map((row, line) => [row, line]));
}

function mapEdges(map, itemOf, lineOf, isOpen) {
  const seen = new Map();
  map.edges.forEach(([from, to, stored, read, bends, tensor]) => {
    const [source, target] = [itemOf[from], itemOf[to]];
    if (source === target) return;
    const key = `${source.key} ${target.key} ${stored} ${read}`;
    if (seen.has(key)) return;
    const points = [];
    bends.forEach((x, index) => {
      const line = lineOf.get(map.nodes[from].row + 1 + index);
      if (isOpen && line !== undefined) points.push({ x: x * MAP_PITCH.x, y: line * MAP_PITCH.y });
    });
    seen.set(key, { source, target, stored, read, points, tensor, isCast: stored !== read });
  });
  return [...seen.values()];
}

// Brackets beside the drawing, one per open scope: its first and last line, in the first lane that is free there.
function mapBrackets(map, items, closed) {
  const owners = mapOwners(map.scopes, closed);
  const spans = map.scopes.map(() => ({ first: Infinity, last: -Infinity }));
  items.forEach((item) => {
    let scope = item.scope === undefined ? item.node.scope ?? null : map.scopes[item.scope].parent;
    for (; scope !== null; scope = map.scopes[scope].parent) {
      spans[scope].first = Math.min(spans[scope].first, item.line);
      spans[scope].last = Math.max(spans[scope].last, item.line);
    }
  });
  const lanes = [];
  return map.scopes.map((_, index) => index).reverse().flatMap((index) => { // inner scopes stand closer
    if (owners[index] >= 0 || spans[index].first === Infinity) return [];
    const { first, last } = spans[index];
    let lane = 0;
    while ((lanes[lane] ?? []).some(([from, to]) => first <= to && from <= last)) lane += 1;
    (lanes[lane] ??= []).push([first, last]);
    return [{ scope: index, lane, first, last }];
  });
}

// Everything seen with some scopes collapsed, in units of the drawing.
export function mapScene(map, closed) {
  const { items, itemOf } = mapItems(map, closed);
  const lineOf = mapPlace(items);
  const edges = mapEdges(map, itemOf, lineOf, closed.size === 0);
  const brackets = mapBrackets(map, items, closed);
  const lanes = Math.max(0, ...brackets.map((bracket) => bracket.lane + 1));
  const xs = items.map((item) => item.cx);
  const left = Math.min(...xs) - MAP_BOX.width / 2 - (lanes ? 14 + lanes * MAP_LANE : 0);
  const right = Math.max(...xs) + MAP_BOX.width / 2;
  const byKey = new Map(items.map((item) => [item.key, item]));
  const box = { x: left, y: -MAP_BOX.height / 2, width: right - left, height: Math.max(0, lineOf.size - 1) * MAP_PITCH.y + MAP_BOX.height };
  return { items, byKey, itemOf, edges, brackets, lanes, box, barrier: Math.min(...xs) - MAP_BOX.width / 2 - 14 };
}
