// Drives the page of `vae-run explore` in a real Chromium: mouse, touch, keyboard, a dropped file, both colour schemes.
// Usage: node explore_browser.mjs URL IMAGE FOLDER   (PLAYWRIGHT: the folder of playwright-core; CHROMIUM: the browser)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { chromium } = createRequire(import.meta.url)(process.env.PLAYWRIGHT);
const [url, image, folder] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });
  page.on("request", (request) => { if (!request.url().startsWith(url) && !request.url().startsWith("blob:")) problems.push(request.url()); });
  await page.goto(url);
  await page.waitForFunction(() => document.querySelector("#image").dataset.z);
  return { page, problems };
}
const at = (page) => page.evaluate(() => document.querySelector("#image").dataset.z.split(",").map(Number));
const settled = async (page, test, argument) => page.waitForFunction(test, argument, { timeout: 5000 });
const pixels = (page, id) => page.evaluate((id) => {
  const canvas = document.getElementById(id);
  return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).join();
}, id);

const { page, problems } = await open({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });

// The mouse: the digit follows, z[0] to the right and z[1] upwards.
const first = await pixels(page, "image");
const box = await page.locator("#frame").boundingBox();
await page.mouse.move(box.x + 0.75 * box.width, box.y + 0.25 * box.height);
await settled(page, () => { const [a, b] = document.querySelector("#image").dataset.z.split(",").map(Number); return Math.abs(a - 1.5) < .05 && Math.abs(b - 1.5) < .05; });
assert.notEqual(await pixels(page, "image"), first);

// Without visible delay: from the move to the painted digit.
const times = await page.evaluate(async () => {
  const frame = document.querySelector("#frame"), box = frame.getBoundingClientRect(), image = document.querySelector("#image");
  const times = [];
  for (let i = 0; i < 40; i++) {
    const before = image.dataset.z, began = performance.now();
    frame.dispatchEvent(new PointerEvent("pointermove", { pointerType: "mouse", bubbles: true,
      clientX: box.left + box.width * (i + 1) / 42, clientY: box.top + box.height / 3 }));
    while (image.dataset.z === before) await new Promise((done) => setTimeout(done, 0));
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b);
});
console.log(`pointer to digit: median ${times[20].toFixed(1)} ms, slowest ${times[39].toFixed(1)} ms`);
assert.ok(times[20] < 50);

// The keyboard.
await page.focus("#frame");
await page.keyboard.press("Home");
await settled(page, () => document.querySelector("#image").dataset.z === "0,0");
await page.keyboard.press("ArrowRight");
await page.keyboard.press("ArrowUp");
await settled(page, () => document.querySelector("#image").dataset.z === "0.1,0.1");
await page.keyboard.press("Shift+ArrowLeft");
await settled(page, () => document.querySelector("#image").dataset.z.startsWith("-0.4"));
assert.match(await page.textContent("#position"), /z\[0\] = -0\.40, z\[1\] = 0\.10/);

// Sliders and concept buttons.
await page.locator("#sliders input").nth(1).fill("1.2");
await settled(page, () => document.querySelector("#image").dataset.z.endsWith(",1.2"));
const labels = await page.locator("#buttons button").allTextContents();
assert.deepEqual(labels, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
await page.click("#buttons button:nth-child(5)");
const model = await (await page.request.get(`${url}api/model`)).json();
await settled(page, (mean) => document.querySelector("#image").dataset.z === mean.join(","), model.places["4"]);
await page.screenshot({ path: `${folder}/light.png` });
await page.check("input[name=how][value=add]");
await page.click("#buttons button:nth-child(1)");
await settled(page, (mean) => document.querySelector("#image").dataset.z !== mean.join(","), model.places["4"]);
const moved = await at(page), strength = 0.5;
moved.forEach((value, i) => assert.ok(Math.abs(value - model.places["4"][i] - strength * (model.labels["0"][i] - model.center[i])) < 1e-9));

// A dropped image is encoded and rebuilt; one that is none gives an error on the page.
const transfer = await page.evaluateHandle((bytes) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], "digit.png", { type: "image/png" }));
  return data;
}, [...readFileSync(image)]);
await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
await page.waitForSelector("#pair:not([hidden])");
assert.match(await page.textContent("#score"), /nats/);
assert.notEqual(await pixels(page, "seen"), await pixels(page, "rebuilt"));
await page.setInputFiles("#file", { name: "no.png", mimeType: "image/png", buffer: Buffer.from("text") });
await page.waitForFunction(() => document.querySelector("#message").textContent.includes("not an image"));
const refused = problems.splice(0).filter((text) => !text.includes("400"));
assert.deepEqual(refused, []);

// Touch, on a small dark screen: nothing scrolls sideways, a tap moves.
const phone = await open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
const small = await phone.page.locator("#frame").boundingBox();
await phone.page.touchscreen.tap(small.x + 0.25 * small.width, small.y + 0.5 * small.height);
await phone.page.waitForFunction(() => { const [a, b] = document.querySelector("#image").dataset.z.split(",").map(Number); return Math.abs(a + 1.5) < .1 && Math.abs(b) < .1; });
assert.ok(await phone.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
const paper = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
assert.notEqual(await paper(phone.page), await paper(page));
await phone.page.screenshot({ path: `${folder}/dark.png`, fullPage: true });
assert.deepEqual(phone.problems, []);

await browser.close();
console.log("ok");
