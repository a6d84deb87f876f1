"use strict";

const $ = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
let model, z, axes, reach = 3;
const sliders = [];

/* Requests: one of each kind is under way at a time; of those that wait only the newest is sent. */
function latestOnly(send) {
  let busy = false, waiting = null;
  return async function ask(value) {
    if (busy) { waiting = [value]; return; }
    busy = true;
    try { await send(value); } catch (error) { say(error.message); }
    busy = false;
    if (waiting) { const [next] = waiting; waiting = null; ask(next); }
  };
}

async function call(path, body) {
  let response;
  try { response = await fetch(path, body === undefined ? {} : { method: "POST", body }); }
  catch { throw new Error("The server does not answer. Is vae-run explore still running?"); }
  if (!response.ok) throw new Error((await response.json()).error);
  say("");
  return response;
}

function say(text) { $("message").textContent = text; }

/* Pictures */
function paint(canvas, bytes) {
  const [channels, height, width] = model.image_shape;
  canvas.width = width; canvas.height = height;
  const picture = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] = bytes[i * channels + (channels === 3 ? c : 0)];
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

const decode = latestOnly(async (latent) => {
  const response = await call("api/decode", JSON.stringify({ z: latent }));
  paint($("image"), new Uint8Array(await response.arrayBuffer()));
  $("image").dataset.z = latent.join(",");
});

let drawn = "";
const plane = latestOnly(async (request) => {
  const response = await call("api/plane", JSON.stringify(request));
  const old = $("background").src;
  $("background").src = URL.createObjectURL(await response.blob());
  if (old) URL.revokeObjectURL(old);
});

/* The state is z; everything on the page follows from it. */
function update() {
  const [a, b] = axes, twoAxes = model.latent_dim > 1;
  decode(z.slice());
  $("cursor").style.left = `${50 + 50 * z[a] / reach}%`;
  $("cursor").style.top = twoAxes ? `${50 - 50 * z[b] / reach}%` : "50%";
  $("position").textContent = (twoAxes ? [a, b] : [a]).map((i) => `z[${i}] = ${z[i].toFixed(2)}`).join(", ");
  sliders.forEach(({ input, text }, i) => { input.value = z[i]; text.textContent = `z[${i}] ${z[i].toFixed(2)}`; });
  const anchor = z.map((value, i) => (i === a || i === b ? 0 : value));
  const request = { z: anchor, axes, reach, cells: model.image_shape[1] > 64 ? 9 : 15 };
  if (drawn !== JSON.stringify(request)) { drawn = JSON.stringify(request); plane(request); }
}

function moveTo(latent) { z = latent.map((v) => clamp(v, -20, 20)); update(); }

function placeMarks() {
  $("marks").replaceChildren(...Object.entries(model.places).map(([name, mean]) => {
    const mark = document.createElement("span");
    mark.textContent = name;
    mark.style.left = `${50 + 50 * mean[axes[0]] / reach}%`;
    mark.style.top = `${50 - 50 * (mean[axes[1]] ?? 0) / reach}%`;
    return mark;
  }));
}

/* Pointer, touch and keyboard on the plane */
function follow(event) {
  const box = $("frame").getBoundingClientRect();
  const next = z.slice();
  next[axes[0]] = clamp((event.clientX - box.left) / box.width * 2 - 1, -1, 1) * reach;
  if (model.latent_dim > 1) next[axes[1]] = clamp(1 - (event.clientY - box.top) / box.height * 2, -1, 1) * reach;
  moveTo(next);
}

function listenToPlane() {
  const frame = $("frame");
  frame.addEventListener("pointerdown", (event) => { frame.setPointerCapture(event.pointerId); follow(event); });
  frame.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" || event.buttons) follow(event);
  });
  frame.addEventListener("keydown", (event) => {
    const step = reach / (event.shiftKey ? 6 : 30), next = z.slice();
    const [axis, sign] = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 1], ArrowDown: [1, -1] }[event.key] ?? [];
    if (event.key === "Home") next.fill(0);
    else if (sign && axes[axis] < model.latent_dim) next[axes[axis]] = clamp(next[axes[axis]] + sign * step, -reach, reach);
    else return;
    event.preventDefault();
    moveTo(next);
  });
  $("reach").addEventListener("change", () => {
    const value = Number($("reach").value);
    reach = value > 0 ? clamp(value, 0.5, 20) : 3;
    $("reach").value = reach;
    for (const { input } of sliders) { input.min = -reach; input.max = reach; }
    placeMarks();
    update();
  });
}

/* Controls */
function makeSliders() {
  for (let i = 0; i < model.latent_dim; i++) {
    const label = document.createElement("label"), text = document.createElement("span"), input = document.createElement("input");
    Object.assign(input, { type: "range", min: -reach, max: reach, step: 0.01 });
    input.setAttribute("aria-label", `z[${i}]`);
    input.addEventListener("input", () => { const next = z.slice(); next[i] = Number(input.value); moveTo(next); });
    label.append(text, input);
    $("sliders").append(label);
    sliders.push({ input, text });
  }
}

function makeAxes() {
  if (model.latent_dim < 3) return;
  $("axes").hidden = false;
  for (const [id, which] of [["across", 0], ["up", 1]]) {
    for (let i = 0; i < model.latent_dim; i++) $(id).append(new Option(`z[${i}]`, i));
    $(id).value = axes[which];
    $(id).addEventListener("change", () => {
      const chosen = Number($(id).value);
      if (axes[1 - which] === chosen) axes[1 - which] = axes[which];
      axes[which] = chosen;
      $("across").value = axes[0]; $("up").value = axes[1];
      placeMarks();
      update();
    });
  }
}

function makeConcepts() {
  const entries = Object.entries(model.labels);
  $("concepts").hidden = !entries.length;
  for (const [name, mean] of entries) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      const how = document.querySelector("input[name=how]:checked").value;
      if (how === "goto") return moveTo(model.places[name]);
      const amount = Number($("strength").value) * (how === "add" ? 1 : -1);
      moveTo(z.map((v, i) => v + amount * (mean[i] - model.center[i])));
    });
    $("buttons").append(button);
  }
}

/* An image of the user's */
let lastFile = null;
const encode = latestOnly(async (file) => {
  const query = new URLSearchParams({ fit: $("fit").value, invert: $("invert").checked ? "1" : "0" });
  const result = await (await call(`api/encode?${query}`, file)).json();
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  $("pair").hidden = false;
  paint($("seen"), bytes(result.image));
  paint($("rebuilt"), bytes(result.reconstruction));
  $("score").textContent = `log p(x) ≥ ${result.score.toFixed(1)} nats (16 samples)`;
  moveTo(result.z_mean);
});

function take(file) { if (file) { lastFile = file; encode(file); } }

function listenToFiles() {
  $("fit").value = model.preprocess.fit;
  $("invert").checked = model.preprocess.invert;
  $("file").addEventListener("change", () => take($("file").files[0]));
  for (const id of ["fit", "invert"]) $(id).addEventListener("change", () => take(lastFile));
  addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
}

function normal() { return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()); }

async function start() {
  try { model = await (await call("api/model")).json(); } catch (error) { say(error.message); return; }
  const [channels, height, width] = model.image_shape;
  $("about").textContent = `${model.name}: ${width}×${height}, ${channels === 3 ? "color" : "gray"}, `
    + `${model.latent_dim} latent dimension${model.latent_dim > 1 ? "s" : ""}, ${model.precision} on ${model.provider}`;
  z = new Array(model.latent_dim).fill(0);
  axes = [0, 1];
  makeSliders(); makeAxes(); makeConcepts(); placeMarks(); listenToPlane(); listenToFiles();
  $("random").addEventListener("click", () => moveTo(z.map(normal)));
  $("save").addEventListener("click", () => $("image").toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "decoded.png" });
    link.click();
    URL.revokeObjectURL(link.href);
  }));
  update();
}

start();
