/* Arrays of numbers with a shape, and the checks of those that callers pass. */

import type { ImageShape } from "./bundle/records.js";

/* The last dimension varies fastest. */
export interface NumberArray {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/* Latents (N, D): rows, one row, or all numbers in one array. */
export type Latents = NumberArray | ArrayLike<number> | readonly ArrayLike<number>[];

/* Latents -> (N, D) float32. Throws an Error for another width, NaN or infinity. */
export function checkedLatents(z: Latents, latentDim: number): NumberArray {
  const data = Float32Array.from(flat(z));
  if (data.length % latentDim) {
    throw new Error(`${data.length} latents don't fit the model's (N, ${latentDim})`);
  }
  if (!data.every(Number.isFinite)) throw new Error("latents hold NaN or infinity");
  return { data, shape: [data.length / latentDim, latentDim] };
}

/* One latent (D,). */
export function oneLatent(z: Latents, latentDim: number): Float32Array {
  const { data } = checkedLatents(z, latentDim);
  if (data.length !== latentDim) throw new Error(`one latent (${latentDim}) was expected`);
  return data;
}

/* Images -> (N, C, H, W) float32. Throws an Error for another shape, NaN, or values outside [0, 1]. */
export function checkedImages(images: NumberArray | Float32Array, shape: ImageShape): NumberArray {
  const data = images instanceof Float32Array ? images : images.data;
  const size = sizeOf(shape);
  if (!(data instanceof Float32Array)) throw new Error("images must be a Float32Array in [0, 1]");
  if (data.length % size) {
    throw new Error(`${data.length} values don't fit the model's images (N, ${shape.join(", ")})`);
  }
  if (!data.every((value) => value >= 0 && value <= 1)) {
    throw new Error("images must lie in [0, 1] and hold no NaN");
  }
  return { data, shape: [data.length / size, ...shape] };
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, side) => size * side, 1);
}

function flat(z: Latents): ArrayLike<number> {
  if ("shape" in z) return z.data;
  if (ArrayBuffer.isView(z)) return z as unknown as ArrayLike<number>;
  const rows = Array.from(z as ArrayLike<number | ArrayLike<number>>);
  return rows.flatMap((row) => (typeof row === "number" ? [row] : Array.from(row)));
}
