/* Pictures made larger and smaller as Pillow does it: each axis apart, each pixel a weighted mean of those that the
   filter reaches, which is as many times wider as the picture gets smaller. */

import { clamp, roundEven } from "./numbers.js";
import type { Gray, Plane } from "./plane.js";

interface Filter {
  readonly reach: number;
  weight(distance: number): number;
}

/* Keys 1981, "Cubic convolution interpolation for digital image processing", with a = -0.5. */
export const BICUBIC: Filter = {
  reach: 2,
  weight(distance) {
    const x = Math.abs(distance);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return -0.5 * (((x - 5) * x + 8) * x - 4);
    return 0;
  },
};

export const BOX: Filter = {
  reach: 0.5,
  weight(distance) {
    return distance > -0.5 && distance <= 0.5 ? 1 : 0;
  },
};

// 8-bit values are summed in whole numbers: weights have this many bits behind the point.
const WEIGHT_BITS = 22;

/* The weights of the pixels from `first` on. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/* A plane of floats at another size. */
export function resized(plane: Plane, width: number, height: number, filter: Filter): Plane {
  const across = along(plane, width, filter, (sum) => sum);
  return transposed(along(transposed(across), height, filter, (sum) => sum));
}

/* Gray values at another size, rounded after each axis. */
export function resizedGray(gray: Gray, width: number, height: number, filter: Filter): Gray {
  const across = along(gray, width, fixedPoint(filter), rounded);
  return transposed(along(transposed(across), height, fixedPoint(filter), rounded));
}

/* The picture with its longer side at most `side`. */
export function reduced(gray: Gray, side: number): Gray {
  const scale = Math.min(1, side / Math.max(gray.width, gray.height));
  const width = Math.max(1, roundEven(gray.width * scale));
  const height = Math.max(1, roundEven(gray.height * scale));
  return resizedGray(gray, width, height, BOX);
}

/* A mask at another size, each pixel the nearest one's. */
export function resizedNearest(gray: Gray, width: number, height: number): Gray {
  const columns = nearest(gray.width, width);
  const rows = nearest(gray.height, height);
  const values = new Uint8Array(width * height);
  rows.forEach((row, y) => {
    columns.forEach((column, x) => (values[y * width + x] = gray.values[row * gray.width + column]!));
  });
  return { width, height, values };
}

function nearest(from: number, to: number): number[] {
  const step = from / to;
  const places: number[] = [];
  for (let i = 0, place = step / 2; i < to; i++, place += step) {
    places.push(Math.min(from - 1, Math.trunc(place)));
  }
  return places;
}

/* Rows resampled to `width` pixels; `finished` makes a sum a value. */
function along<Values extends Float32Array | Uint8Array>(
  plane: Plane<Values>,
  width: number,
  filter: Filter & { readonly scale?: number },
  finished: (sum: number) => number,
): Plane<Values> {
  if (width === plane.width) return plane;
  const taps = tapsOf(plane.width, width, filter);
  const values = emptyLike(plane.values, width * plane.height);
  for (let y = 0; y < plane.height; y++) {
    const row = y * plane.width;
    for (let x = 0; x < width; x++) {
      const { first, weights } = taps[x]!;
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += plane.values[row + first + i]! * weights[i]!;
      values[y * width + x] = finished(sum);
    }
  }
  return { width, height: plane.height, values };
}

function tapsOf(from: number, to: number, filter: Filter & { readonly scale?: number }): Taps[] {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const reach = filter.reach * stretch;
  const taps: Taps[] = [];
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(from, Math.trunc(center + reach + 0.5));
    const weights = new Float64Array(end - first);
    let total = 0;
    for (let k = 0; k < weights.length; k++) {
      weights[k] = filter.weight((k + first - center + 0.5) * (1 / stretch));
      total += weights[k]!;
    }
    const unit = filter.scale;
    taps.push({ first, weights: weights.map((w) => (unit ? halfAway((w / total) * unit) : w / total)) });
  }
  return taps;
}

function fixedPoint(filter: Filter): Filter & { readonly scale: number } {
  return { ...filter, scale: 2 ** WEIGHT_BITS };
}

function rounded(sum: number): number {
  return clamp((sum + 2 ** (WEIGHT_BITS - 1)) >> WEIGHT_BITS, 0, 255);
}

function halfAway(value: number): number {
  return Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
}

export function transposed<Values extends Float32Array | Uint8Array>(
  plane: Plane<Values>,
): Plane<Values> {
  const { width, height } = plane;
  const values = emptyLike(plane.values, width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) values[x * height + y] = plane.values[y * width + x]!;
  }
  return { width: height, height: width, values };
}

function emptyLike<Values extends Float32Array | Uint8Array>(values: Values, size: number): Values {
  const empty = values instanceof Uint8Array ? new Uint8Array(size) : new Float32Array(size);
  return empty as Values;
}
