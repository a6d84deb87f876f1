/* `bundle.json`: from its text to records, every field that is used checked. */

import {
  listAt,
  numberAt,
  numbersAt,
  objectAt,
  oneOf,
  textAt,
  vectorAt,
  wholeAt,
  type JsonObject,
} from "./fields.js";
import {
  FITS,
  LIKELIHOODS,
  type Component,
  type Covariance,
  type GraphFile,
  type ImageShape,
  type Label,
  type Likelihood,
  type Manifest,
  type Preprocess,
  type Variant,
} from "./records.js";
import { isPlainName } from "./storage.js";

const SCHEMAS: readonly unknown[] = [1, 2];
const MAX_JSON_BYTES = 2 ** 24;
const MAX_SIDE = 2 ** 14;
const MAX_NUMBERS = 2 ** 24;
const MAX_LATENT_DIM = 2 ** 16;
const MAX_VARIANTS = 64;
const MAX_LABELS = 10_000;
const MAX_GRAPH_BYTES = 2 ** 29;
const MAX_COUNT = 2 ** 53 - 1;
const MAX_LATENT = 1e6;
const MAX_LOG_VAR = 80;
const WEIGHT_SLACK = 1e-3;
const ELBO_BUDGET = 0.3;
const SHA256 = /^[0-9a-f]{64}$/;

/* The records in the bytes of a `bundle.json`. Throws an Error that names the field. */
export function manifestFrom(content: Uint8Array): Manifest {
  if (content.length > MAX_JSON_BYTES) throw new Error(`more than ${MAX_JSON_BYTES} bytes of JSON`);
  const values = objectAt(parsed(content), "bundle.json");
  if (!SCHEMAS.includes(values.schema)) {
    const found = JSON.stringify(values.schema);
    throw new Error(`schema ${found} is not supported (this version reads 1 and 2); upgrade vae-edge`);
  }
  if (values.dynamic_size === true) {
    throw new Error("graphs of a dynamic size don't run here; export it without --dynamic-size");
  }
  const latentDim = wholeAt(values.latent_dim, "latent_dim", 1, MAX_LATENT_DIM);
  const imageShape = imageShapeAt(values.image_shape);
  return {
    latentDim,
    imageShape,
    latentShape: latentShapeAt(values.latent_shape ?? [latentDim], latentDim),
    variants: variantsAt(values),
    likelihood: likelihoodAt(objectAt(values.likelihood, "likelihood"), imageShape[0]),
    preprocess: preprocessAt(objectAt(values.preprocess ?? {}, "preprocess")),
    labels: labelsAt(objectAt(values.labels ?? {}, "labels"), latentDim),
    density: mixtureAt(values.density ?? [], "density", latentDim),
  };
}

function parsed(content: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch {
    throw new Error("damaged, it is no JSON; export or copy the bundle again");
  }
}

function imageShapeAt(value: unknown): ImageShape {
  const sizes = listAt(value, "image_shape").map((size) => wholeAt(size, "image_shape", 1, MAX_SIDE));
  if (sizes.length !== 3 || productOf(sizes) > MAX_NUMBERS) {
    throw new Error("'image_shape' must be channels, height and width of at most 2^24 numbers");
  }
  return sizes as unknown as ImageShape;
}

function latentShapeAt(value: unknown, latentDim: number): number[] {
  const items = listAt(value, "latent_shape");
  const shape = items.map((size) => wholeAt(size, "latent_shape", 1, MAX_LATENT_DIM));
  if (![1, 3].includes(shape.length) || productOf(shape) !== latentDim) {
    throw new Error(`'latent_shape' does not hold latent_dim ${latentDim} numbers`);
  }
  return shape;
}

function variantsAt(values: JsonObject): Variant[] {
  const shared = numbersAt(values.score_quantiles ?? {}, "score_quantiles");
  const items = listAt(values.variants, "variants");
  if (items.length < 1 || items.length > MAX_VARIANTS) {
    throw new Error(`'variants' are ${items.length}, not from 1 to ${MAX_VARIANTS}`);
  }
  return items.map((item, i) => variantAt(objectAt(item, `variants[${i}]`), `variants[${i}]`, shared));
}

function variantAt(values: JsonObject, path: string, shared: Record<string, number>): Variant {
  const own = numbersAt(values.score_quantiles ?? {}, `${path}.score_quantiles`);
  const change = values.elbo_change ?? null;
  return {
    name: textAt(values.name, `${path}.name`),
    precision: oneOf(values.precision, ["fp32", "int8"], `${path}.precision`),
    providers: textsAt(values.providers, `${path}.providers`),
    requires: textsAt(values.requires ?? [], `${path}.requires`),
    encoder: graphAt(objectAt(values.encoder, `${path}.encoder`), `${path}.encoder`),
    decoder: graphAt(objectAt(values.decoder, `${path}.decoder`), `${path}.decoder`),
    elboChange: change === null ? null : numberAt(change, `${path}.elbo_change`),
    elboBudget: numberAt(values.elbo_budget ?? ELBO_BUDGET, `${path}.elbo_budget`),
    gains: numbersAt(values.gains ?? {}, `${path}.gains`),
    scoreQuantiles: Object.keys(own).length ? own : shared,
    relativeQuantiles: numbersAt(values.relative_quantiles ?? {}, `${path}.relative_quantiles`),
  };
}

function graphAt(values: JsonObject, path: string): GraphFile {
  const file = textAt(values.file, `${path}.file`);
  if (!isPlainName(file)) {
    throw new Error(`the file name '${file}' is not a plain name; a bundle's files lie inside it`);
  }
  const sha256 = textAt(values.sha256, `${path}.sha256`);
  if (!SHA256.test(sha256)) {
    throw new Error(`'${path}.sha256' is not 64 hexadecimal digits in lower case`);
  }
  return { file, sha256, bytes: wholeAt(values.bytes, `${path}.bytes`, 0, MAX_GRAPH_BYTES) };
}

function likelihoodAt(values: JsonObject, channels: number): Likelihood {
  const name = oneOf(values.name, LIKELIHOODS, "likelihood.name");
  if (name !== "gaussian") return { name, logVar: [] };
  const logVar = vectorAt(values.log_var, "likelihood.log_var", channels);
  if (logVar.some((value) => Math.abs(value) > MAX_LOG_VAR)) {
    throw new Error(`'likelihood.log_var' must lie within ±${MAX_LOG_VAR}`);
  }
  return { name, logVar };
}

function preprocessAt(values: JsonObject): Preprocess {
  const invert = values.invert ?? false;
  if (typeof invert !== "boolean") throw new Error("'preprocess.invert' is not true or false");
  return { fit: oneOf(values.fit ?? "contain", FITS, "preprocess.fit"), invert };
}

function labelsAt(values: JsonObject, latentDim: number): Map<string, Label> {
  const names = Object.keys(values);
  if (names.length > MAX_LABELS) throw new Error(`'labels' are more than ${MAX_LABELS}`);
  const labels = new Map<string, Label>();
  for (const name of names) {
    const path = `labels.${name}`;
    labels.set(textAt(name, "labels"), labelAt(objectAt(values[name], path), path, latentDim));
  }
  if (labels.size && ![...labels.values()].some((label) => label.count > 0)) {
    throw new Error("'labels' have no images");
  }
  return labels;
}

function labelAt(values: JsonObject, path: string, latentDim: number): Label {
  const mean = placeAt(values.mean, `${path}.mean`, latentDim);
  const cov = covarianceAt(values.cov, `${path}.cov`, latentDim);
  const components = mixtureAt(values.components ?? [], `${path}.components`, latentDim);
  return {
    count: wholeAt(values.count, `${path}.count`, 0, MAX_COUNT),
    mean,
    components: components.length ? components : [{ weight: 1, mean, cov }],
  };
}

function mixtureAt(value: unknown, path: string, latentDim: number): Component[] {
  const components = listAt(value, path).map((item, i) => {
    const values = objectAt(item, `${path}[${i}]`);
    return {
      weight: numberAt(values.weight, `${path}[${i}].weight`),
      mean: placeAt(values.mean, `${path}[${i}].mean`, latentDim),
      cov: covarianceAt(values.cov, `${path}[${i}].cov`, latentDim),
    };
  });
  const total = components.reduce((sum, { weight }) => sum + weight, 0);
  const isMixture = components.every(({ weight }) => weight > 0) && Math.abs(total - 1) <= WEIGHT_SLACK;
  if (components.length && !isMixture) {
    throw new Error(`'${path}' has weights that are not positive, or do not sum to 1`);
  }
  return components;
}

function covarianceAt(value: unknown, path: string, size: number): Covariance {
  const rows = listAt(value, path);
  const isMatrix = Array.isArray(rows[0]);
  const cov = isMatrix ? rows.map((row) => vectorAt(row, path, size)) : vectorAt(rows, path, size);
  if (cov.length !== size) throw new Error(`'${path}' is not a ${size}×${size} matrix`);
  const variances = cov.map((row, i) => (typeof row === "number" ? row : row[i]!));
  if (!variances.every((variance) => variance > 0 && variance <= MAX_LATENT)) {
    throw new Error(`'${path}' holds a variance that isn't positive, or above 1e6`);
  }
  return cov as Covariance;
}

function placeAt(value: unknown, path: string, latentDim: number): number[] {
  const place = vectorAt(value, path, latentDim);
  if (place.some((coordinate) => Math.abs(coordinate) > MAX_LATENT)) {
    throw new Error(`'${path}' must lie within ±${MAX_LATENT}`);
  }
  return place;
}

function textsAt(value: unknown, path: string): string[] {
  return listAt(value, path).map((item) => textAt(item, path));
}

function productOf(sizes: readonly number[]): number {
  return sizes.reduce((product, size) => product * size, 1);
}
