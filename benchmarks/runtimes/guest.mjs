/* Run a plan's graphs in onnxruntime-web (WebAssembly, one thread) or onnxruntime-node:

       node guest.mjs PLAN MODULE

   It lies beside the folder node_modules that the module is installed in. */

import { readFileSync, writeFileSync } from "node:fs";

const [plan, name] = process.argv.slice(2);
const imported = await import(name);
const ort = imported.InferenceSession ? imported : imported.default;
ort.env.wasm.numThreads = 1;

function floats(file) {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

for (const job of JSON.parse(readFileSync(plan, "utf-8"))) {
  const session = await ort.InferenceSession.create(readFileSync(job.graph));
  const inputs = floats(job.file);
  const size = job.dims.reduce((product, dimension) => product * dimension, 1);
  const parts = Object.fromEntries(Object.keys(job.outputs).map((output) => [output, []]));
  for (let i = 0; i < job.runs; i++) {
    const batch = new ort.Tensor("float32", inputs.slice(i * size, (i + 1) * size), job.dims);
    const values = await session.run({ [job.input]: batch });
    for (const output in parts) parts[output].push(Buffer.from(Float32Array.from(values[output].data).buffer));
  }
  for (const output in parts) writeFileSync(job.outputs[output], Buffer.concat(parts[output]));
  await session.release();
}
