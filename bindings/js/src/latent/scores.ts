/* How well a model explains an image, in nats; and relative scores, which compare images of different kinds. */

import type { ImageShape, Likelihood } from "../bundle/records.js";
import { crc32 } from "../random/crc32.js";
import { standardNormal } from "../random/normal.js";
import { PCG64 } from "../random/pcg64.js";
import type { Seed } from "../random/seed_sequence.js";
import { highestLogLikelihood } from "./likelihood.js";

// The variance of the rounding to 8 bits, so that a constant image has an error too.
const ROUNDING_VARIANCE = 1 / (12 * 255 ** 2);

/* A standard normal draw (D,) that depends on the seed and the image (C, H, W) alone, the same as in Python. */
export function drawFor(image: Float32Array, latentDim: number, seed: Seed): Float64Array {
  const bytes = new Uint8Array(image.buffer, image.byteOffset, image.byteLength);
  return standardNormal(new PCG64(seed, crc32(bytes)), latentDim);
}

/* KL(q(z | x) || p(z)) of a diagonal Gaussian. */
export function klDivergence(zMean: Float32Array, zLogVar: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < zMean.length; i++) {
    sum -= 0.5 * (1 + zLogVar[i]! - zMean[i]! ** 2 - Math.exp(zLogVar[i]!));
  }
  return sum;
}

/* A score against what the image itself allows; see vae_runtime's latent/scores.py. */
export function relativeScore(
  score: number,
  image: Float32Array,
  shape: ImageShape,
  likelihood: Likelihood,
): number {
  const shortfall = highestLogLikelihood(image, shape, likelihood) - score;
  if (likelihood.name !== "gaussian") return -shortfall;
  const [channels, height, width] = shape;
  const pixels = height * width;
  let [rounding, constant] = [0, 0];
  likelihood.logVar.forEach((logVar, channel) => {
    const precision = Math.exp(-logVar);
    rounding += ROUNDING_VARIANCE * precision * pixels;
    constant += varianceOf(image.subarray(channel * pixels, (channel + 1) * pixels)) * precision * pixels;
  });
  return 0.5 * channels * pixels * Math.log((constant + rounding) / (2 * shortfall + rounding));
}

function varianceOf(values: Float32Array): number {
  let [sum, squares] = [0, 0];
  for (const value of values) sum += value;
  const mean = sum / values.length;
  for (const value of values) squares += (value - mean) ** 2;
  return squares / values.length;
}
