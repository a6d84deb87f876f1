/* Which variant of a bundle runs here, and why: a rule short enough to print. */

import { BundleError } from "../errors.js";
import { PROVIDER } from "../ort.js";
import type { GraphPrecision, Manifest, Variant } from "./records.js";

export type Precision = GraphPrecision | "auto";

export interface Choice {
  readonly variant: Variant;
  readonly reason: string;
}

/* "auto" takes int8 where the bundle says that it is faster in this place and its loss of ELBO is within the
   bundle's budget.
   Throws BundleError where there is no variant of that precision. */
export function chosenVariant(
  manifest: Manifest,
  precision: Precision,
  conditions: readonly string[],
): Choice {
  if (precision !== "auto") {
    return { variant: bestOf(manifest, precision, conditions), reason: "asked for" };
  }
  const int8 = candidates(manifest, "int8", conditions)[0];
  if (!int8) {
    return { variant: bestOf(manifest, "fp32", conditions), reason: "the bundle has no int8 graphs for it" };
  }
  if (!Object.keys(int8.gains).some((condition) => conditions.includes(condition))) {
    return { variant: bestOf(manifest, "fp32", conditions), reason: "int8 isn't known to be faster here" };
  }
  const change = int8.elboChange;
  if (change === null || change < -int8.elboBudget) {
    const reason = `int8 changes the ELBO by ${change} nats, the budget is ${int8.elboBudget}`;
    return { variant: bestOf(manifest, "fp32", conditions), reason };
  }
  return { variant: int8, reason: `int8 changes the ELBO by ${change.toFixed(2)} nats` };
}

/* The precisions that some variant has here. */
export function precisionsHere(manifest: Manifest, conditions: readonly string[]): GraphPrecision[] {
  const precisions: GraphPrecision[] = ["fp32", "int8"];
  return precisions.filter((precision) => candidates(manifest, precision, conditions).length > 0);
}

function bestOf(manifest: Manifest, precision: GraphPrecision, conditions: readonly string[]): Variant {
  const found = candidates(manifest, precision, conditions);
  if (!found.length) {
    const present = manifest.variants.map((v) => `${v.precision} for ${v.providers.join(" ")}`);
    throw new BundleError(
      `this bundle has no ${precision} graphs for ${PROVIDER}; it has ${present.join(", ")}`,
    );
  }
  return found[0]!;
}

/* Those that list the provider by name stand before the portable ones. */
function candidates(
  manifest: Manifest,
  precision: GraphPrecision,
  conditions: readonly string[],
): Variant[] {
  const isMet = ({ requires }: Variant) =>
    !requires.length || requires.some((condition) => conditions.includes(condition));
  const fitting = manifest.variants.filter((v) => v.precision === precision && isMet(v));
  const named = fitting.filter((v) => v.providers.includes(PROVIDER));
  return [...named, ...fitting.filter((v) => !named.includes(v) && v.providers.includes("*"))];
}
