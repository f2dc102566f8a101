// A worker: hashes a file in pieces, away from the page. Gets a File, sends `{ done }` now and then, at the end `{ hex }`.

import { Sha256 } from "./sha256.js";

const PIECE = 4 << 20;

onmessage = async ({ data: file }) => {
  const hash = new Sha256();
  for (let at = 0; at < file.size; at += PIECE) {
    hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    postMessage({ done: Math.min(at + PIECE, file.size) });
  }
  postMessage({ hex: hash.hex() });
};
