/* SHA-256 in hexadecimal. Browsers have it for pages of https and localhost alone; a phone that opens a page by the
   address of a machine nearby needs it computed here. */

const ROUNDS = 64;
const BLOCK_BYTES = 64;
const LENGTH_BYTES = 8;
// The first 32 bits of the fractional parts of cube and square roots of the first primes.
const CONSTANTS = Uint32Array.from(primes(ROUNDS), (prime) => fraction(Math.cbrt(prime)));
const START = Uint32Array.from(primes(8), (prime) => fraction(Math.sqrt(prime)));

export async function sha256Hex(content: Uint8Array): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) return sha256HexHere(content);
  // The types want to be sure that no other thread writes to it.
  const digest = await subtle.digest("SHA-256", content as Uint8Array<ArrayBuffer>);
  return hexOf(new Uint8Array(digest));
}

/* The same without the browser's help. FIPS 180-4, sections 5 and 6.2. */
export function sha256HexHere(content: Uint8Array): string {
  const blocks = padded(content);
  const state = START.slice();
  for (let start = 0; start < blocks.byteLength; start += BLOCK_BYTES) {
    compress(state, new DataView(blocks.buffer, start, BLOCK_BYTES));
  }
  const digest = new DataView(new ArrayBuffer(4 * state.length));
  state.forEach((word, i) => digest.setUint32(4 * i, word));
  return hexOf(new Uint8Array(digest.buffer));
}

function padded(content: Uint8Array): Uint8Array {
  const blocks = Math.ceil((content.length + 1 + LENGTH_BYTES) / BLOCK_BYTES);
  const bytes = new Uint8Array(blocks * BLOCK_BYTES);
  bytes.set(content);
  bytes[content.length] = 0x80;
  new DataView(bytes.buffer).setBigUint64(bytes.length - LENGTH_BYTES, BigInt(content.length) * 8n);
  return bytes;
}

function compress(state: Uint32Array, block: DataView): void {
  const schedule = scheduleOf(block);
  let [a, b, c, d, e, f, g, h] = state as unknown as number[] as [
    number, number, number, number, number, number, number, number,
  ];
  for (let i = 0; i < ROUNDS; i++) {
    const choice = (e & f) ^ (~e & g);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const high = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const low = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const first = (h + high + choice + CONSTANTS[i]! + schedule[i]!) | 0;
    [h, g, f, e] = [g, f, e, (d + first) | 0];
    [d, c, b, a] = [c, b, a, (first + low + majority) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i]! += word));
}

function scheduleOf(block: DataView): Uint32Array {
  const schedule = new Uint32Array(ROUNDS);
  for (let i = 0; i < 16; i++) schedule[i] = block.getUint32(4 * i);
  for (let i = 16; i < ROUNDS; i++) {
    const early = schedule[i - 15]!;
    const late = schedule[i - 2]!;
    const low = turned(early, 7) ^ turned(early, 18) ^ (early >>> 3);
    const high = turned(late, 17) ^ turned(late, 19) ^ (late >>> 10);
    schedule[i] = schedule[i - 16]! + low + schedule[i - 7]! + high;
  }
  return schedule;
}

function turned(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function fraction(value: number): number {
  return (value % 1) * 2 ** 32;
}

function primes(count: number): number[] {
  const found: number[] = [];
  for (let candidate = 2; found.length < count; candidate++) {
    if (found.every((prime) => candidate % prime)) found.push(candidate);
  }
  return found;
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
