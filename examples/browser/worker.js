/* The model, away from the page's own thread. Its first message says which bundle it is; the others are calls, which it
   answers as vae_runtime's explore/server.py does. */

import * as ort from "onnxruntime-web/wasm";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { load } from "vae-edge";

import { CALLS } from "./calls.js";

const OK = 200;
const BAD_REQUEST = 400;
const NO_BUNDLE = "There is no bundle to show: drop one (.vae) on the page";

ort.env.wasm.wasmPaths = { wasm: new URL(wasm, import.meta.url).href };

let found;
const bundle = new Promise((resolve) => {
  found = resolve;
});
const vae = bundle.then(({ bundle, precision }) => {
  if (!bundle) throw new Error(NO_BUNDLE);
  return load(bundle, { ort, precision });
});
let warming;

self.addEventListener("message", async ({ data }) => {
  if (!("id" in data)) {
    found(data);
    return;
  }
  try {
    self.postMessage({ id: data.id, status: OK, body: await answer(data) });
  } catch (error) {
    self.postMessage({ id: data.id, status: BAD_REQUEST, body: JSON.stringify({ error: error.message }) });
  }
});

async function answer({ path, body }) {
  const url = new URL(path, self.location.href);
  const call = CALLS[url.pathname.split("/").at(-1)];
  const result = await call(await vae, body, url.searchParams);
  // The encoder is wanted later, perhaps without a network, but never before the page is there.
  if (call === CALLS.plane) warming ??= warm(await vae);
  return result;
}

/* Has the encoder loaded. What is wrong with it is said when it is used. */
async function warm(vae) {
  const black = new Float32Array(vae.imageShape.reduce((size, side) => size * side, 1));
  await vae.encode(black).catch(() => undefined);
}
