// Requests to the interface under /v1 and to parts of pages. A refusal is a `Problem` with the words of the server.

export class Problem extends Error {
  constructor(document, status) {
    super(document.detail ?? `The server answered ${status}.`);
    this.code = document.code ?? "unknown";
    this.status = status;
    this.hint = document.hint ?? "";
    this.pointers = document.pointers ?? [];
  }
}

export async function refusal(answer) {
  const isProblem = (answer.headers.get("content-type") ?? "").includes("problem+json");
  if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  return new Problem(isProblem ? await answer.json() : {}, answer.status);
}

// `ask("POST", "/v1/studies", { json })`; returns the JSON of the answer, null where there is none.
export async function ask(method, path, { json, body, headers = {} } = {}) {
  const sent = json === undefined ? body : JSON.stringify(json);
  const kind = json === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(path, { method, body: sent, headers: { Accept: "application/json", ...kind, ...headers } });
  if (!answer.ok) throw await refusal(answer);
  return answer.status === 204 ? null : answer.json();
}

// A part of a page as a document; nothing in it runs.
export async function part(path) {
  const answer = await fetch(path, { headers: { Accept: "application/problem+json, */*;q=0.5" } });
  if (!answer.ok) throw await refusal(answer);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}
