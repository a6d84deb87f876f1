// Drives the page of `vae-run explore` in a real Chromium: mouse, touch, keyboard, a dropped file, a drawing, both color
// schemes. Usage: node browser.mjs URL IMAGE FOLDER   (PLAYWRIGHT: the folder of playwright-core; CHROMIUM: the browser)
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
assert.match(await page.textContent("#position"), /z\[0\] = -0\.40 z\[1\] = 0\.10/);

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


// The strength has a number; concepts that lead off the plane say so, and the place is marked at its edge.
await page.locator("#strength").fill("1.5");
assert.equal(await page.textContent("#amount"), "1.5");
assert.equal(await page.textContent("#outside"), "");
for (let i = 0; i < 4; i++) await page.click("#buttons button:nth-child(8)");
assert.match(await page.textContent("#outside"), /outside/);
assert.equal(await page.evaluate(() => document.querySelector("#cursor").style.left), "100%");
await page.locator("#reach").fill("20");
await page.locator("#reach").blur();
assert.equal(await page.textContent("#outside"), "");
await page.locator("#reach").fill("3");
await page.locator("#reach").blur();

// A saved image is eight times as large as the decoded one.
const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
const saved = readFileSync(await download.path());
assert.deepEqual([saved.readUInt32BE(16), saved.readUInt32BE(20)], [8 * 28, 8 * 28]);

// A dropped image is encoded, rebuilt and judged; one that is none gives an error where it was dropped, and nothing of the
// one before stays.
const transfer = await page.evaluateHandle((bytes) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], "digit.png", { type: "image/png" }));
  return data;
}, [...readFileSync(image)]);
await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
await page.waitForSelector("#pair:not([hidden])");
assert.match(await page.textContent("#score"), /nats/);
assert.match(await page.textContent("#verdict"), /^(typical|rare)/);
assert.notEqual(await pixels(page, "seen"), await pixels(page, "rebuilt"));
// The bundle's own fit finds light ink whatever is said; padded and inverted it is like nothing.
await page.selectOption("#fit", "contain");
await page.selectOption("#ink", "1");
await page.waitForFunction(() => document.querySelector("#verdict").textContent.startsWith("unlike"));
assert.match(await page.textContent("#hint"), /Try another fit/);
await page.selectOption("#ink", "");
await page.selectOption("#fit", "");
await page.waitForFunction(() => !document.querySelector("#hint").textContent);
await page.setInputFiles("#file", { name: "no.png", mimeType: "image/png", buffer: Buffer.from("text") });
await page.waitForFunction(() => document.querySelector("#trouble").textContent === "no.png: not an image");
for (const id of ["#verdict", "#score", "#hint"]) assert.equal(await page.textContent(id), "");
assert.ok(await page.isHidden("#pair"));
const drop = await page.locator("#drop").boundingBox(), trouble = await page.locator("#trouble").boundingBox();
assert.ok(Math.abs(trouble.y - drop.y - drop.height) < 40);
const refused = problems.splice(0).filter((text) => !text.includes("400"));
assert.deepEqual(refused, []);

// A digit drawn with the mouse: a seven, whose latent is a seven's.
const place = async (page, x, y) => {
  const box = await page.locator("#pad").boundingBox();
  return [box.x + x * box.width, box.y + y * box.height];
};
const seven = [[.3, .25], [.7, .25], [.6, .5], [.48, .78]];
async function draw(page, points) {
  await page.mouse.move(...await place(page, ...points[0]));
  await page.mouse.down();
  for (const point of points.slice(1)) await page.mouse.move(...await place(page, ...point), { steps: 8 });
  await page.mouse.up();
}
await draw(page, seven);
await page.waitForSelector("#pair:not([hidden])");
assert.equal(await page.textContent("#trouble"), "");
assert.match(await page.textContent("#verdict"), /^(typical|rare)/);
const drawn = await at(page);
// How alike two canvases are, by the correlation of their red values.
async function likeness(page) {
  const [seen, rebuilt] = await Promise.all(["seen", "rebuilt"].map((id) => pixels(page, id)));
  const [a, b] = [seen, rebuilt].map((text) => String(text).split(",").map(Number).filter((_, i) => i % 4 === 0));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  const product = (x, mx, y, my) => x.reduce((sum, value, i) => sum + (value - mx) * (y[i] - my), 0);
  return product(a, ma, b, mb) / Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
}
assert.ok(await likeness(page) > 0.6, `a drawn seven was rebuilt as something else: ${await likeness(page)}`);
await page.click("#clear");
assert.ok(await page.isHidden("#pair"));
assert.match(await pixels(page, "pad"), /^(0,0,0,255,?)+$/);

// The same with the keyboard: a one.
await page.focus("#pad");
for (let i = 0; i < 3; i++) await page.keyboard.press("Shift+ArrowUp");
await page.keyboard.press("Space");
for (let i = 0; i < 6; i++) await page.keyboard.press("Shift+ArrowDown");
await page.keyboard.press("Space");
await page.waitForSelector("#pair:not([hidden])");
await settled(page, (mean) => document.querySelector("#image").dataset.z !== mean, drawn.join(","));
assert.ok(await likeness(page) > 0.6, `a drawn one was rebuilt as something else: ${await likeness(page)}`);
await page.keyboard.press("Delete");
assert.deepEqual(problems, []);

// Touch, on a small dark screen: nothing scrolls sideways, a tap moves.
const phone = await open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
const small = await phone.page.locator("#frame").boundingBox();
await phone.page.touchscreen.tap(small.x + 0.25 * small.width, small.y + 0.5 * small.height);
await phone.page.waitForFunction(() => { const [a, b] = document.querySelector("#image").dataset.z.split(",").map(Number); return Math.abs(a + 1.5) < .1 && Math.abs(b) < .1; });
assert.ok(await phone.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
const paper = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
assert.notEqual(await paper(phone.page), await paper(page));
await phone.page.screenshot({ path: `${folder}/dark.png`, fullPage: true });

// On phones the decoded image is in view with the whole plane, beside the drawing, and wherever the page is scrolled to.
for (const [width, height] of [[390, 844], [320, 568]]) {
  const { page, problems } = await open({ viewport: { width, height }, hasTouch: true, isMobile: true });
  const isInView = async (selector) => {
    const box = await page.locator(selector).boundingBox();
    return box.y >= 0 && box.y + box.height <= height;
  };
  assert.ok(await isInView("#image") && await isInView("#frame"));
  for (const selector of ["#concepts", "#pad", "#preprocess"]) {
    await page.evaluate((selector) => document.querySelector(selector).scrollIntoView(), selector);
    assert.ok(await isInView("#image"), selector);
  }
  await page.evaluate(() => document.querySelector("#pad").scrollIntoView());
  assert.ok(await isInView("#pad"));
  await draw(page, seven);
  await page.waitForSelector("#pair:not([hidden])");
  assert.ok(await isInView("#verdict"));
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  assert.deepEqual(problems, []);
}
assert.deepEqual(phone.problems, []);

await browser.close();
console.log("ok");
