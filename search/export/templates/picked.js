// The line that names the selected group and leads to it in other views.

export function tellPicked(element, group, name) {
  const line = element.querySelector("[data-picked]");
  line.hidden = !group || !name;
  if (line.hidden) return;
  line.querySelector("[data-picked-name]").textContent = name;
  line.querySelectorAll("a").forEach((link) => {
    link.setAttribute("href", link.dataset.to + (link.dataset.to.startsWith("#") ? "" : `?group=${encodeURIComponent(group)}`));
  });
}
