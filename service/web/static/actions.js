// Cancel, pause, resume and delete, wherever a page offers them.

import { ask } from "./api.js";

const QUESTIONS = {
  cancel: (label) => `End ${label} early? The best found so far is delivered.`,
  delete: (label) => `Delete ${label} with its files? This cannot be undone.`,
};

function tell(box, text) {
  let note = box.querySelector(".alert");
  if (!note) {
    note = document.createElement("p");
    note.className = "alert";
    note.setAttribute("role", "alert");
    box.append(note);
  }
  note.textContent = text;
}

async function act(box, button) {
  const { action } = button.dataset;
  const question = QUESTIONS[action];
  if (question && !confirm(question(box.dataset.label))) return;
  button.disabled = true;
  const path = `/v1/studies/${box.dataset.actions}`;
  try {
    if (action === "delete") await ask("DELETE", path);
    else await ask("POST", `${path}/${action}`);
  } catch (problem) {
    tell(box, problem.message);
    button.disabled = false;
    return;
  }
  if (action === "delete" && location.pathname.startsWith("/studies/")) location.assign("/");
  else location.reload();
}

export function startActions(root = document) {
  root.querySelectorAll("[data-actions]").forEach((box) => {
    box.querySelectorAll("button[data-action]").forEach((button) => {
      button.hidden = false;
      button.onclick = () => act(box, button);
    });
  });
}
