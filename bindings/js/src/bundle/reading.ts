/* Opening a bundle: its manifest is checked when it is opened, its graphs when they are read. */

import { BundleError, reasonOf } from "../errors.js";
import { manifestFrom } from "./manifest.js";
import type { GraphFile, Manifest } from "./records.js";
import { sha256Hex } from "./sha256.js";
import { MANIFEST, type Storage } from "./storage.js";

export async function readManifest(storage: Storage): Promise<Manifest> {
  const content = await storage.read(MANIFEST);
  try {
    return manifestFrom(content);
  } catch (error) {
    throw new BundleError(`${storage.name}: ${MANIFEST}: ${reasonOf(error)}`);
  }
}

/* The bytes of a graph, hashed; hand these very bytes to onnxruntime. */
export async function readGraph(storage: Storage, graph: GraphFile): Promise<Uint8Array> {
  const content = await storage.read(graph.file);
  const where = `${storage.name}: ${graph.file}`;
  if (content.length !== graph.bytes) {
    throw new BundleError(
      `${where}: damaged: ${content.length} bytes where ${MANIFEST} promises ${graph.bytes}`,
    );
  }
  if ((await sha256Hex(content)) !== graph.sha256) {
    throw new BundleError(
      `${where}: damaged: its SHA-256 is not the one in ${MANIFEST}; export or copy it again`,
    );
  }
  return content;
}
