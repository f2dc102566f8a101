// Copies digests.

export function mount(element, page) {
  element.querySelectorAll("button[data-copy]").forEach((button) => {
    button.hidden = !navigator.clipboard; // only where the page came over a safe connection
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      page.announce("Copied");
      button.dataset.done = "";
    });
  });
}
