/* vae-edge in JavaScript: run a bundle in a browser or in Node. */

export { load, VAE, type ImageSource, type LoadOptions, type Posterior } from "./vae.js";
export { BundleError } from "./errors.js";
export type { Latents, NumberArray } from "./arrays.js";
export type * from "./bundle/records.js";
export type { BundleSource } from "./bundle/storage.js";
export type { Precision } from "./bundle/variants.js";
export type { PictureSource } from "./images/pictures.js";
export { prepare, type Picture } from "./images/preprocess.js";
export { logGaussian, logMixture } from "./latent/gaussian.js";
export { centerOf, purestPlace } from "./latent/labels.js";
export { isKnown, verdict, yardstickOf, type Yardstick } from "./latent/novelty.js";
export { toUint8 } from "./images/numbers.js";
export { PCG64 } from "./random/pcg64.js";
export { standardNormal } from "./random/normal.js";
export type { Seed } from "./random/seed_sequence.js";
