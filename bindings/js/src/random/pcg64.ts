/* The generator PCG64 (XSL RR 128/64) as numpy has it.

   O'Neill 2014, "PCG: a family of simple fast space-efficient statistically good algorithms for
   random number generation". */

import { seedWords, type Seed } from "./seed_sequence.js";

const STATE_MASK = (1n << 128n) - 1n;
const WORD_MASK = (1n << 64n) - 1n;
const LOW_MASK = 0xffffffffn;
const FACTOR = 0x2360ed051fc65da44385df649fccf645n;
const RESOLUTION = 2 ** -53;

/* 64 random bits, as two words. */
export interface Bits {
  readonly high: number;
  readonly low: number;
}

/* What `numpy.random.default_rng(seeds)` draws its bits from. */
export class PCG64 {
  private state: bigint;
  private readonly increment: bigint;

  constructor(...seeds: Seed[]) {
    const words = seedWords(seeds, 8);
    const start = stateOf(words.subarray(0, 4));
    const stream = stateOf(words.subarray(4));
    this.increment = ((stream << 1n) | 1n) & STATE_MASK;
    this.state = (this.increment + start) & STATE_MASK;
    this.step();
  }

  next(): Bits {
    this.step();
    const folded = ((this.state >> 64n) ^ this.state) & WORD_MASK;
    const turn = this.state >> 122n;
    const bits = (folded >> turn) | (folded << (64n - turn));
    return { high: Number((bits >> 32n) & LOW_MASK), low: Number(bits & LOW_MASK) };
  }

  /* A uniform draw from [0, 1), of 53 bits. */
  uniform(): number {
    const { high, low } = this.next();
    return (high * 2 ** 21 + (low >>> 11)) * RESOLUTION;
  }

  private step(): void {
    this.state = (this.state * FACTOR + this.increment) & STATE_MASK;
  }
}

/* 128 bits of four words: numpy reads two words of 64 bits, the higher one first, whose halves
   stand the other way round. */
function stateOf(words: Uint32Array): bigint {
  const [a, b, c, d] = Array.from(words, BigInt) as [bigint, bigint, bigint, bigint];
  return (((b << 32n) | a) << 64n) | (d << 32n) | c;
}
