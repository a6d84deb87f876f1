/* Connected parts of a mask: the two-pass algorithm of Rosenfeld and Pfaltz 1966, "Sequential operations in digital
   picture processing". */

import type { Mask } from "./plane.js";

/* The number of each pixel's part, in the order in which their first pixels stand; 0 lies outside all of them. */
export interface Parts {
  readonly width: number;
  readonly height: number;
  readonly labels: Int32Array;
  readonly count: number;
}

/* The 8-connected parts of a mask. */
export function connectedParts(mask: Mask): Parts {
  const { width, height } = mask;
  const labels = new Int32Array(width * height);
  // Labels that turn out to be one are trees whose root is the smallest label. Label 0 is the outside.
  const parents = [0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const place = y * width + x;
      if (!mask.values[place]) continue;
      const neighbors = labelsBefore(labels, x, y, width);
      if (!neighbors.length) neighbors.push(parents.push(parents.length) - 1);
      labels[place] = neighbors[0]!;
      for (const other of neighbors) join(parents, neighbors[0]!, other);
    }
  }
  return { width, height, ...numbered(labels, parents) };
}

/* The labels of the pixels to the left, and above from left to right. */
function labelsBefore(labels: Int32Array, x: number, y: number, width: number): number[] {
  const found: number[] = [];
  const place = y * width + x;
  if (x > 0 && labels[place - 1]) found.push(labels[place - 1]!);
  if (y === 0) return found;
  for (let above = Math.max(0, x - 1); above <= Math.min(width - 1, x + 1); above++) {
    const label = labels[place - width - x + above]!;
    if (label) found.push(label);
  }
  return found;
}

/* Labels become numbers without gaps, in their order. */
function numbered(labels: Int32Array, parents: number[]): { labels: Int32Array; count: number } {
  const numbers = new Map([[0, 0]]);
  for (let label = 1; label < parents.length; label++) {
    const root = rootOf(parents, label);
    if (!numbers.has(root)) numbers.set(root, numbers.size);
  }
  return {
    labels: labels.map((label) => numbers.get(rootOf(parents, label))!),
    count: numbers.size - 1,
  };
}

function join(parents: number[], first: number, second: number): void {
  const a = rootOf(parents, first);
  const b = rootOf(parents, second);
  parents[Math.max(a, b)] = Math.min(a, b);
}

function rootOf(parents: number[], label: number): number {
  while (parents[label] !== label) {
    // Halving the path keeps the trees flat.
    parents[label] = parents[parents[label]!]!;
    label = parents[label]!;
  }
  return label;
}
