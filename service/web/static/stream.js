// Events of a study as they happen: over one connection that comes back behind the last event it saw.
//
// Read with fetch instead of EventSource: it shows refusals and the server's signs of life, which come every 15 s.

import { refusal } from "./api.js";

const STALE_MS = 30_000;
const FIRST_MS = 500;
const LARGEST_MS = 15_000;

// Yields the lines of a body.
async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts;
  }
}

// `on.event(kind, data)`, `on.alive()`, `on.stale(seconds)`, `on.end()`; returns a function that ends it.
export function follow(studyId, seen, on) {
  let last = seen;
  let wait = FIRST_MS;
  let ended = false;
  let alive = Date.now();
  let stop = new AbortController();

  const sign = () => {
    alive = Date.now();
    on.alive();
  };
  const finish = () => {
    ended = true;
    clearInterval(watch);
    stop.abort();
  };

  async function read(body) {
    let event = { kind: "message", data: "" };
    for await (const line of linesOf(body)) {
      sign();
      const [, name, value] = /^(\w*):? ?(.*)$/.exec(line) ?? [];
      if (line === "") {
        if (event.data) on.event(event.kind, JSON.parse(event.data));
        event = { kind: "message", data: "" };
      } else if (name === "event") event.kind = value;
      else if (name === "data") event.data += value;
      else if (name === "id") last = Number(value);
    }
  }

  async function connect() {
    stop = new AbortController();
    const answer = await fetch(`/v1/studies/${studyId}/events?after=${last}`, { headers: { Accept: "text/event-stream" }, signal: stop.signal });
    if (answer.status === 204) {
      finish();
      on.end();
      return;
    }
    if (!answer.ok) throw await refusal(answer);
    wait = FIRST_MS;
    sign();
    await read(answer.body);
  }

  async function keep() {
    while (!ended) {
      if (!document.hidden) {
        try {
          await connect();
        } catch (problem) {
          if (problem.status === 404 || problem.status === 401) return finish();
        }
      }
      if (ended) return;
      await new Promise((resume) => setTimeout(resume, document.hidden ? 1000 : wait));
      wait = Math.min(LARGEST_MS, 2 * wait);
    }
  }

  const watch = setInterval(() => {
    const silent = Date.now() - alive;
    if (!document.hidden && silent > STALE_MS) on.stale(Math.round(silent / 1000));
  }, 1000);
  document.addEventListener("visibilitychange", () => document.hidden && stop.abort()); // one stream less for other tabs
  keep();
  return finish;
}
