/* Rounding and order statistics as Python and numpy have them, so that the same image comes out of the same picture. */

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

/* To the nearest whole number, halves to the even one. */
export function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/* [0, 1] to whole numbers from 0 to 255. */
export function toUint8(values: Float32Array): Uint8Array {
  const rounded = new Uint8Array(values.length);
  // A photograph has millions of them, for which a callback each would take seconds.
  for (let i = 0; i < values.length; i++) {
    rounded[i] = roundEven(Math.fround(clamp(values[i]!, 0, 1) * 255));
  }
  return rounded;
}

/* The value that a share of `values` stays below, interpolated linearly in float32. */
export function quantile(values: Float32Array, share: number): number {
  const sorted = values.slice().sort();
  const place = Math.fround((sorted.length - 1) * Math.fround(share));
  const low = Math.floor(place);
  const first = sorted[low]!;
  const second = sorted[Math.min(low + 1, sorted.length - 1)]!;
  return Math.fround(first + (second - first) * (place - low));
}

export function median(values: Float32Array): number {
  return quantile(values, 0.5);
}

export function sumOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
}

export function largest(values: ArrayLike<number>): number {
  let found = -Infinity;
  for (let i = 0; i < values.length; i++) found = Math.max(found, values[i]!);
  return found;
}
