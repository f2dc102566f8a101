// The form of a new study: reads its fields into a job spec, shows the spec as text, asks for an estimate, submits.

import { curl, python, yaml } from "../spec_text.js";
import { Source } from "./source.js";

const PAUSE_MS = 400;
const TEXTS = { yaml: (spec) => yaml(spec), curl, python };

const number = (text) => {
  const trimmed = text.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
};

// `{ a: "", b: 1 }` without what was left empty.
const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "" && value !== undefined && value !== null));

function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The rows of goals.
class Goals {
  constructor(form, limits, changed) {
    this.box = form.querySelector("[data-goals]");
    this.row = form.querySelector("template");
    this.limits = limits;
    this.changed = changed;
    form.querySelector("[data-add-goal]").addEventListener("click", () => {
      this.add({ metric: "top1", max_drop: 0.01 }).querySelector("select").focus();
      changed();
    });
  }

  add(goal) {
    const row = this.row.content.firstElementChild.cloneNode(true);
    const limit = Object.keys(goal).find((key) => key in { max_drop: 1, min_value: 1, min_ratio: 1, max_increase: 1, max_value: 1 });
    row.base = { ...goal };
    row.querySelectorAll("[data-key]").forEach((field) => {
      const value = goal[field.dataset.key] ?? "";
      if (field.matches("select") && ![...field.options].some((one) => one.value === value)) field.append(new Option(value, value));
      field.value = value;
    });
    this.fit(row);
    if (limit) row.querySelector("[data-limit]").value = limit;
    row.querySelector("[data-value]").value = limit ? goal[limit] : "0.01";
    row.querySelector('[data-key="metric"]').addEventListener("change", () => this.fit(row));
    row.querySelector("[data-remove-goal]").addEventListener("click", () => {
      row.remove();
      this.changed();
    });
    this.box.append(row);
    return row;
  }

  // Only limits that the metric takes can be chosen.
  fit(row) {
    const fitting = this.limits[row.querySelector('[data-key="metric"]').value];
    const limit = row.querySelector("[data-limit]");
    [...limit.options].forEach((option) => {
      option.disabled = option.hidden = Boolean(fitting) && !fitting.includes(option.value);
    });
    if (limit.selectedOptions[0]?.disabled) limit.value = fitting[0];
    const labels = row.querySelector('[data-key="labels"]');
    labels.disabled = Boolean(fitting) && fitting.length === 1;
    if (labels.disabled) labels.value = "";
  }

  read() {
    return [...this.box.children].map((row) => {
      const { max_drop, min_value, min_ratio, max_increase, max_value, ...kept } = row.base;
      const fields = Object.fromEntries([...row.querySelectorAll("[data-key]")].map((field) => [field.dataset.key, field.value.trim()]));
      return { ...given({ ...kept, ...fields }), [row.querySelector("[data-limit]").value]: number(row.querySelector("[data-value]").value) };
    });
  }
}

const SEARCH = ["strategy", "evaluator", "max_evaluations", "max_seconds", "confidence", "seed"];
const TEXT = new Set(["strategy", "evaluator"]);

export function mount(form, page) {
  const { limits, base } = page.data;
  const field = (id) => form.querySelector(`#${id}`);
  const shown = form.querySelector("[data-text]");
  const estimate = form.querySelector("[data-estimate]");
  const mistakes = form.querySelector("[data-mistakes]");
  const button = form.querySelector("[data-submit]");
  let as = "yaml";
  let due = null;
  let asked = 0;
  const idempotency = uuid();

  const sources = Object.fromEntries(["model", "calibration", "evaluation"].map((role) => [role, new Source(form, role, page, () => changed())]));
  const goals = new Goals(form, limits, () => changed());

  function read() {
    const search = { ...base.search };
    SEARCH.forEach((key) => {
      const text = field(key).value;
      search[key] = TEXT.has(key) ? text : number(text);
    });
    if (search.seed === 0) delete search.seed;
    const target = given({ ...base.target, name: field("target").value, toolchain: field("toolchain").value.trim() });
    const data = given({ ...base.data, calibration: sources.calibration.value, evaluation: sources.evaluation.value });
    const own = { schema: "bitbudget.job/1", model: sources.model.value, data, target, goal: goals.read() };
    return { ...own, ...base, ...own, search: given(search) };
  }

  const isComplete = (spec) => Boolean(spec.model && spec.data.calibration && (spec.data.evaluation || spec.data.calibration === "random"));

  function show(spec) {
    shown.textContent = TEXTS[as](spec, field("name").value.trim());
  }

  function tellMistakes(problem) {
    mistakes.replaceChildren();
    if (!problem) return;
    const list = document.createElement("ul");
    list.className = "alert mistakes";
    const told = problem.pointers?.length ? problem.pointers.map((one) => `${one.pointer || "the job"}: ${one.message}`) : [problem.message];
    told.forEach((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      list.append(item);
    });
    mistakes.append(list);
  }

  const range = ({ low, high }, digits = 0) => [...new Set([low.toFixed(digits), high.toFixed(digits)])].join(" to ");

  const counted = (n) => (n === 1 ? "one earlier study" : `${n} earlier studies`);

  function tellEstimate(found) {
    const basis = { earlier: `${counted(found.n_studies)} of this model`, similar: `${counted(found.n_studies)} of other models`, bounds: "what the strategy allows; nothing comparable was run yet" }[found.basis];
    const parts = [`Estimate: ${range(found.evaluations)} evaluations`];
    if (found.seconds) parts.push(`${range(found.seconds, 1)} s of search`);
    if (found.output_bytes) parts.push(`${range({ low: found.output_bytes.low / 1e6, high: found.output_bytes.high / 1e6 })} MB of files`);
    const waiting = found.waiting ? ` ${found.waiting} of your studies are before it.` : "";
    estimate.textContent = `${parts.join(", ")}. From ${basis}.${waiting}`;
  }

  async function check() {
    const spec = read();
    if (!isComplete(spec)) {
      button.disabled = true;
      estimate.textContent = "Comes once model and data are chosen.";
      tellMistakes(null);
      return;
    }
    asked += 1;
    const mine = asked;
    try {
      const found = await page.ask("POST", "/v1/studies?dry_run=true", { json: spec });
      if (mine !== asked) return;
      tellEstimate(found.estimate);
      tellMistakes(null);
      button.disabled = false;
    } catch (problem) {
      if (mine !== asked) return;
      estimate.textContent = "The job cannot be run as it is.";
      tellMistakes(problem);
      button.disabled = true;
    }
  }

  function changed() {
    show(read());
    clearTimeout(due);
    due = setTimeout(check, PAUSE_MS);
  }

  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  form.querySelectorAll("[data-as]").forEach((one) => {
    one.addEventListener("click", () => {
      as = one.dataset.as;
      form.querySelectorAll("[data-as]").forEach((other) => other.setAttribute("aria-pressed", String(other === one)));
      show(read());
    });
  });
  const copy = form.querySelector("[data-copy-job]");
  copy.hidden = !navigator.clipboard;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(shown.textContent);
    page.announce("Copied");
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    const name = field("name").value.trim();
    try {
      const found = await page.ask("POST", `/v1/studies${name ? `?name=${encodeURIComponent(name)}` : ""}`, { json: read(), headers: { "Idempotency-Key": idempotency } });
      location.assign(`/studies/${found.id}`);
    } catch (problem) {
      tellMistakes(problem);
      button.disabled = false;
    }
  });

  if (base.target) {
    field("target").value = base.target.name;
    field("toolchain").value = base.target.toolchain ?? "";
  }
  field("strategy").value = page.data.strategy;
  SEARCH.forEach((key) => {
    if (base.search?.[key] !== undefined && base.search[key] !== null) field(key).value = base.search[key];
  });
  if (base.model) sources.model.refer(base.model);
  if (base.data?.calibration) sources.calibration.refer(base.data.calibration);
  if (base.data?.evaluation) sources.evaluation.refer(base.data.evaluation);
  (base.goal?.length ? base.goal : [{ metric: "top1", max_drop: 0.01 }]).forEach((goal) => goals.add(goal));
  changed();
}
