/* log p(x | z), in nats. */

import type { ImageShape, Likelihood } from "../bundle/records.js";
import { logContinuousBernoulli } from "./continuous_bernoulli.js";

// A float32 sigmoid reaches 0 and 1, whose logarithms are infinite; Keras clips here too.
const MIN_PROBABILITY = Math.fround(1e-7);
const MAX_PROBABILITY = Math.fround(1 - 1e-7);
// Of gray values of 8 bits.
const HALF_STEP = Math.fround(0.5 / 255);

/* log p(x) of a value where the decoder gives `decoded`, in one channel. */
type Density = (x: number, decoded: number, channel: number) => number;

/* log p(image | z), summed over pixels, for the decoded image of z. */
export function logLikelihood(
  image: Float32Array,
  decoded: Float32Array,
  shape: ImageShape,
  likelihood: Likelihood,
): number {
  const density = densityOf(likelihood);
  const pixels = shape[1] * shape[2];
  let sum = 0;
  for (let i = 0; i < image.length; i++) {
    sum += density(image[i]!, decoded[i]!, Math.floor(i / pixels));
  }
  return sum;
}

/* What log p(x | z) is where the decoder gives the image itself. The continuous Bernoulli's density has no bound at exact
   black and white: half a step of 8 bits stands for it. */
export function highestLogLikelihood(image: Float32Array, shape: ImageShape, likelihood: Likelihood): number {
  if (likelihood.name !== "continuous_bernoulli") return logLikelihood(image, image, shape, likelihood);
  const decoded = image.map((value) => Math.min(1 - HALF_STEP, Math.max(HALF_STEP, value)));
  return logLikelihood(image, decoded, shape, likelihood);
}

function densityOf({ name, logVar }: Likelihood): Density {
  if (name === "continuous_bernoulli") return logContinuousBernoulli;
  if (name === "bernoulli") return logBernoulli;
  return (x, decoded, channel) => {
    const squared = Math.fround(x - decoded) ** 2 * Math.exp(-logVar[channel]!);
    return -0.5 * (squared + logVar[channel]! + Math.log(2 * Math.PI));
  };
}

const logBernoulli: Density = (x, decoded) => {
  const p = Math.min(MAX_PROBABILITY, Math.max(MIN_PROBABILITY, decoded));
  return x * Math.log(p) + (1 - x) * Math.log1p(-p);
};
