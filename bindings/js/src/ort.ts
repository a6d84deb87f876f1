/* onnxruntime, as onnxruntime-web and onnxruntime-node both have it, and what either means for a bundle. */

import { isNode } from "./bundle/storage.js";
import { BundleError, reasonOf } from "./errors.js";

export interface OrtTensor {
  readonly data: unknown;
  readonly dims: readonly number[];
  dispose?(): void;
}

export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

/* The part of onnxruntime's module that is used; `import * as ort from "onnxruntime-web/wasm"` is one. */
export interface Ort {
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options?: Record<string, unknown>): Promise<OrtSession>;
  };
  readonly env: { readonly wasm: { numThreads?: number }; readonly versions?: { readonly node?: string } };
}

/* Where graphs run: onnxruntime's word for it in JavaScript, and the conditions that hold there. */
export interface Place {
  readonly backend: "wasm" | "cpu";
  readonly conditions: readonly string[];
}

// Both are onnxruntime's CPU provider; names that bundlers can't follow are imported only where they are.
export const PROVIDER = "CPUExecutionProvider";
const NODE_MODULE = "onnxruntime-node";
const WEB_MODULE = "onnxruntime-web/wasm";

/* The module that this environment has. Throws BundleError where it isn't installed. */
export async function importedOrt(): Promise<Ort> {
  const name = isNode() ? NODE_MODULE : WEB_MODULE;
  try {
    const module = isNode()
      ? await import(/* @vite-ignore */ /* webpackIgnore: true */ name)
      : // @ts-ignore: an optional peer.
        await import("onnxruntime-web/wasm");
    return module.InferenceSession ? module : module.default;
  } catch (error) {
    throw new BundleError(
      `${name} cannot be imported: npm install ${name.split("/")[0]}, or pass { ort } (${reasonOf(error)})`,
    );
  }
}

/* onnxruntime keeps channels in blocks on x86-64 alone. Those for plain layouts were made for ARM;
   WebAssembly has such layouts too, but there the portable graphs are a tenth faster. 64-bit ARM without
   integer dot products can't be told from that with them; a Cortex-A72 takes 6 % fewer instructions in int8. */
export function placeOf(ort: Ort): Place {
  if (!ort.env.versions?.node) return { backend: "wasm", conditions: [] };
  const conditions = [process.arch === "x64" ? "blocked_layouts" : "plain_layouts"];
  if (process.arch === "arm64") conditions.push("arm64", "integer_dot_products");
  return { backend: "cpu", conditions };
}
