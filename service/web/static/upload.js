// Uploads a file under its SHA-256, unless the server has it already.

import { Problem, refusal } from "./api.js";

const HASHING = new URL("./hashing.js", import.meta.url);

export function digestOf(file, onProgress = () => {}) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(HASHING, { type: "module" });
    worker.onmessage = ({ data }) => {
      if (data.hex === undefined) return onProgress(data.done / file.size);
      worker.terminate();
      resolve(data.hex);
    };
    worker.onerror = (event) => {
      worker.terminate();
      reject(new Error(event.message || `${file.name} cannot be read.`));
    };
    worker.postMessage(file);
  });
}

function send(file, path, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) return resolve();
      let document = {};
      try {
        document = JSON.parse(request.responseText);
      } catch {
        document = { detail: `The server answered ${request.status}.` };
      }
      reject(new Problem(document, request.status));
    };
    request.onerror = () => reject(new Error("The connection was cut. Choose the file again."));
    request.send(file);
  });
}

// `tell(step, share)`: "hashing" or "uploading", with the share done. Returns the digest.
export async function upload(file, tell) {
  const digest = await digestOf(file, (share) => tell("hashing", share));
  const path = `/v1/blobs/${digest}`;
  const known = await fetch(path, { method: "HEAD" });
  if (known.ok) return digest;
  if (known.status !== 404) throw await refusal(known);
  await send(file, path, (share) => tell("uploading", share));
  return digest;
}
