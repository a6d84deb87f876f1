/* What a bundle's `bundle.json` says; docs/bundle.md of vae-edge explains each key. */

export type Fit = "contain" | "stretch" | "crop" | "mnist";
export const FITS: readonly Fit[] = ["contain", "stretch", "crop", "mnist"];

export type LikelihoodName = "bernoulli" | "continuous_bernoulli" | "gaussian";
export const LIKELIHOODS: readonly LikelihoodName[] = ["bernoulli", "continuous_bernoulli", "gaussian"];

export type GraphPrecision = "fp32" | "int8";
/* A matrix, or the vector of a diagonal one. */
export type Covariance = readonly number[] | readonly (readonly number[])[];

export interface GraphFile {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface Variant {
  readonly name: string;
  readonly precision: GraphPrecision;
  readonly providers: readonly string[];
  readonly encoder: GraphFile;
  readonly decoder: GraphFile;
  readonly requires: readonly string[];
  /* Nats per image against fp32; null where it wasn't measured. */
  readonly elboChange: number | null;
  readonly elboBudget: number;
  /* Of int8, by condition: how many times as fast as fp32 it is reckoned to be. */
  readonly gains: Readonly<Record<string, number>>;
  readonly scoreQuantiles: Readonly<Record<string, number>>;
  readonly relativeQuantiles: Readonly<Record<string, number>>;
}

export interface Component {
  readonly weight: number;
  readonly mean: readonly number[];
  readonly cov: Covariance;
}

export interface Label {
  readonly count: number;
  readonly mean: readonly number[];
  readonly components: readonly Component[];
}

export interface Likelihood {
  readonly name: LikelihoodName;
  /* The log variance of each channel, for "gaussian". */
  readonly logVar: readonly number[];
}

export interface Preprocess {
  readonly fit: Fit;
  readonly invert: boolean;
}

/* [C, H, W]. */
export type ImageShape = readonly [number, number, number];

export interface Manifest {
  readonly latentDim: number;
  readonly latentShape: readonly number[];
  readonly imageShape: ImageShape;
  readonly variants: readonly Variant[];
  readonly likelihood: Likelihood;
  readonly preprocess: Preprocess;
  readonly labels: ReadonlyMap<string, Label>;
  readonly density: readonly Component[];
}
