// A picture file as the network's input, pixel by pixel as Pillow reads and resizes it.

import { normalisedSquare, resizedSize } from "./network_input.js";
import { resampleColumns, resampleRows, resamplingTaps } from "./resampling.js";

const PIXELS_AT_ONCE = 4_000_000; // of the picture on a canvas: phones refuse large ones

/**
 * Decode a file and bring it to the network's size.
 * @param {Blob} file of a picture, turned upright as its EXIF says
 * @param {{image_size: number, pixel_mean: number[], pixel_std: number[]}} model
 * @returns {Promise<{input: Float32Array, originalSize: [number, number], inputSize: [number, number]}>}
 */
export async function readPicture(file, model) {
  let bitmap;
  try {
    // Values as they are in the file: Pillow knows no colour profiles either.
    bitmap = await createImageBitmap(file, {
      imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none",
    });
  } catch {
    throw new Error("This file is not a picture that your browser can read.");
  }
  const { width, height } = bitmap;
  const inputSize = resizedSize(height, width, model.image_size);
  const narrow = narrowed(bitmap, inputSize[1]);
  bitmap.close();
  const small = height === inputSize[0] ? narrow
    : resampleColumns(narrow, inputSize[1], resamplingTaps(height, inputSize[0]));
  const input = normalisedSquare(small, inputSize, model.image_size, model.pixel_mean, model.pixel_std);
  return { input, originalSize: [height, width], inputSize };
}

/** Return RGB (height, target, 3): rows at their new width, some rows at a time. */
function narrowed(bitmap, target) {
  const { width, height } = bitmap;
  const taps = resamplingTaps(width, target);
  const rowsAtOnce = Math.max(1, Math.min(height, Math.floor(PIXELS_AT_ONCE / width)));
  const context = new OffscreenCanvas(width, rowsAtOnce).getContext("2d", { willReadFrequently: true });
  const narrow = new Uint8Array(height * target * 3);
  for (let top = 0; top < height; top += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, height - top);
    context.clearRect(0, 0, width, rowsAtOnce);
    context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
    const rgba = context.getImageData(0, 0, width, rows).data;
    narrow.set(width === target ? withoutAlpha(rgba) : resampleRows(rgba, width, taps), top * target * 3);
  }
  return narrow;
}

function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}
