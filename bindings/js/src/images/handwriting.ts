/* Any picture of handwriting brought to MNIST's form: light ink on black, its box scaled to 20 of 28 pixels, its center of
   mass in the middle. LeCun et al. 1998, "Gradient-based learning applied to document recognition", section III.A. */

import { blurred } from "./blur.js";
import { findDrawing, isHandwriting } from "./ink.js";
import { dilated } from "./morphology.js";
import { clamp, median, quantile, roundEven, toUint8 } from "./numbers.js";
import { borderOf, onBlack, type Plane } from "./plane.js";
import { BICUBIC, resized } from "./resample.js";

const INK_SHARE = 20 / 28;
// MNIST's pens are this share of the digit's size wide, or wider.
const MIN_STROKE_SHARE = 0.09;
// A picture whose paper and border are at least this dark is in MNIST's form.
const MAX_BLACK = 0.1;
// What counts as ink where strokes are measured.
const HALF_INK = 0.5;
const FAINT_INK = 0.1;

/* A gray picture in [0, 1] as an image of width × height, light ink on black. One that already is in this form stays as it
   is. Black for an empty page, undefined for marks that are no handwriting. */
export function asMnist(gray: Plane, width: number, height: number, darkInk?: boolean): Plane | undefined {
  if (gray.width === width && gray.height === height) {
    const inverted = { ...gray, values: gray.values.map((value) => 1 - value) };
    if (darkInk !== true && isInForm(gray)) return gray;
    if (darkInk !== false && isInForm(inverted)) return inverted;
  }
  const drawing = findDrawing({ ...gray, values: toUint8(gray.values) }, darkInk);
  if (!drawing) return { width, height, values: new Float32Array(width * height) };
  if (!isHandwriting(drawing)) return undefined;
  const scaled = scaledInto(withThickStrokes(drawing.ink), width * INK_SHARE, height * INK_SHARE);
  return centered(withEvenStrokes(scaled), width, height);
}

function isInForm(gray: Plane): boolean {
  return median(gray.values) <= MAX_BLACK && median(Float32Array.from(borderOf(gray))) <= MAX_BLACK;
}

/* Strokes of a thin pen widened to those that MNIST was written with. */
function withThickStrokes(ink: Plane): Plane {
  const wanted = MIN_STROKE_SHARE * Math.max(ink.width, ink.height);
  const missing = roundEven((wanted - strokeWidth(ink)) / 2);
  if (missing < 1) return ink;
  const padded = onBlack(ink, ink.width + 2 * missing, ink.height + 2 * missing, missing, missing);
  const thick = dilated(padded, missing);
  const smooth = blurred({ ...thick, values: toUint8(thick.values) }, missing / 2);
  return { ...smooth, values: Float32Array.from(smooth.values, (value) => value / 255) };
}

/* The mean width of the strokes in pixels: twice their area over the length of their outline. */
function strokeWidth({ width, height, values }: Plane): number {
  const isInk = (x: number, y: number) => values[y * width + x]! > HALF_INK;
  let area = 0;
  let crossings = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const here = isInk(x, y);
      area += Number(here);
      if (x + 1 < width) crossings += Number(here !== isInk(x + 1, y));
      if (y + 1 < height) crossings += Number(here !== isInk(x, y + 1));
    }
  }
  // Outlines cross a grid's lines 4 / π times per pixel of their length (Cauchy and Crofton).
  const outline = Math.max(1, (crossings * Math.PI) / 4);
  return (2 * area) / outline;
}

/* The ink as large as it fits. */
function scaledInto(ink: Plane, width: number, height: number): Plane {
  const scale = Math.min(height / ink.height, width / ink.width);
  const newWidth = Math.max(1, roundEven(ink.width * scale));
  const newHeight = Math.max(1, roundEven(ink.height * scale));
  return resized(ink, newWidth, newHeight, BICUBIC);
}

/* The ink with the middle of its strokes at 1. */
function withEvenStrokes(ink: Plane): Plane {
  const strokes = ink.values.filter((value) => value > Math.fround(FAINT_INK));
  if (!strokes.length) return { ...ink, values: new Float32Array(ink.values.length) };
  const full = quantile(strokes, 0.9);
  return { ...ink, values: ink.values.map((value) => clamp(value / full, 0, 1)) };
}

/* The ink on black, its center of mass in the middle. */
function centered(ink: Plane, width: number, height: number): Plane {
  let [total, acrossSum, downSum] = [0, 0, 0];
  ink.values.forEach((value, i) => {
    total += value;
    acrossSum += value * (i % ink.width);
    downSum += value * Math.floor(i / ink.width);
  });
  const top = roundEven(height / 2 - downSum / (total || 1));
  const left = roundEven(width / 2 - acrossSum / (total || 1));
  const highestTop = clamp(top, 0, height - ink.height);
  return onBlack(ink, width, height, highestTop, clamp(left, 0, width - ink.width));
}
