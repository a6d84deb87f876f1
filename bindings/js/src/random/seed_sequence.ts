/* numpy's SeedSequence: any whole numbers become well mixed words of a generator's state.

   O'Neill 2015, "Developing a seed_seq alternative"; numpy/random/bit_generator.pyx. */

const POOL_WORDS = 4;
const HASH_START = 0x43b0d7e5;
const HASH_FACTOR = 0x931e8875;
const OUTPUT_START = 0x8b51f9dd;
const OUTPUT_FACTOR = 0x58f38ded;
const MIX_LEFT = 0xca01f9dd;
const MIX_RIGHT = 0x4973f715;
const HALF_WORD = 16;

export type Seed = number | bigint;

/* `count` words of 32 bits that follow from `seeds`, as `SeedSequence(seeds).generate_state(count)`.
   Throws RangeError for a seed that is no whole number from 0 on. */
export function seedWords(seeds: readonly Seed[], count: number): Uint32Array {
  const pool = mixedPool(seeds.flatMap(wordsOf));
  const words = new Uint32Array(count);
  let factor = OUTPUT_START;
  for (let i = 0; i < count; i++) {
    let word = pool[i % POOL_WORDS]! ^ factor;
    factor = Math.imul(factor, OUTPUT_FACTOR);
    word = Math.imul(word, factor);
    words[i] = folded(word);
  }
  return words;
}

function mixedPool(entropy: readonly number[]): Uint32Array {
  const pool = new Uint32Array(POOL_WORDS);
  let factor = HASH_START;

  function hashed(word: number): number {
    const mixed = word ^ factor;
    factor = Math.imul(factor, HASH_FACTOR);
    return folded(Math.imul(mixed, factor));
  }

  for (let i = 0; i < POOL_WORDS; i++) pool[i] = hashed(entropy[i] ?? 0);
  for (let from = 0; from < POOL_WORDS; from++) {
    for (let to = 0; to < POOL_WORDS; to++) {
      if (from !== to) pool[to] = mixed(pool[to]!, hashed(pool[from]!));
    }
  }
  for (const word of entropy.slice(POOL_WORDS)) {
    for (let to = 0; to < POOL_WORDS; to++) pool[to] = mixed(pool[to]!, hashed(word));
  }
  return pool;
}

function mixed(x: number, y: number): number {
  return folded(Math.imul(MIX_LEFT, x) - Math.imul(MIX_RIGHT, y));
}

/* A word with its upper half laid over the lower one. */
function folded(word: number): number {
  return (word ^ (word >>> HALF_WORD)) >>> 0;
}

/* A whole number as words of 32 bits, the lowest first; 0 is one word. */
function wordsOf(seed: Seed): number[] {
  const isWhole = typeof seed === "bigint" || Number.isSafeInteger(seed);
  if (!isWhole || seed < 0) {
    throw new RangeError(`a seed must be a whole number, 0 or more, not ${seed}`);
  }
  const words = [];
  let rest = BigInt(seed);
  do {
    words.push(Number(rest & 0xffffffffn));
    rest >>= 32n;
  } while (rest > 0n);
  return words;
}
