// Drives the built page of examples/browser in a real Chromium: from a server that has files alone, under a path; then without
// it. Usage: node page.mjs SITE GOLDEN FOLDER   (PLAYWRIGHT: the folder of playwright-core; CHROMIUM: the browser)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";

const { chromium } = createRequire(import.meta.url)(process.env.PLAYWRIGHT);
const [site, goldenPath, folder] = process.argv.slice(2);
const golden = JSON.parse(readFileSync(goldenPath, "utf8"));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".svg": "image/svg+xml" };
const PREFIX = "/some/where/";

const loaded = {};
const server = createServer((request, response) => {
  const path = new URL(request.url, "http://x").pathname;
  try {
    assert.ok(path.startsWith(PREFIX));
    const name = path.slice(PREFIX.length) || "index.html";
    const content = readFileSync(join(site, name));
    loaded[name] = content.length;
    response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(content);
  } catch {
    response.writeHead(404).end("<!doctype html>");
  }
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const url = `http://127.0.0.1:${server.address().port}${PREFIX}`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });

async function open(options, address = url) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    // This test reads the canvas more often than the page does.
    const isOurs = message.text().includes("willReadFrequently");
    if (["error", "warning"].includes(message.type()) && !isOurs) problems.push(message.text());
  });
  page.on("request", (request) => { if (!request.url().startsWith(url) && !request.url().startsWith("blob:")) problems.push(request.url()); });
  await page.goto(address);
  await shown(page);
  return { page, problems };
}
const shown = (page) => page.waitForFunction(() => document.querySelector("#image").dataset.z, null, { timeout: 60000 });
const gray = (page, id) => page.evaluate((id) => {
  const canvas = document.getElementById(id);
  return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).filter((_, i) => i % 4 === 0);
}, id);
const distance = (a, b) => {
  assert.equal(a.length, b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
};

async function drop(page, path, name) {
  const transfer = await page.evaluateHandle(([bytes, name]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(bytes)], name));
    return data;
  }, [[...readFileSync(path)], name]);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
}

// Decoded pixels are Python's.
const { page, problems } = await open({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
assert.match(await page.textContent("#about"), /^model\.vae: 28×28, gray, 2 latent dimensions, fp32 on WebAssembly$/);
assert.ok(await page.isHidden("#precisions"));
for (const { z, image } of golden.decoded) {
  for (const [i, value] of z.entries()) await page.locator("#sliders input").nth(i).fill(String(value));
  await page.waitForFunction((z) => document.querySelector("#image").dataset.z === z, z.join());
  assert.ok(distance(await gray(page, "image"), image) <= 1);
}

// So is the plane.
const background = await page.evaluate(async () => {
  const bitmap = await createImageBitmap(await (await fetch(document.querySelector("#background").src)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return Array.from(canvas.getContext("2d").getImageData(0, 0, bitmap.width, bitmap.height).data).filter((_, i) => i % 4 === 0);
});
assert.ok(distance(background, golden.plane) <= 1);

// Photographs that are dropped are seen as Python sees them, and judged alike.
for (const { path, image, rebuilt, score, verdict } of golden.photographs) {
  await drop(page, path, "photo.jpg");
  await page.waitForFunction((score) => {
    const found = document.querySelector("#score").textContent.match(/-?[\d.]+(?= nats)/);
    return found && Math.abs(Number(found[0]) - score) < 0.2;
  }, score, { timeout: 20000 });
  const off = [distance(await gray(page, "seen"), image), distance(await gray(page, "rebuilt"), rebuilt)];
  console.log(`${path.split("/").at(-1)}: seen off by ${off[0]}, rebuilt off by ${off[1]} of 255`);
  assert.ok(Math.max(...off) <= 1);
  assert.equal(await page.textContent("#verdict"), verdict);
}
await page.screenshot({ path: `${folder}/desktop.png` });
await page.setInputFiles("#file", { name: "no.png", mimeType: "image/png", buffer: Buffer.from("text") });
await page.waitForFunction(() => document.querySelector("#trouble").textContent === "no.png: not an image");
assert.deepEqual(problems, []);
console.log(`loaded ${JSON.stringify(loaded)}`);

// A bundle by its address, with both precisions, and a switch between them.
const both = await open({ viewport: { width: 1000, height: 800 } }, `${url}?bundle=both.vae`);
assert.match(await both.page.textContent("#about"), /^both\.vae: .* fp32 on/);
await both.page.selectOption("#precision", "int8");
await both.page.waitForURL(/bundle=both\.vae&precision=int8/);
await shown(both.page);
assert.match(await both.page.textContent("#about"), / int8 on WebAssembly$/);
assert.deepEqual(both.problems, []);
await both.page.screenshot({ path: `${folder}/both.png` });

// Colors, three latents, no labels, no scores of held-out images.
const color = await open({ viewport: { width: 1000, height: 800 } }, `${url}?bundle=color.vae`);
assert.match(await color.page.textContent("#about"), /^color\.vae: 16×16, color, 3 latent dimensions/);
const colors = await color.page.evaluate(() => {
  const canvas = document.getElementById("image");
  return Array.from(canvas.getContext("2d").getImageData(0, 0, 16, 16).data).filter((_, i) => i % 4 < 3);
});
assert.ok(distance(colors, golden.color) <= 1);
await drop(color.page, golden.photographs[0].path, "photo.jpg");
await color.page.waitForFunction(() => document.querySelector("#score").textContent.includes("nats"));
assert.equal(await color.page.textContent("#verdict"), golden.colorVerdict);
assert.deepEqual(color.problems, []);

// A bundle that is dropped, and stays when the page is loaded again; one that is none says so.
await drop(both.page, golden.zip, "dropped.vae");
await both.page.waitForURL(/bundle=dropped/);
await shown(both.page);
assert.match(await both.page.textContent("#about"), /^dropped\.vae: 28×28/);
await both.page.setInputFiles("#file", { name: "chosen.vae", mimeType: "", buffer: readFileSync(golden.zip) });
await both.page.waitForFunction(() => document.querySelector("#about").textContent.startsWith("chosen.vae"));
await both.page.goto(`${url}?bundle=none.vae/`);
await both.page.waitForFunction(() => document.querySelector("#message").textContent.includes("bundle.json: missing from the bundle"));

// A phone.
const phone = await open({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
const box = await phone.page.locator("#frame").boundingBox();
await phone.page.touchscreen.tap(box.x + 0.25 * box.width, box.y + 0.5 * box.height);
await phone.page.waitForFunction(() => Math.abs(Number(document.querySelector("#image").dataset.z.split(",")[0]) + 1.5) < 0.1);
assert.ok(await phone.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
await drop(phone.page, golden.photographs[0].path, "photo.jpg");
await phone.page.waitForSelector("#pair:not([hidden])");
await phone.page.screenshot({ path: `${folder}/phone.png`, fullPage: true });
assert.deepEqual(phone.problems, []);

// Without the server the first page is there, with both graphs.
server.closeAllConnections();
await new Promise((closed) => server.close(closed));
await page.reload();
await shown(page);
await drop(page, golden.photographs[0].path, "photo.jpg");
await page.waitForSelector("#pair:not([hidden])");
assert.ok(distance(await gray(page, "seen"), golden.photographs[0].image) <= 1);

await browser.close();
console.log("ok");
