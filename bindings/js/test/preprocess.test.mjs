import assert from "node:assert/strict";
import { test } from "node:test";
import { prepare } from "vae-edge";

import { bytes, distance, floats, golden } from "./golden.mjs";

// Of [0, 1]; 8 bits are 390 times as coarse.
const MAX_DIFFERENCE = 1e-5;

golden.pictures.forEach(({ width, height, pixels, shape, fit, invert, image }, i) => {
  const inverted = invert ? ", inverted" : "";
  test(`picture ${i} of ${width}×${height} becomes Python's image: ${fit}${inverted}`, () => {
    const found = prepare({ width, height, data: bytes(pixels) }, shape, { fit, invert });
    const off = distance(found, floats(image));
    assert.ok(off < MAX_DIFFERENCE, `off by ${255 * off} of 255`);
  });
});
