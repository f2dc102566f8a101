// Where an input comes from: uploaded here, there already, or named by a reference. `value` is what the spec takes.

import { upload } from "../upload.js";

export class Source {
  constructor(form, role, page, changed) {
    this.box = form.querySelector(`[data-source="${role}"]`);
    this.role = role;
    this.page = page;
    this.changed = changed;
    this.uploaded = "";
    this.turn = 0;
    this.place = this.box.querySelector("[data-place]");
    this.place.addEventListener("change", () => {
      this.show();
      this.changed();
    });
    this.box.querySelectorAll("[data-file], [data-folder]").forEach((input) => {
      const take = () => this.take([...input.files], "folder" in input.dataset);
      input.addEventListener("change", take);
      if (input.files.length) queueMicrotask(take); // chosen before this ran
    });
    this.show();
  }

  get value() {
    const place = this.place.value;
    if (place === "random") return "random";
    if (place === "held" || place === "reference") return this.box.querySelector(`[data-${place}]`).value.trim();
    return this.uploaded;
  }

  show() {
    this.box.querySelectorAll("[data-for]").forEach((one) => {
      one.hidden = one.dataset.for !== this.place.value;
    });
    this.box.querySelector(".upload").hidden = !["upload", "folder"].includes(this.place.value) || !this.told;
  }

  // Begins with what an earlier study used.
  refer(reference) {
    const held = this.box.querySelector("[data-held]");
    const isHeld = [...held.options].some((option) => option.value === reference);
    const place = reference === "random" ? "random" : isHeld ? "held" : "reference";
    this.place.value = place;
    if (place !== "random") this.box.querySelector(`[data-${place}]`).value = reference;
    this.show();
  }

  tell(text, share) {
    this.told = text;
    const box = this.box.querySelector(".upload");
    box.hidden = false;
    box.querySelector("[data-state]").textContent = text;
    if (share !== undefined) box.querySelector("progress").value = share;
  }

  async take(files, isFolder) {
    this.turn += 1;
    const mine = this.turn;
    this.uploaded = "";
    this.changed();
    if (!files.length) return;
    try {
      const digests = [];
      for (const [place, file] of files.entries()) {
        const of = files.length > 1 ? ` (${place + 1} of ${files.length})` : "";
        const digest = await upload(file, (step, share) => mine === this.turn && this.tell(`${step} ${file.name}${of}`, (place + share) / files.length));
        if (mine !== this.turn) return;
        digests.push({ path: isFolder ? file.webkitRelativePath.split("/").slice(1).join("/") : file.name, digest });
      }
      this.uploaded = await this.register(files, digests, isFolder);
      this.tell(`${files.length > 1 ? `${files.length} files` : files[0].name}, ready`, 1);
    } catch (problem) {
      if (mine !== this.turn) return;
      this.tell(`Not uploaded: ${problem.message}`, 0);
    }
    this.changed();
  }

  // Gives what was uploaded a name, so that it can be picked the next time; a single data file goes by its digest.
  async register(files, digests, isFolder) {
    if (this.role === "model") {
      const main = digests.find((one) => one.path.endsWith(".onnx")) ?? digests[0];
      const rest = Object.fromEntries(digests.filter((one) => one !== main).map((one) => [one.path, one.digest]));
      const made = await this.page.ask("POST", "/v1/models", { json: { name: main.path.slice(0, 200), digest: main.digest, files: rest } });
      return `models/${made.id}`;
    }
    if (!isFolder) return `sha256:${digests[0].digest}`;
    const name = files[0].webkitRelativePath.split("/")[0].slice(0, 200);
    const made = await this.page.ask("POST", "/v1/datasets", { json: { name, files: Object.fromEntries(digests.map((one) => [one.path, one.digest])) } });
    return `datasets/${made.id}`;
  }
}
