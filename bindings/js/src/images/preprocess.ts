/* From a picture of any size to what an encoder takes: transparency over black, converted to the model's channels, then
   fitted to the model's size. vae_runtime's formats/preprocess.py is the original, and a test compares the two. */

import type { ImageShape, Preprocess } from "../bundle/records.js";
import { asMnist } from "./handwriting.js";
import { clamp, roundEven } from "./numbers.js";
import { cropped, onBlack, type Plane } from "./plane.js";
import { BICUBIC, resized } from "./resample.js";

const MIDDLE_GRAY = 128;
const OPAQUE = 255;

/* Pixels as a canvas has them: rows of red, green, blue, opacity, each from 0 to 255. An ImageData is one. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray | Uint8Array;
}

/* A picture as an image (C, H, W) in [0, 1]. */
export function prepare(picture: Picture, shape: ImageShape, preprocess: Preprocess): Float32Array {
  const [channels, height, width] = shape;
  if (preprocess.fit === "mnist") return handwriting(picture, shape, preprocess.invert);
  // What is transparent becomes black in the end.
  let planes = planesOf(picture, channels, preprocess.invert ? 255 : 0);
  if (preprocess.invert) planes = planes.map(inverted);
  const image = new Float32Array(channels * height * width);
  planes.forEach((plane, channel) => {
    const fitted = FIT_FUNCTIONS[preprocess.fit as keyof typeof FIT_FUNCTIONS](plane, width, height);
    image.set(fitted.values.map((value) => clamp(value, 0, 1)), channel * height * width);
  });
  return image;
}

// "mnist" isn't one of them: it looks at the whole picture.
const FIT_FUNCTIONS = { contain, stretch, crop };

/* The whole picture as large as it fits, in the middle of black. */
function contain(plane: Plane, width: number, height: number): Plane {
  const scale = Math.min(height / plane.height, width / plane.width);
  const innerWidth = clamp(roundEven(plane.width * scale), 1, width);
  const innerHeight = clamp(roundEven(plane.height * scale), 1, height);
  const inner = stretch(plane, innerWidth, innerHeight);
  const top = Math.floor((height - innerHeight) / 2);
  return onBlack(inner, width, height, top, Math.floor((width - innerWidth) / 2));
}

/* The largest middle part of the right proportions. */
function crop(plane: Plane, width: number, height: number): Plane {
  const scale = Math.min(plane.height / height, plane.width / width);
  const innerWidth = clamp(roundEven(width * scale), 1, plane.width);
  const innerHeight = clamp(roundEven(height * scale), 1, plane.height);
  const top = Math.floor((plane.height - innerHeight) / 2);
  const left = Math.floor((plane.width - innerWidth) / 2);
  const box = { top, left, bottom: top + innerHeight - 1, right: left + innerWidth - 1 };
  return stretch(cropped(plane, box), width, height);
}

/* The whole picture, its proportions changed where they differ. */
function stretch(plane: Plane, width: number, height: number): Plane {
  return resized(plane, width, height, BICUBIC);
}

/* Fit "mnist": the ink that is found in the picture. */
function handwriting(picture: Picture, shape: ImageShape, isDarkInk: boolean): Float32Array {
  const [channels, height, width] = shape;
  const gray = planesOf(picture, 1, paperUnder(picture))[0]!;
  let image = asMnist(gray, width, height, isDarkInk || undefined);
  if (!image) {
    // What is no handwriting is shown to the model as it is, and scores as low as it should.
    const fitted = contain(isDarkInk ? inverted(gray) : gray, width, height);
    image = { ...fitted, values: fitted.values.map((value) => clamp(value, 0, 1)) };
  }
  const repeated = new Float32Array(channels * height * width);
  for (let channel = 0; channel < channels; channel++) {
    repeated.set(image.values, channel * height * width);
  }
  return repeated;
}

/* What to lay under a transparent drawing so that it can be seen, 0 or 255. */
function paperUnder({ data }: Picture): number {
  let [opacity, brightness] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    opacity += alpha;
    brightness += alpha * luma(data[i]!, data[i + 1]!, data[i + 2]!);
  }
  return opacity > 0 && brightness / opacity < MIDDLE_GRAY ? 255 : 0;
}

/* The channels in [0, 1], on a background of 0 … 255. */
function planesOf({ width, height, data }: Picture, channels: number, background: number): Plane[] {
  const planes: Plane[] = [];
  for (let channel = 0; channel < channels; channel++) {
    planes.push({ width, height, values: new Float32Array(width * height) });
  }
  for (let i = 0; i < width * height; i++) {
    const alpha = data[4 * i + 3]!;
    const red = laid(data[4 * i]!, alpha, background);
    const green = laid(data[4 * i + 1]!, alpha, background);
    const blue = laid(data[4 * i + 2]!, alpha, background);
    if (channels === 1) {
      planes[0]!.values[i] = luma(red, green, blue) / 255;
      continue;
    }
    [red, green, blue].forEach((value, channel) => (planes[channel]!.values[i] = value / 255));
  }
  return planes;
}

/* A value of some opacity over the background, in Pillow's whole numbers. */
function laid(value: number, alpha: number, background: number): number {
  if (alpha === OPAQUE) return value;
  const sum = (value * alpha + background * (OPAQUE - alpha) + 128) * 128;
  return ((sum >> 8) + sum) >> 15;
}

/* ITU-R 601-2, in Pillow's whole numbers. */
function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

function inverted(plane: Plane): Plane {
  return { ...plane, values: plane.values.map((value) => 1 - value) };
}
