/* Pictures from whatever a browser holds them in. Node has no decoder of image files, so there it takes pixels alone. */

import { reasonOf } from "../errors.js";
import type { Picture } from "./preprocess.js";

/* What a picture may come from: pixels (an ImageData), a File or Blob of an image file, an ImageBitmap, or an element that
   shows one. */
export type PictureSource = Picture | Blob | ImageBitmap | HTMLImageElement | HTMLCanvasElement;

// What the canvas of a phone holds. Larger pictures are drawn at a half, a quarter … of their size.
const MAX_PIXELS = 2 ** 24;

export function isPictureSource(source: unknown): source is PictureSource {
  if (typeof source !== "object" || source === null) return false;
  return source instanceof Blob || "width" in source;
}

/* Its pixels, upright, as they are in the file: no color profile is applied. Throws an Error for what is no image. */
export async function pictureFrom(source: PictureSource): Promise<Picture> {
  if ("data" in source) return checkedPixels(source);
  if (typeof createImageBitmap === "undefined") {
    throw new Error("image files need a browser; in Node pass pixels: { width, height, data }");
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(source, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch (error) {
    throw new Error(source instanceof Blob ? "not an image" : reasonOf(error));
  }
  const [width, height] = drawnSize(bitmap);
  const context = new OffscreenCanvas(width, height).getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

function drawnSize({ width, height }: ImageBitmap): [number, number] {
  let factor = 1;
  while (width * height > MAX_PIXELS * factor ** 2) factor *= 2;
  return [Math.max(1, Math.floor(width / factor)), Math.max(1, Math.floor(height / factor))];
}

function checkedPixels(picture: Picture): Picture {
  const { width, height, data } = picture;
  if (!(width >= 1 && height >= 1 && data.length === 4 * width * height)) {
    throw new Error(`${data.length} bytes are no ${width}×${height} pixels of red, green, blue, opacity`);
  }
  return picture;
}
