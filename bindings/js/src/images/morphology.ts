/* Gray-scale morphology with square windows: as many steps as the window's width doubles.

   Soille 2003, "Morphological Image Analysis", chapters 3 and 4. */

import type { Plane } from "./plane.js";
import { transposed } from "./resample.js";

/* The maximum over the square of 2 · radius + 1 pixels around each pixel. */
export function dilated<Values extends Float32Array | Uint8Array>(
  plane: Plane<Values>,
  radius: number,
): Plane<Values> {
  return extreme(plane, radius, Math.max);
}

/* The minimum over the square of 2 · radius + 1 pixels around each pixel. */
export function eroded<Values extends Float32Array | Uint8Array>(
  plane: Plane<Values>,
  radius: number,
): Plane<Values> {
  return extreme(plane, radius, Math.min);
}

/* The values without dark things that are narrower than 2 · radius + 1 pixels. */
export function closed<Values extends Float32Array | Uint8Array>(
  plane: Plane<Values>,
  radius: number,
): Plane<Values> {
  return eroded(dilated(plane, radius), radius);
}

type Pick = (a: number, b: number) => number;

function extreme<Values extends Float32Array | Uint8Array>(
  plane: Plane<Values>,
  radius: number,
  pick: Pick,
): Plane<Values> {
  const down = alongRows(transposed(plane), radius, pick);
  return alongRows(transposed(down), radius, pick);
}

function alongRows<Values extends Float32Array | Uint8Array>(
  plane: Plane<Values>,
  radius: number,
  pick: Pick,
): Plane<Values> {
  const { width, height } = plane;
  const values = plane.values.slice() as Values;
  const window = new Float32Array(width + 2 * radius);
  for (let y = 0; y < height; y++) {
    const row = values.subarray(y * width, (y + 1) * width);
    window.fill(row[0]!, 0, radius);
    window.set(row, radius);
    window.fill(row[width - 1]!, radius + width);
    widen(window, 2 * radius + 1, pick);
    row.set(window.subarray(0, width));
  }
  return { width, height, values };
}

/* Makes each value that of the `width` values from it on. */
function widen(window: Float32Array, width: number, pick: Pick): void {
  for (let done = 1; done < width; ) {
    const step = Math.min(done, width - done);
    for (let i = 0; i + step < window.length; i++) window[i] = pick(window[i]!, window[i + step]!);
    done += step;
  }
}
