// Before the page is drawn: the theme that was chosen last. Without a choice the system decides.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    chosen = null; // storage is switched off
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
