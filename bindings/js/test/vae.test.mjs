import assert from "node:assert/strict";
import { test } from "node:test";
import * as node from "onnxruntime-node";
import * as web from "onnxruntime-web/wasm";
import { load } from "vae-edge";

import { distance, doubles, floats, golden } from "./golden.mjs";

// Both engines compute in float32, in another order than Python's.
const MAX_DIFFERENCE = 2e-5;
const MAX_SCORE_DIFFERENCE = 5e-3;

for (const [engine, ort] of [["onnxruntime-node", node.default], ["onnxruntime-web", web]]) {
  for (const [name, expected] of Object.entries(golden.bundles)) {
    const loaded = load(expected.zip, { ort });
    const check = (what, run) =>
      test(`${what} of ${name} on ${engine} is Python's`, async () => {
        const vae = await loaded;
        const found = await run(vae);
        const wanted = floats(expected[what]);
        const off = distance(found.data, wanted);
        assert.ok(off < MAX_DIFFERENCE * Math.max(1, ...wanted), `off by ${off}`);
      });
    const shapeOf = (vae) => [19, ...vae.imageShape];
    const images = (vae) => ({ data: floats(expected.decoded), shape: shapeOf(vae) });
    const z = floats(expected.z);

    check("decoded", (vae) => vae.decode(z));
    check("z_mean", async (vae) => (await vae.encode(images(vae))).zMean);
    check("z_log_var", async (vae) => (await vae.encode(images(vae))).zLogVar);
    check("sample_3", (vae) => vae.sample(5, 3));
    check("reconstructed", (vae) => vae.reconstruct(images(vae)));
    const ends = (vae) => [z.slice(0, vae.latentDim), z.slice(vae.latentDim, 2 * vae.latentDim)];
    check("linear", (vae) => vae.interpolate(...ends(vae), 7));
    check("spherical", (vae) => vae.interpolate(...ends(vae), 7, { mode: "spherical" }));

    for (const [what, options] of [["score_0", {}], ["score_7", { seed: 7 }], ["relative", { relative: true }]]) {
      test(`${what} of ${name} on ${engine} is Python's`, async () => {
        const vae = await loaded;
        const scores = await vae.score(images(vae), options);
        const off = distance(scores, doubles(expected[what]));
        assert.ok(off < MAX_SCORE_DIFFERENCE, `off by ${off} nats`);
      });
    }

    test(`no latents give no images: ${name} on ${engine}`, async () => {
      const vae = await loaded;
      const { data, shape } = await vae.decode([]);
      assert.equal(data.length, 0);
      assert.deepEqual(shape, [0, ...vae.imageShape]);
    });
  }
}

test("an image has the same score in any company", async () => {
  const expected = golden.bundles.digits;
  const vae = await load(expected.path);
  const alone = await vae.score(floats(expected.decoded).slice(784, 2 * 784));
  assert.ok(Math.abs(alone[0] - doubles(expected.score_0)[1]) < MAX_SCORE_DIFFERENCE);
});

test("what doesn't fit is refused with what was expected", async () => {
  const vae = await load(golden.bundles.digits.path);
  await assert.rejects(vae.decode([1, 2, 3]), /3 latents don't fit the model's \(N, 2\)/);
  await assert.rejects(vae.decode([NaN, 0]), /NaN/);
  await assert.rejects(vae.encode(new Float32Array(783)), /don't fit the model's images/);
  await assert.rejects(vae.encode(new Float32Array(784).fill(2)), /must lie in \[0, 1\]/);
  await assert.rejects(vae.encode(new Blob(["text"])), /image files need a browser/);
  await assert.rejects(vae.interpolate([0, 0], [1, 1], 1), /at least 2 steps/);
  await assert.rejects(vae.sample(-1), /n must be a whole number/);
});

test("pixels of any size are encoded", async () => {
  const vae = await load(golden.bundles.digits.path);
  const data = new Uint8ClampedArray(4 * 100 * 80).fill(255);
  const { zMean } = await vae.encode({ width: 100, height: 80, data });
  assert.deepEqual(zMean.shape, [1, 2]);
});

test("calls may overlap", async () => {
  const expected = golden.bundles.tiny;
  const vae = await load(expected.path, { ort: web });
  const images = floats(expected.decoded);
  const calls = [vae.decode(floats(expected.z)), vae.reconstruct(images), vae.sample(5, 3), vae.decode(floats(expected.z))];
  const found = await Promise.all(calls);
  ["decoded", "reconstructed", "sample_3", "decoded"].forEach((what, i) => {
    assert.ok(distance(found[i].data, floats(expected[what])) < MAX_DIFFERENCE, what);
  });
});
