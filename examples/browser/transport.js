/* How the page reaches the model: a worker has it, loaded from a bundle beside the page, from the address in ?bundle=, or
   from a file that was dropped on the page. */

import { say } from "../../runtime/vae_runtime/explore/message.js";
import { cacheFile, cachedFile, DROPPED } from "./dropped.js";
import { underControl } from "./offline.js";

const OWN_BUNDLE = "model.vae/";
const BUNDLE_NAME = /\.(vae|zip)$/i;
const LOADING = "Loading the model and 14 MB of onnxruntime …";

const waiting = new Map();
let calls = 0;

/* The Response to a call at `path`, with a body where there is one. */
export async function send(path, body) {
  const id = calls++;
  const answer = new Promise((resolve) => waiting.set(id, resolve));
  (await worker).postMessage({ id, path, body });
  return answer;
}

/* The worker, which begins to load what the page's address says. What it fetches is kept for when there is no network. */
async function startWorker() {
  document.getElementById("about").textContent = LOADING;
  await underControl();
  const started = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  started.addEventListener("message", ({ data: { id, body, status } }) => {
    waiting.get(id)(new Response(body, { status }));
    waiting.delete(id);
  });
  started.addEventListener("error", ({ message }) => say(message || "The model's worker cannot be started."));
  const query = new URLSearchParams(location.search);
  const name = query.get("bundle") ?? OWN_BUNDLE;
  const bundle = name === DROPPED ? await cachedFile() : new URL(name, document.baseURI).href;
  started.postMessage({ bundle, precision: query.get("precision") ?? "fp32" });
  return started;
}

/* Bundles are dropped, or chosen, where images are. */
function listenToBundles() {
  const input = document.getElementById("file");
  input.accept += ",.vae,.zip";
  addEventListener("drop", (event) => take(event, event.dataTransfer.files[0]), true);
  // On the window, which hears of it before the input.
  addEventListener("change", (event) => { if (event.target === input) take(event, input.files[0]); }, true);
}

async function take(event, file) {
  if (!file || !BUNDLE_NAME.test(file.name)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  try {
    await cacheFile(file);
  } catch (error) {
    say(error.message);
    return;
  }
  location.search = new URLSearchParams({ bundle: DROPPED });
}

const worker = startWorker();
listenToBundles();
