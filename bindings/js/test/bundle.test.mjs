import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as web from "onnxruntime-web/wasm";
import { BundleError, load } from "vae-edge";
import { sha256HexHere } from "../dist/bundle/sha256.js";

import { distance, floats, golden } from "./golden.mjs";

const { tiny } = golden.bundles;

// A copy of tiny.vae, changed by `change(folder)`.
async function changed(change) {
  const folder = await mkdtemp(join(tmpdir(), "vae-edge-"));
  await cp(tiny.path, folder, { recursive: true });
  await change(folder);
  return folder;
}

async function edited(edit) {
  return changed(async (folder) => {
    const path = join(folder, "bundle.json");
    const manifest = JSON.parse(await readFile(path, "utf8"));
    edit(manifest);
    await writeFile(path, JSON.stringify(manifest));
  });
}

async function flipByte(path) {
  const content = await readFile(path);
  content[99] ^= 1;
  await writeFile(path, content);
}

const isBundleError = (pattern) => (error) =>
  error instanceof BundleError && !error.message.includes("\n") && pattern.test(error.message);

test("a folder, a zip, its bytes and a File are the same bundle", async () => {
  const bytes = await readFile(tiny.zip);
  const sources = [tiny.path, tiny.zip, new Uint8Array(bytes), new File([bytes], "tiny.vae")];
  sources.push(new Uint8Array(bytes).buffer, new URL(`file://${tiny.path}`));
  for (const source of sources) {
    const vae = await load(source);
    const { data } = await vae.decode(floats(tiny.z));
    assert.ok(distance(data, floats(tiny.decoded)) < 2e-5);
  }
});

test("a folder and a zip are loaded from a web server", async () => {
  const server = createServer(async (request, response) => {
    const name = request.url.split("/").at(-1);
    if (request.url.startsWith("/none")) {
      response.writeHead(404).end("<!doctype html>");
      return;
    }
    const path = request.url === "/tiny.zip" ? tiny.zip : join(tiny.path, name);
    const content = await readFile(path).catch(() => undefined);
    response.writeHead(content ? 200 : 404).end(content);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const base = `http://127.0.0.1:${server.address().port}`;
  try {
    for (const address of [`${base}/folder/`, `${base}/folder`, `${base}/tiny.zip`]) {
      const vae = await load(address, { ort: web });
      assert.deepEqual((await vae.decode([0, 0])).shape, [1, 1, 28, 28]);
      await vae.close();
    }
    await assert.rejects(load(`${base}/none`), isBundleError(/bundle.json: missing from the bundle/));
    server.closeAllConnections();
    server.close();
    await assert.rejects(load(`${base}/tiny.zip`), isBundleError(/cannot be fetched/));
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("the variant that runs, and why, can be asked", async () => {
  const vae = await load(golden.bundles.digits.path, { ort: web, precision: "auto" });
  assert.equal(vae.variant.name, "fp32");
  assert.equal(vae.backend, "wasm");
  assert.equal(vae.reason, "the bundle has no int8 graphs for it");
});

test("a variant is taken where its condition holds", async () => {
  const portable = await load(tiny.path, { ort: web });
  assert.equal(portable.variant.name, "fp32");
  const blocked = await edited((manifest) => {
    const [portable] = manifest.variants;
    manifest.schema = 2;
    const made = { ...portable, providers: ["CPUExecutionProvider"] };
    manifest.variants.push({ ...made, name: "blocked", requires: ["blocked_layouts"] });
    manifest.variants.push({ ...made, name: "plain", requires: ["plain_layouts"] });
  });
  assert.equal((await load(blocked, { ort: web })).variant.name, portable.variant.name);
  const name = process.arch === "x64" ? "blocked" : "plain";
  assert.equal((await load(blocked)).variant.name, name);
});

test("int8 is taken by itself where the bundle says that it is faster", async () => {
  const here = process.arch === "x64" ? "blocked_layouts" : "integer_dot_products";
  const withGains = (gains) =>
    edited((manifest) => {
      manifest.schema = 2;
      const int8 = { name: "int8", precision: "int8", elbo_change: -0.1, gains };
      manifest.variants.push({ ...manifest.variants[0], ...int8 });
    });
  const faster = await withGains({ [here]: 1.3 });
  const auto = await load(faster, { precision: "auto" });
  assert.equal(auto.variant.name, "int8");
  assert.deepEqual(auto.precisions, ["fp32", "int8"]);
  const inBrowsers = await load(faster, { ort: web, precision: "auto" });
  const elsewhere = await load(await withGains({}), { precision: "auto" });
  for (const { variant, reason } of [inBrowsers, elsewhere]) {
    assert.equal(variant.name, "fp32");
    assert.equal(reason, "int8 isn't known to be faster here");
  }
  assert.equal((await load(faster, { ort: web, precision: "int8" })).variant.name, "int8");
});

test("int8 beyond its budget isn't taken by itself", async () => {
  const folder = await edited((manifest) => {
    const [portable] = manifest.variants;
    const gains = { blocked_layouts: 1.3, integer_dot_products: 2 };
    manifest.variants.push({ ...portable, name: "int8", precision: "int8", elbo_change: -0.4, gains });
  });
  const auto = await load(folder, { precision: "auto" });
  assert.equal(auto.variant.precision, "fp32");
  assert.match(auto.reason, /changes the ELBO by -0.4 nats, the budget is 0.3/);
  assert.equal((await load(folder, { precision: "int8" })).variant.name, "int8");
});

const WRONG = [
  ["schema", (m) => (m.schema = 3), /schema 3 is not supported .* upgrade vae-edge/],
  ["a latent_dim of 0", (m) => (m.latent_dim = 0), /'latent_dim' is 0/],
  ["a path in a file's name", (m) => (m.variants[0].encoder.file = "../x"), /not a plain name/],
  ["a hash that is none", (m) => (m.variants[0].decoder.sha256 = "x"), /variants\[0\].decoder.sha256/],
  ["no variants", (m) => (m.variants = []), /'variants' are 0/],
  ["an unknown fit", (m) => (m.preprocess.fit = "zoom"), /'preprocess.fit' "zoom" is not one of/],
  ["an unknown likelihood", (m) => (m.likelihood.name = "x"), /'likelihood.name'/],
  ["a mean of another length", (m) => (m.labels["0"].mean = [1]), /labels.0.mean' is not a list of 2/],
];
for (const [what, edit, message] of WRONG) {
  test(`${what} is refused when the bundle is loaded`, async () => {
    await assert.rejects(load(await edited(edit)), isBundleError(message));
  });
}

test("what is no bundle is refused", async () => {
  await assert.rejects(load("/no/such.vae"), isBundleError(/no such bundle/));
  await assert.rejects(load(new Uint8Array(100)), isBundleError(/not a bundle: no zip file/));
  const empty = await changed((folder) => rm(join(folder, "bundle.json")));
  await assert.rejects(load(empty), isBundleError(/bundle.json: missing from the bundle/));
  const text = await changed((folder) => writeFile(join(folder, "bundle.json"), "{"));
  await assert.rejects(load(text), isBundleError(/damaged, it is no JSON/));
});

test("a graph that was changed, cut off or taken away is refused", async () => {
  const damages = [
    [flipByte, /its SHA-256 is not/],
    [async (path) => writeFile(path, (await readFile(path)).subarray(9)), /damaged: \d+ bytes where/],
    [(path) => rm(path), /missing from the bundle/],
  ];
  for (const [damage, message] of damages) {
    const folder = await changed((folder) => damage(join(folder, "decoder.onnx")));
    await assert.rejects((await load(folder)).decode([0, 0]), isBundleError(message));
  }
});

test("another graph than the bundle says is refused", async () => {
  const folder = await edited((m) => (m.variants[0].decoder = m.variants[0].encoder));
  await assert.rejects((await load(folder)).decode([0, 0]), isBundleError(/it is image ->/));
});

test("every byte of a zip that is changed is found, or changes nothing", async () => {
  const zip = new Uint8Array(await readFile(tiny.zip));
  for (let i = 0; i < 200; i++) {
    const copy = zip.slice();
    const place = i < 100 ? zip.length - 1 - i * 4 : Math.floor((i * zip.length) / 200);
    copy[place] ^= 0x41;
    try {
      await load(copy);
    } catch (error) {
      assert.ok(isBundleError(/./)(error), `byte ${place}: ${error.stack}`);
    }
  }
});

test("SHA-256 without the browser's help is SHA-256", () => {
  for (const size of [0, 1, 55, 56, 63, 64, 65, 1000, 100_001]) {
    const content = new Uint8Array(size).map((_, i) => i * 7);
    assert.equal(sha256HexHere(content), createHash("sha256").update(content).digest("hex"));
  }
});
