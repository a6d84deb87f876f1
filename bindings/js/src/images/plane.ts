/* One channel of a picture: rows of values, one after another. */

export interface Plane<Values extends Float32Array | Uint8Array = Float32Array> {
  readonly width: number;
  readonly height: number;
  readonly values: Values;
}

/* Gray values from 0 to 255. */
export type Gray = Plane<Uint8Array>;
/* 1 inside, 0 outside. */
export type Mask = Plane<Uint8Array>;

export interface Box {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/* The first and last row and column that hold something; undefined where nothing does. */
export function boxOf(mask: Mask): Box | undefined {
  let [top, bottom, left, right] = [mask.height, -1, mask.width, -1];
  for (let y = 0; y < mask.height; y++) {
    for (let x = 0; x < mask.width; x++) {
      if (!mask.values[y * mask.width + x]) continue;
      top = Math.min(top, y);
      bottom = y;
      left = Math.min(left, x);
      right = Math.max(right, x);
    }
  }
  return bottom < 0 ? undefined : { top, bottom, left, right };
}

/* The part inside a box, its edges included. */
export function cropped(plane: Plane, box: Box): Plane {
  const width = box.right - box.left + 1;
  const height = box.bottom - box.top + 1;
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const start = (box.top + y) * plane.width + box.left;
    values.set(plane.values.subarray(start, start + width), y * width);
  }
  return { width, height, values };
}

/* A canvas of zeros with a plane on it. */
export function onBlack(plane: Plane, width: number, height: number, top: number, left: number): Plane {
  const values = new Float32Array(width * height);
  for (let y = 0; y < plane.height; y++) {
    const row = plane.values.subarray(y * plane.width, (y + 1) * plane.width);
    values.set(row, (top + y) * width + left);
  }
  return { width, height, values };
}

/* The values of all pixels at the border, those in the corners twice. */
export function borderOf<Values extends Float32Array | Uint8Array>(plane: Plane<Values>): number[] {
  const { width, height, values } = plane;
  const border: number[] = [];
  for (let x = 0; x < width; x++) border.push(values[x]!, values[(height - 1) * width + x]!);
  for (let y = 0; y < height; y++) border.push(values[y * width]!, values[y * width + width - 1]!);
  return border;
}

/* The values where a mask holds. */
export function inside(plane: Plane, mask: Mask): Float32Array {
  return plane.values.filter((_, i) => mask.values[i]);
}
