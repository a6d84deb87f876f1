/* What a score says: typical, rare, or plainly nothing that the model knows. */

import type { Variant } from "../bundle/records.js";

// Far off begins this many times the distance of the two quantiles below the lower one.
const FAR_OFF = 2;
const LOW_QUANTILE = "0.001";
const HIGH_QUANTILE = "0.05";

/* The scores of held-out images that others are compared with. */
export interface Yardstick {
  /* "0.01" to the score that one held-out image in a hundred stays below. */
  readonly quantiles: Readonly<Record<string, number>>;
  readonly isRelative: boolean;
}

/* Relative scores, or raw ones in a bundle that is older than they are. */
export function yardstickOf(variant: Variant): Yardstick {
  const relative = variant.relativeQuantiles;
  if (Object.keys(relative).length) return { quantiles: relative, isRelative: true };
  return { quantiles: variant.scoreQuantiles, isRelative: false };
}

/* Whether a score may be that of an image like those of the training. */
export function isKnown(score: number, { quantiles }: Yardstick): boolean {
  const low = quantiles[LOW_QUANTILE];
  const high = quantiles[HIGH_QUANTILE];
  if (low === undefined || high === undefined) return true;
  return score >= low - FAR_OFF * (high - low);
}

/* What a score says in words; without quantiles there is nothing to say. */
export function verdict(score: number, yardstick: Yardstick): string {
  const shares = Object.keys(yardstick.quantiles).sort((a, b) => Number(a) - Number(b));
  if (!shares.length) return "";
  if (!isKnown(score, yardstick)) return "unlike anything the model knows";
  const share = shares.find((name) => score < yardstick.quantiles[name]!);
  if (share === undefined) return "typical";
  return `rare: fewer than 1 in ${Math.round(1 / Number(share))} real images score lower`;
}
