/* The page. Its state is the latent z, the two axes that the plane shows and how far it reaches. */

import { say } from "./message.js";
import { listenToOwnImages } from "./own.js";
import { paint, save } from "./paint.js";
import { call, latestOnly } from "./requests.js";

const $ = (id) => document.getElementById(id);
const DEFAULT_REACH = 3;
const MIN_REACH = 0.5;
const MAX_REACH = 20;
// The plane's cells along a side, of small images and of large ones.
const CELLS = 15;
const FEW_CELLS = 9;
const LARGE_IMAGE = 64;
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 1], ArrowDown: [1, -1] };

let model;
let z;
let axes;
let reach = DEFAULT_REACH;
let shownPlane = "";
const sliders = [];

async function start() {
  try {
    model = await (await call("api/model")).json();
  } catch (error) {
    say(error.message);
    return;
  }
  z = new Array(model.latent_dim).fill(0);
  axes = [0, 1];
  describeModel();
  makePrecisions();
  $("fading").hidden = !model.has_density;
  $("fade").addEventListener("change", update);
  makeSliders();
  makeAxes();
  makeConcepts();
  placeMarks();
  listenToPlane();
  listenToOwnImages(model, moveTo);
  $("random").addEventListener("click", () => moveTo(z.map(drawNormal)));
  $("save").addEventListener("click", () => save($("image"), "decoded.png"));
  update();
}

function describeModel() {
  const [channels, height, width] = model.image_shape;
  const color = channels === 3 ? "color" : "gray";
  const plural = model.latent_dim > 1 ? "s" : "";
  $("about").textContent = `${model.name}: ${width}×${height}, ${color}, ${model.latent_dim} latent dimension${plural}, `
    + `${model.precision} on ${model.provider}`;
}

/* Another precision is another variant of the bundle, which is loaded with the page. */
function makePrecisions() {
  $("precisions").hidden = model.precisions.length < 2;
  for (const name of model.precisions) {
    const isOwn = name === model.precision;
    $("precision").append(new Option(name, name, isOwn, isOwn));
  }
  $("precision").addEventListener("change", () => {
    const query = new URLSearchParams(location.search);
    query.set("precision", $("precision").value);
    location.search = query;
  });
}

/* The state, and what follows from it. */

function moveTo(latent) {
  z = latent.map((value) => clamp(value, -MAX_REACH, MAX_REACH));
  update();
}

function update() {
  decode(z.slice());
  placeCursor();
  showPosition();
  sliders.forEach(({ input, text }, i) => {
    input.value = z[i];
    text.textContent = `z[${i}] ${z[i].toFixed(2)}`;
  });
  const anchor = z.map((value, i) => (axes.includes(i) ? 0 : value));
  const cells = model.image_shape[1] > LARGE_IMAGE ? FEW_CELLS : CELLS;
  const fade = model.has_density && $("fade").checked;
  const request = JSON.stringify({ z: anchor, axes, reach, cells, fade });
  if (request !== shownPlane) {
    shownPlane = request;
    showPlane(request);
  }
}

const decode = latestOnly(async (latent) => {
  const response = await call("api/decode", JSON.stringify({ z: latent }));
  paint($("image"), new Uint8Array(await response.arrayBuffer()), model.image_shape);
  $("image").dataset.z = latent.join(",");
});

const showPlane = latestOnly(async (request) => {
  const response = await call("api/plane", request);
  const old = $("background").src;
  $("background").src = URL.createObjectURL(await response.blob());
  if (old) URL.revokeObjectURL(old);
});

function shownAxes() {
  return model.latent_dim > 1 ? axes : [axes[0]];
}

function isOutside() {
  return shownAxes().some((axis) => Math.abs(z[axis]) > reach);
}

/* A place outside the plane is shown at its edge. */
function placeCursor() {
  const place = placeOnPlane(z.map((value) => clamp(value, -reach, reach)));
  Object.assign($("cursor").style, place);
  $("cursor").classList.toggle("outside", isOutside());
}

function showPosition() {
  const coordinates = shownAxes().map((axis) => {
    const coordinate = document.createElement("span");
    coordinate.textContent = `z[${axis}] = ${z[axis].toFixed(2)} `;
    return coordinate;
  });
  $("position").replaceChildren(...coordinates);
  $("outside").textContent = isOutside() ? "outside; a larger range shows it" : "";
}

function placeOnPlane(latent) {
  const across = latent[axes[0]] / reach;
  const up = model.latent_dim > 1 ? latent[axes[1]] / reach : 0;
  return { left: `${50 + 50 * across}%`, top: `${50 - 50 * up}%` };
}

/* The plane: pointer, touch and keyboard. */

function listenToPlane() {
  const frame = $("frame");
  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    follow(event);
  });
  frame.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" || event.buttons) follow(event);
  });
  frame.addEventListener("keydown", moveByKey);
  $("reach").addEventListener("change", () => setReach(Number($("reach").value)));
}

function follow(event) {
  const box = $("frame").getBoundingClientRect();
  const across = (event.clientX - box.left) / box.width * 2 - 1;
  const up = 1 - (event.clientY - box.top) / box.height * 2;
  const next = z.slice();
  next[axes[0]] = clamp(across, -1, 1) * reach;
  if (model.latent_dim > 1) next[axes[1]] = clamp(up, -1, 1) * reach;
  moveTo(next);
}

function moveByKey(event) {
  const next = z.slice();
  if (event.key === "Home") {
    next.fill(0);
  } else if (event.key in ARROWS) {
    const [which, sign] = ARROWS[event.key];
    const axis = axes[which];
    if (axis >= model.latent_dim) return;
    const step = event.shiftKey ? reach / 6 : reach / 30;
    next[axis] = clamp(next[axis] + sign * step, -reach, reach);
  } else {
    return;
  }
  event.preventDefault();
  moveTo(next);
}

function setReach(value) {
  reach = value > 0 ? clamp(value, MIN_REACH, MAX_REACH) : DEFAULT_REACH;
  $("reach").value = reach;
  for (const { input } of sliders) {
    input.min = -reach;
    input.max = reach;
  }
  placeMarks();
  update();
}

function placeMarks() {
  const marks = Object.entries(model.places).map(([name, place]) => {
    const mark = document.createElement("span");
    mark.textContent = name;
    Object.assign(mark.style, placeOnPlane(place));
    return mark;
  });
  $("marks").replaceChildren(...marks);
}

/* Controls. */

function makeSliders() {
  for (let i = 0; i < model.latent_dim; i++) {
    const label = document.createElement("label");
    const text = document.createElement("span");
    const input = document.createElement("input");
    label.className = "slider";
    Object.assign(input, { type: "range", min: -reach, max: reach, step: 0.01 });
    input.setAttribute("aria-label", `z[${i}]`);
    input.addEventListener("input", () => {
      const next = z.slice();
      next[i] = Number(input.value);
      moveTo(next);
    });
    label.append(text, input);
    $("sliders").append(label);
    sliders.push({ input, text });
  }
}

function makeAxes() {
  if (model.latent_dim < 3) return;
  $("axes").hidden = false;
  ["across", "up"].forEach((id, which) => {
    for (let i = 0; i < model.latent_dim; i++) $(id).append(new Option(`z[${i}]`, i));
    $(id).value = axes[which];
    $(id).addEventListener("change", () => chooseAxis(which, Number($(id).value)));
  });
}

/* The axis that was there goes to the other side where it would be on both. */
function chooseAxis(which, chosen) {
  const other = 1 - which;
  if (axes[other] === chosen) axes[other] = axes[which];
  axes[which] = chosen;
  $("across").value = axes[0];
  $("up").value = axes[1];
  placeMarks();
  update();
}

function makeConcepts() {
  const names = Object.keys(model.labels);
  $("concepts").hidden = names.length === 0;
  for (const name of names) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => useConcept(name));
    $("buttons").append(button);
  }
  $("strength").addEventListener("input", showStrength);
  showStrength();
}

function useConcept(name) {
  const how = document.querySelector("input[name=how]:checked").value;
  if (how === "goto") {
    moveTo(model.places[name]);
    return;
  }
  const strength = Number($("strength").value);
  const amount = how === "add" ? strength : -strength;
  const mean = model.labels[name];
  moveTo(z.map((value, i) => value + amount * (mean[i] - model.center[i])));
}

function showStrength() {
  $("amount").textContent = Number($("strength").value).toFixed(1);
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/* A draw from N(0, 1): Box and Muller 1958. */
function drawNormal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

start();
