/* Find handwriting in a photograph: on any paper, under any light, of either polarity.

   The paper's brightness is estimated around each pixel, so that uneven light, shadows and colored paper drop out; ink is
   what is darker than its paper. A threshold separates the two, and the drawing is the connected part with most ink, with
   the pieces that lie close to it. vae_runtime's formats/ink.py is the original, and a test compares the two. */

import { blurred } from "./blur.js";
import { mainDrawing } from "./drawing_parts.js";
import { localMedians } from "./medians.js";
import { closed, dilated } from "./morphology.js";
import { clamp, largest, median, quantile, roundEven } from "./numbers.js";
import { borderOf, boxOf, cropped, inside, type Gray, type Mask, type Plane } from "./plane.js";
import { BICUBIC, reduced, resizedGray } from "./resample.js";

// Pixels along the longer side of the picture that is searched, and of the smaller copies of it that the paper and the
// polarity are found in.
const SEARCH_SIDE = 512;
const PAPER_SIDE = 128;
const POLARITY_SIDE = 48;
// Windows that polarity is judged in, as shares of the longer side.
const NARROW_WINDOW_SHARE = 0.25;
const WIDE_WINDOW_SHARE = 0.6;
// A drawing fills its picture when it is larger than this share of it.
const LARGE_DRAWING_SHARE = 0.6;
// What is wider than this share of the longer side is paper, not a stroke; they are tried in this order.
const STROKE_SHARES = [0.25, 0.12, 0.06];
// The darkness just outside a drawing, as a share of the darkness inside: beyond it, it is a shadow.
const MAX_HALO = 0.3;
const MAX_HANDWRITING_HALO = 0.4;
// Ink that is less dark than this, relative to its paper, is noise.
const MIN_CONTRAST = 0.06;
const MIN_PAPER = 8;
const HISTOGRAM_BINS = 128;
// How often a threshold is raised that lets ruled lines through.
const MAX_RAISES = 4;
// Pixels in which a stroke fades into the paper.
const SOFT_EDGE_PIXELS = 2;
const VISIBLE_INK = 0.2;
const MIN_FULL = 1e-6;

/* Ink and how sure it is that it was drawn. */
export interface Drawing {
  /* 1 where the pen wrote, 0 elsewhere, cropped. */
  readonly ink: Plane;
  /* The darkness just outside as a share of its own: a shadow fades, a pen doesn't. */
  readonly halo: number;
  readonly touchesBorder: boolean;
}

/* False for noise, and for photographs of other things. */
export function isHandwriting(drawing: Drawing): boolean {
  return drawing.halo <= MAX_HANDWRITING_HALO;
}

/* The drawing in a picture; undefined where there is no mark at all. `darkInk` says whether ink is darker than its
   paper; undefined finds out. */
export function findDrawing(gray: Gray, darkInk?: boolean): Drawing | undefined {
  const picture = reduced(gray, SEARCH_SIDE);
  if (darkInk !== undefined) return best(drawings(picture, darkInk));
  // Narrow windows are right under uneven light, wide ones where the drawing fills the picture.
  const drawing = best(drawings(picture, hasDarkInk(picture, NARROW_WINDOW_SHARE)));
  if (drawing && isSure(drawing) && !fills(drawing, picture)) return drawing;
  return best(drawings(picture, hasDarkInk(picture, WIDE_WINDOW_SHARE)));
}

/* Whether what stands out from its surroundings is darker than they are. */
function hasDarkInk(picture: Gray, windowShare: number): boolean {
  const small = reduced(picture, POLARITY_SIDE);
  const radius = Math.max(1, roundEven((windowShare * POLARITY_SIDE) / 2));
  const medians = localMedians(small, radius, "mirror");
  let balance = 0;
  // Cubes let the strokes, few but far from the paper, outweigh light and noise.
  small.values.forEach((value, i) => (balance += (value - medians.values[i]!) ** 3));
  return balance < 0;
}

function isSure(drawing: Drawing): boolean {
  return drawing.halo <= MAX_HALO && !drawing.touchesBorder;
}

function fills(drawing: Drawing, picture: Gray): boolean {
  const side = Math.max(drawing.ink.width, drawing.ink.height);
  return side > LARGE_DRAWING_SHARE * Math.max(picture.width, picture.height);
}

/* What each width of strokes finds, up to the first that is sure. */
function drawings(picture: Gray, darkInk: boolean): Drawing[] {
  const values = darkInk ? picture.values : picture.values.map((value) => 255 - value);
  const found: Drawing[] = [];
  for (const share of STROKE_SHARES) {
    const drawing = drawingIn(darknessOf({ ...picture, values }, share));
    if (!drawing) continue;
    found.push(drawing);
    if (isSure(drawing)) break;
  }
  return found;
}

/* The last drawing where it is sure, else the first of those that fade least. */
function best(found: readonly Drawing[]): Drawing | undefined {
  const last = found.at(-1);
  if (!last || isSure(last)) return last;
  return found.reduce((least, drawing) => (drawing.halo < least.halo ? drawing : least));
}

/* How much darker than its paper each pixel is, in [0, 1]: (paper - gray) / paper. */
function darknessOf(picture: Gray, strokeShare: number): Plane {
  // A little blur takes the noise of the camera off.
  const smooth = blurred(picture, Math.max(picture.width, picture.height) / SEARCH_SIDE);
  const paper = paperOf(picture, strokeShare);
  const values = Float32Array.from(paper.values, (light, i) =>
    clamp((light - smooth.values[i]!) / Math.max(light, MIN_PAPER), 0, 1),
  );
  return { width: picture.width, height: picture.height, values };
}

/* The picture without its strokes: a morphological closing (maximum, then minimum), blurred. */
function paperOf(picture: Gray, strokeShare: number): Gray {
  const medians = localMedians(reduced(picture, PAPER_SIDE), 1, "edge");
  const small = { ...medians, values: Uint8Array.from(medians.values) };
  const radius = Math.max(1, roundEven((strokeShare * Math.max(small.width, small.height)) / 2));
  const even = blurred(closed(small, radius), (2 * radius) / 3);
  return resizedGray(even, picture.width, picture.height, BICUBIC);
}

/* What was drawn, its strokes scaled to 1; undefined where there is no ink. */
function drawingIn(darkness: Plane): Drawing | undefined {
  if (largest(darkness.values) < MIN_CONTRAST) return undefined;
  const { threshold, chosen } = separated(darkness);
  if (!chosen) return undefined;
  const full = quantile(inside(darkness, chosen), 0.8);
  const least = threshold / 2;
  const range = Math.fround(Math.max(full - least, MIN_FULL));
  // The strokes' soft edges lie just outside the mask.
  const soft = dilated(chosen, SOFT_EDGE_PIXELS);
  const values = darkness.values.map((dark, i) =>
    soft.values[i] ? clamp(Math.fround(dark - Math.fround(least)) / range, 0, 1) : 0,
  );
  const visible = values.map((value) => Number(value > Math.fround(VISIBLE_INK)));
  const box = boxOf({ ...darkness, values: Uint8Array.from(visible) });
  if (!box) return undefined;
  return {
    ink: cropped({ ...darkness, values }, box),
    halo: haloOf(darkness, chosen),
    touchesBorder: borderOf(chosen).some(Boolean),
  };
}

/* The threshold that finds a drawing, and the drawing. */
function separated(darkness: Plane): { threshold: number; chosen: Mask | undefined } {
  let threshold = Math.max(MIN_CONTRAST, otsuThreshold(darkness.values));
  let chosen = mainDrawing(darkness, above(darkness, threshold));
  for (let raises = 0; raises < MAX_RAISES; raises++) {
    if (!chosen || !spansThePicture(chosen)) break;
    // Ruled lines cross the whole picture and are fainter than the pen.
    const limit = Math.fround(threshold);
    const higher = otsuThreshold(darkness.values.filter((dark) => dark > limit));
    if (higher <= threshold) break;
    threshold = higher;
    chosen = mainDrawing(darkness, above(darkness, threshold));
  }
  return { threshold, chosen };
}

function above(darkness: Plane, threshold: number): Mask {
  const limit = Math.fround(threshold);
  return { ...darkness, values: Uint8Array.from(darkness.values, (dark) => Number(dark > limit)) };
}

/* Whether a part reaches two opposite borders. */
function spansThePicture(mask: Mask): boolean {
  const box = boxOf(mask)!;
  const isAcross = box.left <= 1 && box.right >= mask.width - 2;
  return isAcross || (box.top <= 1 && box.bottom >= mask.height - 2);
}

function haloOf(darkness: Plane, drawing: Mask): number {
  const near = dilated(drawing, 2 * SOFT_EDGE_PIXELS);
  const far = dilated(drawing, 3 * SOFT_EDGE_PIXELS);
  const ring = { ...far, values: far.values.map((value, i) => value & ~near.values[i]!) };
  const outside = inside(darkness, ring);
  if (!outside.length) return 1;
  return Math.fround(quantile(outside, 0.75) / median(inside(darkness, drawing)));
}

/* The value in [0, 1] that separates two groups of values best.

   Otsu 1979, "A threshold selection method from gray-level histograms", equation 12. */
export function otsuThreshold(values: Float32Array): number {
  const counts = new Float64Array(HISTOGRAM_BINS);
  for (const value of values) {
    const bin = Math.min(HISTOGRAM_BINS - 1, Math.floor(value * HISTOGRAM_BINS));
    counts[bin]! += 1;
  }
  const centers = counts.map((_, bin) => (bin + 0.5) / HISTOGRAM_BINS);
  const weights = runningSum(counts.map((count) => count / values.length));
  const moments = runningSum(counts.map((count, bin) => (count / values.length) * centers[bin]!));
  const mean = moments.at(-1)!;
  let best = { bin: 0, between: -Infinity };
  weights.forEach((weight, bin) => {
    const between = (mean * weight - moments[bin]!) ** 2 / Math.max(weight * (1 - weight), 1e-9);
    if (between > best.between) best = { bin, between };
  });
  return (best.bin + 1) / HISTOGRAM_BINS;
}

function runningSum(values: Float64Array): Float64Array {
  let sum = 0;
  return values.map((value) => (sum += value));
}
