/* Which connected parts of the ink are the drawing: the one with most of it, and the pieces close to it. */

import { connectedParts, type Parts } from "./blobs.js";
import { dilated } from "./morphology.js";
import { boxOf, borderOf, type Box, type Mask, type Plane } from "./plane.js";
import { BOX, reduced, resized, resizedNearest } from "./resample.js";

// Pixels along the longer side of the copy that parts are found in, and over which they may be interrupted.
const PARTS_SIDE = 128;
const JOIN_PIXELS = 2;
// Of the small mask's gray values: a quarter of the pixels beneath.
const MIN_COVER = 63;
// Other parts belong to the drawing when they lie within this share of its size and hold at least this share of its ink,
// about as dark as its own.
const MAX_GAP_SHARE = 0.35;
const MIN_PIECE_SHARE = 0.04;
const MIN_PIECE_DARKNESS = 0.6;
// Of two candidates, one that reaches the picture's border must have this many times the other's ink.
const BORDER_HANDICAP = 12;

/* The part of the mask with most ink and what belongs to it; undefined for an empty mask. */
export function mainDrawing(darkness: Plane, mask: Mask): Mask | undefined {
  const small = reduced({ ...mask, values: mask.values.map((value) => 255 * value) }, PARTS_SIDE);
  const smallMask = { ...small, values: small.values.map((value) => Number(value > MIN_COVER)) };
  const parts = connectedParts(dilated(smallMask, JOIN_PIXELS));
  if (!parts.count) return undefined;
  const ink = { ...darkness, values: darkness.values.map((dark, i) => (mask.values[i] ? dark : 0)) };
  const smallInk = resized(ink, small.width, small.height, BOX);
  const chosen = labelsOfDrawing(parts, smallInk, smallMask);
  const joined = Uint8Array.from(parts.labels, (label) => Number(chosen.has(label)));
  const large = resizedNearest({ ...small, values: joined }, mask.width, mask.height);
  const values = large.values.map((value, i) => value & mask.values[i]!);
  return values.some(Boolean) ? { ...mask, values } : undefined;
}

/* The label of the main part, and of the pieces that lie close to it. */
function labelsOfDrawing(parts: Parts, ink: Plane, mask: Mask): Set<number> {
  const amounts = new Float64Array(parts.count + 1);
  const pixels = new Float64Array(parts.count + 1);
  parts.labels.forEach((label, i) => {
    if (label) amounts[label]! += ink.values[i]!;
    pixels[label]! += mask.values[i]!;
  });
  const darkness = amounts.map((amount, label) => amount / Math.max(pixels[label]!, 1));
  const atBorder = labelsAtBorder(parts);
  const main = mainLabel(amounts, atBorder);
  const box = boxOfPart(parts, main);
  const reach = MAX_GAP_SHARE * Math.max(box.bottom - box.top, box.right - box.left);
  const chosen = new Set([main]);
  for (let label = 1; label <= parts.count; label++) {
    const isPiece =
      !atBorder.has(label) &&
      amounts[label]! >= MIN_PIECE_SHARE * amounts[main]! &&
      darkness[label]! >= MIN_PIECE_DARKNESS * darkness[main]!;
    if (isPiece && gapBetween(box, boxOfPart(parts, label)) <= reach) chosen.add(label);
  }
  return chosen;
}

/* The part with most ink; one that reaches the border is rather a shadow's edge or a line. */
function mainLabel(amounts: Float64Array, atBorder: ReadonlySet<number>): number {
  let main = 0;
  let most = -Infinity;
  amounts.forEach((amount, label) => {
    const weight = atBorder.has(label) ? amount / BORDER_HANDICAP : amount;
    if (weight > most) [main, most] = [label, weight];
  });
  return main;
}

function labelsAtBorder({ width, height, labels }: Parts): Set<number> {
  return new Set(borderOf({ width, height, values: Float32Array.from(labels) }));
}

function boxOfPart({ width, height, labels }: Parts, label: number): Box {
  return boxOf({ width, height, values: Uint8Array.from(labels, (other) => Number(other === label)) })!;
}

function gapBetween(box: Box, other: Box): number {
  const down = Math.max(other.top - box.bottom, box.top - other.bottom);
  const across = Math.max(other.left - box.right, box.left - other.right);
  return Math.max(down, across);
}
