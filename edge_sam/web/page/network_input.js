// What the networks take: pictures resized, normalised and padded; prompts as points. The same arithmetic as in
// edge_sam/runtime (pictures.py, predictor.py).

const TOP_LEFT_LABEL = 2; // of a box's first corner, which travels as a point; the second one has the next label

/** Return [height, width] of the resized picture, whose longest side is imageSize. */
export function resizedSize(height, width, imageSize) {
  const scale = imageSize / Math.max(height, width);
  return [height, width].map((side) => Math.max(Math.floor(side * scale + 0.5), 1));
}

/**
 * Normalise a resized picture and pad it with zeros at the right and at the bottom.
 * @param {Uint8Array} rgb (height, width, 3)
 * @param {[number, number]} size its height and width
 * @param {number} imageSize side of the square
 * @param {number[]} mean of each channel
 * @param {number[]} deviation of each channel
 * @returns {Float32Array} (1, 3, imageSize, imageSize)
 */
export function normalisedSquare(rgb, [height, width], imageSize, mean, deviation) {
  const square = new Float32Array(3 * imageSize * imageSize);
  for (let channel = 0; channel < 3; channel++) {
    const shift = Math.fround(mean[channel]), divisor = Math.fround(deviation[channel]);
    const values = Float32Array.from({ length: 256 }, (_, grey) => Math.fround(grey - shift) / divisor);
    for (let y = 0; y < height; y++) {
      const to = (channel * imageSize + y) * imageSize, from = 3 * y * width + channel;
      for (let x = 0; x < width; x++) square[to + x] = values[rgb[from + 3 * x]];
    }
  }
  return square;
}

/**
 * Write points and a box as the decoder takes them.
 * @param {{points: {x: number, y: number, label: number}[], box: number[] | null}} prompts in pixels of the picture
 * @param {[number, number]} originalSize [height, width] of the picture
 * @param {[number, number]} inputSize of the resized one
 * @returns {{coordinates: Float32Array, labels: Float32Array}} (1, P, 2) in input pixels, (1, P)
 */
export function promptPoints({ points, box }, originalSize, inputSize) {
  const all = points.map(({ x, y, label }) => [x, y, label]);
  if (box) all.push([box[0], box[1], TOP_LEFT_LABEL], [box[2], box[3], TOP_LEFT_LABEL + 1]);
  const ratioX = inputSize[1] / originalSize[1], ratioY = inputSize[0] / originalSize[0];
  return {
    coordinates: Float32Array.from(all.flatMap(([x, y]) => [x * ratioX, y * ratioY])),
    labels: Float32Array.from(all.map(([, , label]) => label)),
  };
}
