// Milliseconds per image of each variant of a bundle, on both engines with one thread; alternating, the median of 15.
// Usage: node benchmark.mjs BUNDLE   (in bindings/js, after npm install and npm run build)
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as node from "onnxruntime-node";
import * as web from "onnxruntime-web/wasm";

const ROUNDS = 15;
const BATCHES = [16, 1];
const folder = process.argv[2];
const { variants, image_shape, latent_dim } = JSON.parse(readFileSync(join(folder, "bundle.json")));
const engines = { wasm: web, cpu: node.default };
web.env.wasm.numThreads = 1;

async function sessionOf(ort, backend, file) {
  const options = { executionProviders: [backend], intraOpNumThreads: 1 };
  return ort.InferenceSession.create(new Uint8Array(readFileSync(join(folder, file))), options);
}

async function time({ ort, session, batch }) {
  const [name] = session.inputNames;
  const shape = [batch, ...(name === "image" ? image_shape : [latent_dim])];
  const data = new Float32Array(shape.reduce((size, side) => size * side)).fill(0.3);
  const start = performance.now();
  await session.run({ [name]: new ort.Tensor("float32", data, shape) });
  return (performance.now() - start) / batch;
}

for (const [backend, ort] of Object.entries(engines)) {
  for (const part of ["decoder", "encoder"]) {
    const files = [...new Set(variants.map((variant) => variant[part].file))];
    const cases = [];
    for (const batch of BATCHES) {
      for (const file of files) cases.push({ ort, batch, file, session: await sessionOf(ort, backend, file), times: [] });
    }
    // The first round lets the engine compile.
    for (let round = 0; round <= ROUNDS; round++) {
      for (const one of cases) {
        const milliseconds = await time(one);
        if (round > 0) one.times.push(milliseconds);
      }
    }
    for (const { batch, file, times } of cases) {
      const median = times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)];
      console.log(`${backend}  ${file.padEnd(20)} batch ${String(batch).padEnd(3)} ${median.toFixed(2)} ms/image`);
    }
  }
}
