/* The median of each pixel's surroundings. */

import type { Gray, Plane } from "./plane.js";

const LEVELS = 256;

/* The median of the (2 · radius + 1)² gray values around each; beyond the border the picture is as `outside` says. */
export function localMedians(gray: Gray, radius: number, outside: "edge" | "mirror"): Plane {
  const { width, height, values } = gray;
  const medians = new Float32Array(width * height);
  const columns = reflected(width, radius, outside);
  const rows = reflected(height, radius, outside);
  const counts = new Uint16Array(LEVELS);
  const middle = ((2 * radius + 1) ** 2 + 1) / 2;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      counts.fill(0);
      for (let dy = 0; dy <= 2 * radius; dy++) {
        const row = rows[y + dy]! * width;
        for (let dx = 0; dx <= 2 * radius; dx++) counts[values[row + columns[x + dx]!]!]!++;
      }
      medians[y * width + x] = levelOf(counts, middle);
    }
  }
  return { width, height, values: medians };
}

/* Where the pixels from -radius to size + radius - 1 are taken from. */
function reflected(size: number, radius: number, outside: "edge" | "mirror"): number[] {
  const places: number[] = [];
  for (let i = -radius; i < size + radius; i++) {
    if (outside === "edge") places.push(Math.min(size - 1, Math.max(0, i)));
    else places.push(mirrored(i, size));
  }
  return places;
}

/* The border's pixels stand on both sides of it. */
function mirrored(place: number, size: number): number {
  const period = 2 * size;
  const inside = ((place % period) + period) % period;
  return inside < size ? inside : period - 1 - inside;
}

function levelOf(counts: Uint16Array, middle: number): number {
  let seen = 0;
  let level = -1;
  while (seen < middle) seen += counts[++level]!;
  return level;
}
