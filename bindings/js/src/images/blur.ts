/* A Gaussian blur as Pillow does it: three box blurs along each axis, in whole numbers of 32 bits.

   Gwosdek et al. 2011, "Theoretical foundations of Gaussian convolution by extended box filtering". */

import type { Gray } from "./plane.js";
import { transposed } from "./resample.js";

const PASSES = 3;
const WEIGHT_BITS = 24;
const f = Math.fround;

export function blurred(gray: Gray, radius: number): Gray {
  const boxRadius = radiusOfBoxes(f(radius));
  if (boxRadius === 0) return gray;
  const across = boxBlurred(gray, boxRadius);
  return transposed(boxBlurred(transposed(across), boxRadius));
}

/* The radius of boxes that together have the standard deviation `radius`; its fraction is the weight of the pixels
   just outside. In float32, as in C. */
function radiusOfBoxes(radius: number): number {
  const variance = f(f(radius * radius) / PASSES);
  const length = f(Math.sqrt(12 * variance + 1));
  const whole = f(Math.floor((length - 1) / 2));
  const next = f(whole + 1);
  const above = f(f(2 * whole + 1) * f(f(whole * next) - f(3 * variance)));
  const below = f(6 * f(variance - f(next * next)));
  return f(whole + f(above / below));
}

/* PASSES box blurs along the rows. */
function boxBlurred(gray: Gray, boxRadius: number): Gray {
  const { width, height } = gray;
  const values = gray.values.slice();
  for (let y = 0; y < height; y++) {
    const row = values.subarray(y * width, (y + 1) * width);
    for (let pass = 0; pass < PASSES; pass++) row.set(boxBlurredRow(row, boxRadius));
  }
  return { width, height, values };
}

function boxBlurredRow(row: Uint8Array, boxRadius: number): Uint8Array {
  const radius = Math.trunc(boxRadius);
  const weight = Math.trunc(f(2 ** WEIGHT_BITS / f(f(boxRadius * 2) + 1)));
  const edgeWeight = Math.trunc((2 ** WEIGHT_BITS - (2 * radius + 1) * weight) / 2);
  const last = row.length - 1;
  // Beyond its ends a row goes on with its last pixel.
  const at = (x: number) => row[Math.min(last, Math.max(0, x))]!;
  let sum = 0;
  for (let x = -radius - 1; x < radius; x++) sum += at(x);
  const result = new Uint8Array(row.length);
  for (let x = 0; x <= last; x++) {
    sum += at(x + radius) - at(x - radius - 1);
    const total = sum * weight + (at(x - radius - 1) + at(x + radius + 1)) * edgeWeight;
    result[x] = Math.floor((total + 2 ** (WEIGHT_BITS - 1)) / 2 ** WEIGHT_BITS);
  }
  return result;
}
