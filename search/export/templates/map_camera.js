// Pan and zoom of an SVG: wheel, drag, two fingers, and calls from the keyboard.

const MAP_ZOOM = { least: 0.06, most: 2.5 };

// `changed(camera)` is called after every change; `box` is the drawing in its own units.
export function mapCamera(svg, world, changed) {
  const camera = { x: 0, y: 0, scale: 1, box: { x: 0, y: 0, width: 1, height: 1 } };
  const size = () => ({ width: svg.clientWidth || 1, height: svg.clientHeight || 1 });
  const margin = 16;

  function apply() {
    const { width, height } = size();
    const { box, scale } = camera;
    const held = (at, room, start, length) => {
      const from = start * scale - margin;
      const to = (start + length) * scale + margin - room;
      return to <= from ? (from + to) / 2 : Math.min(to, Math.max(from, at));
    };
    camera.x = held(camera.x, width, box.x, box.width);
    camera.y = held(camera.y, height, box.y, box.height);
    world.setAttribute("transform", `translate(${(-camera.x).toFixed(2)},${(-camera.y).toFixed(2)}) scale(${scale.toFixed(4)})`);
    svg.classList.toggle("is-far", scale < 0.5);
    changed(camera);
  }
  function zoom(factor, at) {
    const { width, height } = size();
    const point = at ?? { x: width / 2, y: height / 2 };
    const scale = Math.min(MAP_ZOOM.most, Math.max(MAP_ZOOM.least, camera.scale * factor));
    camera.x = ((camera.x + point.x) / camera.scale) * scale - point.x;
    camera.y = ((camera.y + point.y) / camera.scale) * scale - point.y;
    camera.scale = scale;
    apply();
  }
  function pan(dx, dy) {
    const before = [camera.x, camera.y];
    camera.x += dx;
    camera.y += dy;
    apply();
    return before[0] !== camera.x || before[1] !== camera.y;
  }
  const fitted = () => {
    const { width, height } = size();
    return Math.min((width - 2 * margin) / camera.box.width, (height - 2 * margin) / camera.box.height);
  };
  // All of it where that stays readable, else its width from the top.
  function fit({ all = false } = {}) {
    const whole = fitted();
    const readable = Math.min(1, Math.max(0.62, (size().width - 2 * margin) / camera.box.width));
    camera.scale = all ? Math.max(MAP_ZOOM.least, Math.min(1.2, whole)) : Math.max(Math.min(1, whole), readable);
    camera.x = (camera.box.x + camera.box.width / 2) * camera.scale - size().width / 2;
    camera.y = -Infinity;
    apply();
  }
  // Brings a place into view, with some room around it.
  function show(place, { always = false } = {}) {
    const { width, height } = size();
    const [x, y] = [place.cx * camera.scale - camera.x, place.cy * camera.scale - camera.y];
    const inside = x > 90 && x < width - 90 && y > 60 && y < height - 60;
    if (inside && !always) return;
    camera.x = place.cx * camera.scale - width / 2;
    camera.y = place.cy * camera.scale - height / 2;
    apply();
  }

  svg.addEventListener("wheel", (event) => {
    const unit = event.deltaMode ? 20 : 1;
    if (event.ctrlKey || event.metaKey) {
      const frame = svg.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY * unit * 0.004), { x: event.clientX - frame.left, y: event.clientY - frame.top });
      event.preventDefault();
    } else if (pan(event.deltaX * unit, event.deltaY * unit)) event.preventDefault(); // else the page scrolls on
  }, { passive: false });

  const fingers = new Map();
  let moved = 0;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 1) moved = 0;
  });
  svg.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved > 4 && !svg.hasPointerCapture(event.pointerId)) svg.setPointerCapture(event.pointerId);
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      const frame = svg.getBoundingClientRect();
      zoom(distance({ x: event.clientX, y: event.clientY }) / distance(before), { x: other.x - frame.left, y: other.y - frame.top });
    } else if (moved > 4) pan(-dx, -dy);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  ["pointerup", "pointercancel"].forEach((kind) => svg.addEventListener(kind, (event) => fingers.delete(event.pointerId)));

  new ResizeObserver(apply).observe(svg);
  return {
    camera, apply, zoom, pan, fit, show,
    wasDragged: () => moved > 4,
    setBox(box) {
      camera.box = box;
    },
  };
}
