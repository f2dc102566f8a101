// The precision map: what is shown of it, by mouse and keyboard. `page` gives `data` and `selection`.
//
// Selected: `group` (a node), `trial` (the assignment shown), `against` (the one it is compared with).

import { MAP_BOX, MAP_PITCH, mapScene } from "./map_scene.js";
import { mapBracket, mapCasts, mapElement, mapEndKind, mapMark, mapPath, mapTold } from "./map_marks.js";
import { mapCamera } from "./map_camera.js";

// Node id to precision of one trial; without a number what was delivered.
function mapAssignment(map, number) {
  const trial = map.trials.find((one) => String(one.trial) === String(number));
  const groups = map.nodes.filter((node) => node.kind === "group");
  const names = map.precisions.map((precision) => precision.name);
  return Object.fromEntries(groups.map((node, index) => [node.id, trial ? Number(trial.precisions[index]) : names.indexOf(node.precision)]));
}

function mapDepths(map) {
  const depths = [];
  map.scopes.forEach((scope) => depths.push(scope.parent === null ? 0 : depths[scope.parent] + 1));
  return depths;
}

export function mountMap(element, page) {
  const map = page.data;
  const { selection } = page;
  const find = (name) => element.querySelector(`[data-map="${name}"]`);
  const svg = find("canvas");
  const layers = Object.fromEntries(["brackets", "edges", "nodes", "casts"].map((name) => [name, mapElement("g", { class: `map-${name}` })]));
  const world = mapElement("g", {}, layers.brackets, layers.edges, layers.nodes, layers.casts);
  svg.append(world);
  const overview = mapOverview(find("overview"), (x, y) => camera.show({ cx: x, cy: y }, { always: true }));
  const camera = mapCamera(svg, world, (state) => overview.window(state, svg));
  const state = { closed: new Set(map.collapsed), scene: null, marks: new Map(), shown: { now: {}, before: null }, found: [], at: -1 };
  const nodeOf = new Map(map.nodes.map((node) => [node.id, node]));

  const told = (item) => (item.scope === undefined ? mapTold(map, item.node, state.shown) : `${map.scopes[item.scope].name}, ${item.members.length} groups, collapsed`);
  const chosen = () => selection.get("group")?.split(".")[0] ?? null; // `g3.1` is another result of `g3`
  const current = () => state.scene.byKey.get(chosen()) ?? ownerOf(chosen());
  function ownerOf(id) {
    const index = map.nodes.findIndex((node) => node.id === id);
    return index < 0 ? null : state.scene.itemOf[index];
  }

  function draw() {
    state.scene = mapScene(map, state.closed);
    state.marks = new Map();
    const { scene } = state;
    const isDelivered = !selection.get("trial") || String(map.chosen) === selection.get("trial");
    layers.edges.replaceChildren(...scene.edges.map((edge) => {
      const mark = mapElement("path", { d: mapPath(edge), class: edge.isCast && isDelivered ? "edge cast-edge" : "edge" });
      edge.mark = mark;
      return mark;
    }));
    layers.nodes.replaceChildren(...scene.items.map((item) => {
      const mark = mapMark(map, item, state.shown);
      state.marks.set(item.key, mark);
      return mark;
    }));
    layers.casts.replaceChildren(...(isDelivered ? mapCasts(scene.edges) : []));
    layers.brackets.replaceChildren(...scene.brackets.map((bracket) => mapBracket(map, bracket, scene)));
    find("note").hidden = isDelivered;
    camera.setBox(scene.box);
    overview.draw(map, scene, state.shown);
    mark();
  }

  // What is selected and found, without drawing again.
  function mark() {
    const item = current();
    state.marks.forEach((one, key) => one.classList.toggle("is-selected", key === item?.key));
    state.scene.edges.forEach((edge) => edge.mark.classList.toggle("is-near", Boolean(item) && (edge.source === item || edge.target === item)));
    const found = new Set(state.found.map((index) => state.scene.itemOf[index].key));
    svg.classList.toggle("is-searching", found.size > 0);
    state.marks.forEach((one, key) => one.classList.toggle("is-found", found.has(key)));
    tell(item);
  }

  function tell(item) {
    const box = find("detail");
    box.hidden = !item;
    if (!item) return;
    const node = item.node?.kind === "group" ? nodeOf.get(item.node.id) : null;
    find("name").textContent = item.scope === undefined ? item.node.name : map.scopes[item.scope].name;
    const facts = [];
    if (node) {
      facts.push(["Operator", node.op], ["Precision", map.precisions[state.shown.now[node.id]].name]);
      if (state.shown.before) facts.push(["Compared with", map.precisions[state.shown.before[node.id]].name]);
      if (node.requested) facts.push(["Requested", node.requested]);
      if (node.why) facts.push(["Changed, because", node.why]);
      facts.push(["Compute", node.compute], ["Cost (estimate)", node.cost]);
    } else facts.push(item.scope === undefined ? ["Kind", mapEndKind(item.node)] : ["Groups", String(item.members.length)]);
    const changes = state.scene.edges.filter((edge) => edge.target === item && edge.isCast).map((edge) => `${edge.stored} → ${edge.read}`);
    if (changes.length) facts.push(["Reads converted", [...new Set(changes)].join(", ")]);
    find("facts").replaceChildren(...facts.map(([name, value]) => {
      const row = document.createElement("div");
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = value;
      row.append(term, text);
      return row;
    }));
    element.querySelectorAll("[data-map-link]").forEach((link) => {
      link.hidden = item.scope !== undefined;
      if (item.node) link.setAttribute("href", link.dataset.mapLink + (link.dataset.mapLink.startsWith("#") ? "" : `?group=${encodeURIComponent(item.node.id)}`));
    });
  }

  function open(scope, isOpen) {
    if (isOpen) state.closed.delete(scope);
    else state.closed.add(scope);
    draw();
    camera.apply();
  }
  // Opens what hides a node.
  function reveal(id) {
    const node = nodeOf.get(id);
    let wasHidden = false;
    for (let scope = node?.scope ?? null; scope !== null; scope = map.scopes[scope].parent) wasHidden = state.closed.delete(scope) || wasHidden;
    if (wasHidden) draw();
  }
  function choose(item) {
    if (item.scope === undefined) selection.set("group", item.node.id);
    else selection.set("group", item.key);
    camera.show(item);
    find("status").textContent = told(item);
  }

  function readSelection() {
    const [trial, against] = ["trial", "against"].map((name) => selection.get(name));
    const group = chosen();
    const key = `${trial} ${against}`;
    if (key !== state.key) {
      state.key = key;
      state.shown = { now: mapAssignment(map, trial ?? map.chosen), before: against === null ? null : mapAssignment(map, against) };
      find("trial").value = map.trials.some((one) => String(one.trial) === trial) ? trial : "";
      find("against").value = against ?? "none";
      const differ = state.shown.before ? Object.keys(state.shown.now).filter((id) => state.shown.now[id] !== state.shown.before[id]).length : 0;
      find("difference").textContent = state.shown.before ? `${differ} of ${Object.keys(state.shown.now).length} groups differ; the others are pale.` : "";
      draw();
    } else mark();
    if (group && group !== state.group) {
      reveal(group);
      const item = current();
      if (item) camera.show(item);
      mark();
    }
    state.group = group;
  }

  function search(text) {
    const wanted = text.trim().toLowerCase();
    state.found = wanted ? map.nodes.flatMap((node, index) => (`${node.name} ${node.op ?? ""} ${node.id}`.toLowerCase().includes(wanted) ? [index] : [])) : [];
    state.at = -1;
    find("found").textContent = wanted ? `${state.found.length} found` : "";
    mark();
  }
  function next(step) {
    if (!state.found.length) return;
    state.at = (state.at + step + state.found.length) % state.found.length;
    const node = map.nodes[state.found[state.at]];
    reveal(node.id);
    choose(ownerOf(node.id));
    find("found").textContent = `${state.at + 1} of ${state.found.length}`;
  }

  const steps = {
    ArrowDown: (item) => state.scene.edges.find((edge) => edge.source === item)?.target,
    ArrowUp: (item) => state.scene.edges.find((edge) => edge.target === item)?.source,
    ArrowLeft: (item) => item.left,
    ArrowRight: (item) => item.right,
    Home: () => state.scene.items[0],
    End: () => state.scene.items[state.scene.items.length - 1],
  };
  const moves = { ArrowDown: [0, 120], ArrowUp: [0, -120], ArrowLeft: [-120, 0], ArrowRight: [120, 0] };
  const commands = {
    "+": () => camera.zoom(1.25), "=": () => camera.zoom(1.25), "-": () => camera.zoom(0.8), 0: () => camera.fit(),
    Escape: () => selection.set("group", null),
    Enter: () => {
      const item = current();
      if (item?.scope !== undefined) return openAt(item.scope);
      const scope = item?.node.scope ?? null;
      if (scope !== null) closeAt(scope);
    },
  };
  function openAt(scope) {
    open(scope, true);
    const first = map.nodes.findIndex((node) => node.kind === "group" && mapInside(map, node.scope, scope));
    choose(state.scene.itemOf[first]);
  }
  function closeAt(scope) {
    open(scope, false);
    choose(state.scene.byKey.get(`scope-${scope}`));
  }
  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && moves[event.key]) camera.pan(...moves[event.key]);
    else if (steps[event.key]) {
      const item = current();
      const target = item ? steps[event.key](item) : state.scene.items[0];
      if (target) choose(target);
    } else if (commands[event.key]) commands[event.key]();
    else return;
    event.preventDefault();
  });
  svg.addEventListener("click", (event) => {
    if (camera.wasDragged()) return;
    const box = event.target.closest("[data-close]");
    if (box) return closeAt(Number(box.dataset.close));
    const item = state.scene.byKey.get(event.target.closest("[data-key]")?.dataset.key);
    if (item) choose(item);
  });
  svg.addEventListener("dblclick", (event) => {
    const item = state.scene.byKey.get(event.target.closest("[data-key]")?.dataset.key);
    if (item?.scope !== undefined) openAt(item.scope);
  });
  find("search").addEventListener("input", (event) => search(event.target.value));
  find("search").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    next(event.shiftKey ? -1 : 1);
  });
  find("trial").addEventListener("change", (event) => selection.set("trial", event.target.value || null));
  find("against").addEventListener("change", (event) => selection.set("against", event.target.value === "none" ? null : event.target.value));
  find("level")?.addEventListener("change", (event) => {
    const depths = mapDepths(map);
    const level = Number(event.target.value);
    state.closed = new Set(event.target.value === "all" ? [] : map.scopes.flatMap((_, index) => (depths[index] === level ? [index] : [])));
    draw();
    camera.fit();
  });
  const buttons = { in: () => camera.zoom(1.25), out: () => camera.zoom(0.8), fit: () => camera.fit({ all: true }), clear: () => selection.set("group", null) };
  Object.entries(buttons).forEach(([name, act]) => find(name).addEventListener("click", act));

  selection.onChange(readSelection);
  readSelection();
  camera.fit();
  const item = current();
  if (item) camera.show(item, { always: true });
  element.dataset.drawn = String(state.scene.items.length);
}

function mapInside(map, scope, outer) {
  for (let at = scope; at !== null && at !== undefined; at = map.scopes[at].parent) if (at === outer) return true;
  return false;
}

// The whole network as a strip: every group a mark, and the window that is seen. A click goes there.
function mapOverview(svg, go) {
  const marks = mapElement("g", {});
  const seen = mapElement("rect", { class: "seen" });
  svg.append(marks, seen);
  let box = { x: 0, y: 0, width: 1, height: 1 };
  const place = (event) => {
    const frame = svg.getBoundingClientRect();
    go(box.x + ((event.clientX - frame.left) / frame.width) * box.width, box.y + ((event.clientY - frame.top) / frame.height) * box.height);
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    place(event);
  });
  svg.addEventListener("pointermove", (event) => event.buttons && place(event));
  return {
    draw(map, scene, shown) {
      box = scene.box;
      svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
      const slice = (item, index, place) => { // a collapsed scope shows every group in it
        const node = map.nodes[index];
        const kind = node.kind === "group" ? map.precisions[shown.now[node.id]].kind : "end";
        const height = MAP_PITCH.y / item.members.length;
        return mapElement("rect", { class: `b-${kind}`, x: item.cx - MAP_BOX.width / 2, y: (item.cy - MAP_PITCH.y / 2 + place * height).toFixed(1), width: MAP_BOX.width, height: height.toFixed(2) });
      };
      marks.replaceChildren(...scene.items.flatMap((item) => item.members.map((index, place) => slice(item, index, place))));
    },
    window(camera, canvas) {
      const { scale } = camera;
      Object.entries({ x: camera.x / scale, y: camera.y / scale, width: canvas.clientWidth / scale, height: canvas.clientHeight / scale }).forEach(([name, value]) => seen.setAttribute(name, value.toFixed(1)));
    },
  };
}
