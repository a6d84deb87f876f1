/* Images on canvases, and canvases as files. */

// Pixels of a saved file along each side of an image's pixel.
const SAVE_SCALE = 8;

/* Paints the bytes of an image of `shape` (C, H, W), stored as (H, W, C), at its own size. */
export function paint(canvas, bytes, shape) {
  const [channels, height, width] = shape;
  canvas.width = width;
  canvas.height = height;
  const picture = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      const channel = channels === 3 ? c : 0;
      picture.data[4 * i + c] = bytes[i * channels + channel];
    }
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/* Saves a canvas as a PNG, enlarged without smoothing. */
export function save(canvas, name) {
  const large = document.createElement("canvas");
  large.width = canvas.width * SAVE_SCALE;
  large.height = canvas.height * SAVE_SCALE;
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  large.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
