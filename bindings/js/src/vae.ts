/* The API: a variational autoencoder loaded from its bundle. */

import {
  checkedImages,
  checkedLatents,
  oneLatent,
  sizeOf,
  type Latents,
  type NumberArray,
} from "./arrays.js";
import type { ImageShape, Manifest, Preprocess, Variant } from "./bundle/records.js";
import { openStorage, type BundleSource, type Storage } from "./bundle/storage.js";
import { readManifest } from "./bundle/reading.js";
import { chosenVariant, precisionsHere, type Precision } from "./bundle/variants.js";
import { BundleError } from "./errors.js";
import { Graph } from "./graph.js";
import { isPictureSource, pictureFrom, type PictureSource } from "./images/pictures.js";
import { prepare } from "./images/preprocess.js";
import { logLikelihood } from "./latent/likelihood.js";
import { path, type PathMode } from "./latent/path.js";
import { drawFor, klDivergence, relativeScore } from "./latent/scores.js";
import { importedOrt, placeOf, type Ort, type Place } from "./ort.js";
import { standardNormal } from "./random/normal.js";
import { PCG64 } from "./random/pcg64.js";
import type { Seed } from "./random/seed_sequence.js";

// Latents that a score draws lie within it; beyond it networks overflow. No draw goes beyond 10 standard deviations.
const MAX_DRAWN_LATENT = 1e6;
const FARTHEST_DRAW = 10;
// Numbers that one call returns: 2 GiB.
const MAX_RESULT_NUMBERS = 2 ** 29;

export interface LoadOptions {
  /* onnxruntime's module; by default onnxruntime-node in Node, onnxruntime-web/wasm elsewhere. */
  readonly ort?: unknown;
  /* "auto" takes int8 where the bundle says that it is faster, and good enough; by default "fp32". */
  readonly precision?: Precision;
}

/* What `encode` and its like take: images (N, C, H, W) in [0, 1], or pictures of any size. */
export type ImageSource = NumberArray | Float32Array | PictureSource | readonly PictureSource[];

export interface Posterior {
  /* The mean and the log variance of q(z | x), each (N, D). */
  readonly zMean: NumberArray;
  readonly zLogVar: NumberArray;
}

/* Load a bundle: the address of a folder or of a zip, in Node also a path; an ArrayBuffer or a File of such a zip. Throws
   BundleError for one that is missing or damaged. A damaged graph is found when it is first used. */
export async function load(bundle: BundleSource, options: LoadOptions = {}): Promise<VAE> {
  const storage = await openStorage(bundle);
  const manifest = await readManifest(storage);
  const ort = (options.ort as Ort | undefined) ?? (await importedOrt());
  return new VAE(storage, manifest, ort, options.precision ?? "fp32");
}

export class VAE {
  readonly name: string;
  readonly latentDim: number;
  readonly latentShape: readonly number[];
  readonly imageShape: ImageShape;
  /* The variant that runs, and why it does. */
  readonly variant: Variant;
  readonly reason: string;
  /* The precisions that could be asked for. */
  readonly precisions: readonly string[];
  readonly backend: Place["backend"];
  private readonly encoder: Graph;
  private readonly decoder: Graph;

  constructor(
    storage: Storage,
    readonly manifest: Manifest,
    ort: Ort,
    precision: Precision,
  ) {
    const place = placeOf(ort);
    // More threads than one need headers that most hosts don't send, and don't help networks of this size.
    if (place.backend === "wasm") ort.env.wasm.numThreads = 1;
    const choice = chosenVariant(manifest, precision, place.conditions);
    this.name = storage.name;
    this.latentDim = manifest.latentDim;
    this.latentShape = manifest.latentShape;
    this.imageShape = manifest.imageShape;
    this.variant = choice.variant;
    this.reason = choice.reason;
    this.precisions = precisionsHere(manifest, place.conditions);
    this.backend = place.backend;
    const image = { name: "image", shape: this.imageShape, range: [0, 1] as const };
    const latent = (name: string) => ({ name, shape: [this.latentDim] });
    const { encoder, decoder } = this.variant;
    this.encoder = new Graph(ort, place, storage, encoder, image, [latent("z_mean"), latent("z_log_var")]);
    this.decoder = new Graph(ort, place, storage, decoder, latent("z"), [image]);
  }

  /* Latents (N, D) -> images (N, C, H, W) in [0, 1]. */
  async decode(z: Latents): Promise<NumberArray> {
    const latents = checkedLatents(z, this.latentDim);
    this.checkCount(latents.shape[0]!);
    const [images] = await this.decoder.run(latents);
    return images!;
  }

  /* Images -> q(z | x), whose variance is exp(zLogVar). */
  async encode(images: ImageSource): Promise<Posterior> {
    const [zMean, zLogVar] = await this.encoder.run(await this.read(images));
    return { zMean: zMean!, zLogVar: zLogVar! };
  }

  /* n images from the prior N(0, I). A seed gives the images of the Python package's `vae.sample(n, seed=seed)`. */
  async sample(n: number, seed?: Seed): Promise<NumberArray> {
    this.checkCount(n);
    const generator = new PCG64(seed ?? crypto.getRandomValues(new BigUint64Array(1))[0]!);
    return this.decode(standardNormal(generator, n * this.latentDim));
  }

  /* decode(zMean) of the images: (N, C, H, W). */
  async reconstruct(images: ImageSource): Promise<NumberArray> {
    const { zMean } = await this.encode(images);
    return this.decode(zMean);
  }

  /* Images (steps, C, H, W) on the path between two latents (D,), both ends included. */
  async interpolate(
    a: Latents,
    b: Latents,
    steps = 10,
    { mode = "linear" }: { mode?: PathMode } = {},
  ): Promise<NumberArray> {
    const first = oneLatent(a, this.latentDim);
    const last = oneLatent(b, this.latentDim);
    return this.decode(path(first, last, steps, mode));
  }

  /* The ELBO of each image in nats, higher is better, with the draws that Python makes for this image and seed.
     `relative` scores compare images of different kinds. */
  async score(
    images: ImageSource,
    { seed = 0, relative = false }: { seed?: Seed; relative?: boolean } = {},
  ): Promise<Float64Array> {
    const array = await this.read(images);
    const { zMean, zLogVar } = await this.encode(array);
    const decoded = await this.decode(this.drawn(array, { zMean, zLogVar }, seed));
    const { likelihood } = this.manifest;
    return Float64Array.from({ length: array.shape[0]! }, (_, i) => {
      const image = rowOf(array, i);
      const logP = logLikelihood(image, rowOf(decoded, i), this.imageShape, likelihood);
      const elbo = logP - klDivergence(rowOf(zMean, i), rowOf(zLogVar, i));
      return relative ? relativeScore(elbo, image, this.imageShape, likelihood) : elbo;
    });
  }

  /* Images (N, C, H, W) in [0, 1] of whatever holds them; pictures by the bundle's preprocessing, or by `fit` and `invert`. */
  async read(source: ImageSource, preprocess: Partial<Preprocess> = {}): Promise<NumberArray> {
    if (source instanceof Float32Array || "shape" in source) return checkedImages(source, this.imageShape);
    const sources = isPictureSource(source) ? [source] : source;
    const size = sizeOf(this.imageShape);
    const data = new Float32Array(sources.length * size);
    for (const [i, item] of sources.entries()) {
      if (!isPictureSource(item)) throw new Error(`images must be arrays or pictures, not ${typeof item}`);
      const picture = await pictureFrom(item);
      const wanted = { ...this.manifest.preprocess, ...preprocess };
      data.set(prepare(picture, this.imageShape, wanted), i * size);
    }
    return { data, shape: [sources.length, ...this.imageShape] };
  }

  /* Free both sessions. The next call builds them again. */
  async close(): Promise<void> {
    await this.encoder.close();
    await this.decoder.close();
  }

  /* A draw z (N, D) from each image's posterior. */
  private drawn(images: NumberArray, { zMean, zLogVar }: Posterior, seed: Seed): Float32Array {
    const z = new Float32Array(zMean.data.length);
    for (let i = 0; i < images.shape[0]!; i++) {
      drawFor(rowOf(images, i), this.latentDim, seed).forEach((epsilon, d) => {
        const place = i * this.latentDim + d;
        const deviation = Math.exp(0.5 * zLogVar.data[place]!);
        z[place] = zMean.data[place]! + deviation * epsilon;
        if (!(Math.abs(zMean.data[place]!) + FARTHEST_DRAW * deviation <= MAX_DRAWN_LATENT)) {
          throw new BundleError(`${this.name}: its encoder gives a variance that no latent can be drawn with`);
        }
      });
    }
    return z;
  }

  private checkCount(n: number): void {
    if (!Number.isInteger(n) || n < 0) throw new Error(`n must be a whole number, 0 or more, not ${n}`);
    if (n * sizeOf(this.imageShape) > MAX_RESULT_NUMBERS) {
      throw new Error(`${n} images at once fit into no memory; ask for fewer at a time`);
    }
  }
}

function rowOf(array: NumberArray, row: number): Float32Array {
  const size = sizeOf(array.shape.slice(1));
  return array.data.subarray(row * size, (row + 1) * size);
}
