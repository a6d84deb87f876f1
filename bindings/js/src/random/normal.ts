/* Standard normal draws, bit for bit those of `numpy.random.Generator.standard_normal`.

   Marsaglia and Tsang 2000, "The ziggurat method for generating random variables", with 256 layers.
   Math.log1p and Math.exp are the engine's own. V8's give numpy's bits; where another engine rounds
   differently, draws beyond 3.65, 3 in 10,000, may differ in their last bit. */

import type { PCG64 } from "./pcg64.js";
import { LAYER_HEIGHTS, LAYER_LIMITS, LAYER_WIDTHS } from "./ziggurat_tables.js";

// Where the tail begins, and its inverse.
const TAIL = 3.6541528853610087963519472518;
const INVERSE_TAIL = 0.27366123732975827203338247596;

/* `count` draws in float64. */
export function standardNormal(generator: PCG64, count: number): Float64Array {
  const draws = new Float64Array(count);
  for (let i = 0; i < count; i++) draws[i] = draw(generator);
  return draws;
}

function draw(generator: PCG64): number {
  for (;;) {
    // Of 64 bits the lowest 8 choose a layer, the next is the sign, 52 are the distance.
    const { high, low } = generator.next();
    const layer = low & 0xff;
    const isNegative = (low >>> 8) & 1;
    const distance = (high & 0x1fffffff) * 2 ** 23 + (low >>> 9);
    const size = distance * LAYER_WIDTHS[layer]!;
    const x = isNegative ? -size : size;
    if (distance < LAYER_LIMITS[layer]!) return x;
    if (layer === 0) {
      // numpy takes the tail's sign from another bit.
      const isLeft = (low >>> 17) & 1;
      return isLeft ? -tail(generator) : tail(generator);
    }
    const above = LAYER_HEIGHTS[layer - 1]!;
    const here = LAYER_HEIGHTS[layer]!;
    if ((above - here) * generator.uniform() + here < Math.exp(-0.5 * x * x)) return x;
  }
}

/* A distance beyond TAIL: Marsaglia 1964. */
function tail(generator: PCG64): number {
  for (;;) {
    const x = -INVERSE_TAIL * Math.log1p(-generator.uniform());
    const y = -Math.log1p(-generator.uniform());
    if (y + y > x * x) return TAIL + x;
  }
}
