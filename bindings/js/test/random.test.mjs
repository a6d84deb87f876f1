import assert from "node:assert/strict";
import { test } from "node:test";
import { PCG64, standardNormal } from "vae-edge";

import { doubles, golden } from "./golden.mjs";

for (const { seeds, draws } of golden.draws) {
  test(`draws of the seeds ${seeds} are numpy's, bit for bit`, () => {
    const expected = doubles(draws);
    const found = standardNormal(new PCG64(...seeds.map(BigInt)), expected.length);
    assert.deepEqual(Buffer.from(found.buffer), Buffer.from(expected.buffer));
  });
}

test("a number and a bigint are the same seed", () => {
  assert.deepEqual(standardNormal(new PCG64(9), 4), standardNormal(new PCG64(9n), 4));
});

for (const seed of [-1, 0.5, NaN, 2 ** 60, -1n]) {
  test(`the seed ${seed} is refused`, () => {
    assert.throws(() => new PCG64(seed), /^RangeError: a seed must be a whole number, 0 or more/);
  });
}
