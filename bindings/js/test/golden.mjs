// What Python made of the same bundles, seeds and pictures: tests/bindings/golden.py writes it.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.env.VAE_EDGE_GOLDEN;
if (!folder) throw new Error("VAE_EDGE_GOLDEN: run pytest -m install tests/bindings, which sets it");

export const golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8"));

export function bytes(name) {
  return new Uint8Array(readFileSync(join(folder, name)));
}

export function floats(name) {
  return new Float32Array(bytes(name).buffer);
}

export function doubles(name) {
  return new Float64Array(bytes(name).buffer);
}

// The largest difference; NaN where one is NaN, Infinity where the lengths differ.
export function distance(a, b) {
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}
