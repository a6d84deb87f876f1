/* Where a label's images lie in latent space. */

import type { Label } from "../bundle/records.js";
import { logMixture, logSumExp } from "./gaussian.js";

type Labels = ReadonlyMap<string, Label>;

/* The mean latent (D,) of all training images. */
export function centerOf(labels: Labels): number[] {
  const all = [...labels.values()];
  const total = all.reduce((sum, { count }) => sum + count, 0);
  return (all[0]?.mean ?? []).map(
    (_, i) => all.reduce((sum, { count, mean }) => sum + count * mean[i]!, 0) / total,
  );
}

/* The center (D,) of a label's mixture where p(label | z) is highest: there its images look most like it. */
export function purestPlace(labels: Labels, name: string): readonly number[] {
  const { components } = labels.get(name)!;
  let best = { place: components[0]!.mean, logP: -Infinity };
  for (const { mean } of components) {
    const logP = logPosterior(labels, name, mean);
    if (logP > best.logP) best = { place: mean, logP };
  }
  return best.place;
}

/* log p(label | z); each label's prior is its share of the images. */
function logPosterior(labels: Labels, name: string, z: readonly number[]): number {
  const joint = new Map<string, number>();
  for (const [other, { count, components }] of labels) {
    // A label without images is no rival to others, yet has a place of its own.
    if (count || other === name) joint.set(other, Math.log(Math.max(1, count)) + logMixture(components, z));
  }
  return joint.get(name)! - logSumExp([...joint.values()]);
}
