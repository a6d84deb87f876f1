/* What the page asks of the model, answered as vae_runtime's explore/calls.py does: images as bytes (H, W, C). */

import {
  centerOf,
  isKnown,
  logGaussian,
  logMixture,
  purestPlace,
  toUint8,
  verdict,
  yardstickOf,
} from "vae-edge";

const FITS = ["contain", "stretch", "crop", "mnist"];
// With more dimensions a plane is a slice that data hardly ever lies in.
const MAX_FADED_DIM = 2;
// A cell has its least brightness where the data's density is this many times below the prior's.
const FADED_RATIO = 100;
const FADED_BRIGHTNESS = 0.25;

/* Each takes the VAE, the request's body and its query. */
export const CALLS = { model, decode, plane, encode };

async function model(vae) {
  const { labels, density, preprocess } = vae.manifest;
  const names = [...labels.keys()];
  return JSON.stringify({
    name: nameOf(vae),
    latent_dim: vae.latentDim,
    image_shape: vae.imageShape,
    provider: "WebAssembly",
    precision: vae.variant.precision,
    precisions: vae.precisions,
    labels: Object.fromEntries(names.map((name) => [name, labels.get(name).mean])),
    places: Object.fromEntries(names.map((name) => [name, purestPlace(labels, name)])),
    center: centerOf(labels),
    has_density: density.length > 0 && vae.latentDim <= MAX_FADED_DIM,
    preprocess,
    fits: FITS,
  });
}

/* {"z": [D numbers]} -> the image's bytes. */
async function decode(vae, body) {
  const { data } = await vae.decode(JSON.parse(body).z);
  return bytesOf(data, vae.imageShape);
}

/* {"z": anchor, "axes": [a, b], "reach": r, "cells": n, "fade": true} -> a PNG of n×n cells; z[b] grows upwards. */
async function plane(vae, body) {
  const { z: anchor, axes, reach, cells, fade } = JSON.parse(body);
  const latents = [];
  for (let i = 0; i < cells * cells; i++) {
    const z = anchor.slice();
    z[axes[0]] = place(i % cells, cells, reach);
    if (vae.latentDim > 1) z[axes[1]] = -place(Math.floor(i / cells), cells, reach);
    latents.push(z);
  }
  const { data } = await vae.decode(latents);
  if (fade) darken(data, latents, vae.manifest.density);
  return pngOf(data, cells, vae.imageShape);
}

/* An image file, with ?fit= and ?invert=0 or 1 -> what the model makes of it. */
async function encode(vae, body, query) {
  const asked = {};
  if (query.has("fit")) asked.fit = query.get("fit");
  if (query.has("invert")) asked.invert = query.get("invert") === "1";
  const images = await readImage(vae, body, asked);
  const { zMean, zLogVar } = await vae.encode(images);
  const reconstruction = await vae.decode(zMean);
  const [score] = await vae.score(images);
  const yardstick = yardstickOf(vae.variant);
  const [judged] = await vae.score(images, { relative: yardstick.isRelative });
  return JSON.stringify({
    z_mean: [...zMean.data],
    z_log_var: [...zLogVar.data],
    score,
    verdict: verdict(judged, yardstick),
    is_known: isKnown(judged, yardstick),
    image: base64Of(bytesOf(images.data, vae.imageShape)),
    reconstruction: base64Of(bytesOf(reconstruction.data, vae.imageShape)),
  });
}

/* The page puts the file's name in the place of "the image". */
async function readImage(vae, file, asked) {
  try {
    return await vae.read(file, asked);
  } catch (error) {
    throw new Error(`the image: ${error.message}`);
  }
}

/* The last part of its address. */
function nameOf(vae) {
  const [path] = vae.name.split(/[?#]/);
  return decodeURIComponent(path.split("/").filter(Boolean).at(-1));
}

/* The middle of a cell. */
function place(cell, cells, reach) {
  return ((cell + 0.5) / cells) * 2 * reach - reach;
}

/* Cells are as bright as images lie densely there, fully where they do as by the prior. */
function darken(data, latents, density) {
  const size = data.length / latents.length;
  latents.forEach((z, i) => {
    const zeros = z.map(() => 0);
    const ones = z.map(() => 1);
    const logRatio = logMixture(density, z) - logGaussian(z, zeros, ones);
    const share = Math.min(1, Math.max(0, 1 + logRatio / Math.log(FADED_RATIO)));
    const brightness = FADED_BRIGHTNESS + (1 - FADED_BRIGHTNESS) * share;
    for (let k = i * size; k < (i + 1) * size; k++) data[k] *= brightness;
  });
}

/* (C, H, W) in [0, 1] -> (H, W, C) from 0 to 255. */
function bytesOf(image, [channels, height, width]) {
  const values = toUint8(image);
  const bytes = new Uint8Array(values.length);
  const pixels = height * width;
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < channels; c++) bytes[i * channels + c] = values[c * pixels + i];
  }
  return bytes;
}

/* Images (n, C, H, W) as the tiles of one picture. */
async function pngOf(data, columns, shape) {
  const [channels, height, width] = shape;
  const size = channels * height * width;
  const canvas = new OffscreenCanvas(columns * width, (data.length / size / columns) * height);
  const context = canvas.getContext("2d");
  for (let start = 0; start < data.length; start += size) {
    const bytes = bytesOf(data.subarray(start, start + size), shape);
    const tile = new ImageData(width, height);
    tile.data.forEach((_, k) => {
      const channel = channels === 3 ? k % 4 : 0;
      tile.data[k] = k % 4 === 3 ? 255 : bytes[Math.floor(k / 4) * channels + channel];
    });
    const cell = start / size;
    context.putImageData(tile, (cell % columns) * width, Math.floor(cell / columns) * height);
  }
  return canvas.convertToBlob({ type: "image/png" });
}

function base64Of(bytes) {
  let letters = "";
  // A large image has more bytes than a call may have arguments.
  for (const byte of bytes) letters += String.fromCharCode(byte);
  return btoa(letters);
}
