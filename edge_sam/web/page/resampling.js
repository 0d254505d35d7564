// Pillow's bilinear resampling of 8-bit RGB in its fixed-point arithmetic: what Python shows the network. A canvas' own
// differs. Rows come before columns, always; Pillow 13 has it the other way round for tall pictures, which rounds some
// pixels to the next grey level.

const PRECISION_BITS = 22;

/**
 * The weights of each target pixel along one axis.
 * @param {number} source pixels along that axis
 * @param {number} target pixels after resampling
 * @returns {{starts: Int32Array, counts: Int32Array, weights: Int32Array, stride: number}} weights of target pixel i
 *   are weights[i * stride ...], counts[i] of them, for the source pixels from starts[i] on
 */
export function resamplingTaps(source, target) {
  const scale = source / target;
  const support = Math.max(scale, 1);
  const stride = Math.ceil(support) * 2 + 1;
  const taps = {
    starts: new Int32Array(target), counts: new Int32Array(target), weights: new Int32Array(target * stride), stride,
  };
  for (let i = 0; i < target; i++) {
    const center = (i + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const count = Math.min(Math.trunc(center + support + 0.5), source) - start;
    const triangle = Array.from({ length: count }, (_, x) => Math.max(1 - Math.abs((x + start - center + 0.5) * (1 / support)), 0));
    const sum = triangle.reduce((a, b) => a + b, 0);
    triangle.forEach((weight, x) => {
      taps.weights[i * stride + x] = Math.trunc(0.5 + (weight / sum) * (1 << PRECISION_BITS));
    });
    taps.starts[i] = start;
    taps.counts[i] = count;
  }
  return taps;
}

/**
 * Resample rows of a picture to another width.
 * @param {Uint8Array|Uint8ClampedArray} rgba (rows, width, 4)
 * @param {number} width of the rows
 * @param {ReturnType<typeof resamplingTaps>} taps from that width to the other
 * @returns {Uint8Array} RGB (rows, other width, 3)
 */
export function resampleRows(rgba, width, taps) {
  const target = taps.starts.length, rows = rgba.length / (4 * width);
  const resampled = new Uint8Array(rows * target * 3);
  for (let row = 0, place = 0; row < rows; row++) {
    for (let i = 0; i < target; i++) {
      let red = 1 << (PRECISION_BITS - 1), green = red, blue = red;
      let pixel = 4 * (row * width + taps.starts[i]);
      const end = i * taps.stride + taps.counts[i];
      for (let k = i * taps.stride; k < end; k++, pixel += 4) {
        const weight = taps.weights[k];
        red += rgba[pixel] * weight;
        green += rgba[pixel + 1] * weight;
        blue += rgba[pixel + 2] * weight;
      }
      resampled[place++] = red >> PRECISION_BITS;
      resampled[place++] = green >> PRECISION_BITS;
      resampled[place++] = blue >> PRECISION_BITS;
    }
  }
  return resampled;
}

/**
 * Resample the columns of a picture to another height.
 * @param {Uint8Array} rgb (height, width, 3)
 * @param {number} width of the rows
 * @param {ReturnType<typeof resamplingTaps>} taps from that height to the other
 * @returns {Uint8Array} RGB (other height, width, 3)
 */
export function resampleColumns(rgb, width, taps) {
  const target = taps.starts.length, line = 3 * width;
  const resampled = new Uint8Array(target * line);
  const sums = new Int32Array(line);
  for (let i = 0; i < target; i++) {
    sums.fill(1 << (PRECISION_BITS - 1));
    for (let k = 0; k < taps.counts[i]; k++) {
      const weight = taps.weights[i * taps.stride + k], from = (taps.starts[i] + k) * line;
      for (let x = 0; x < line; x++) sums[x] += rgb[from + x] * weight;
    }
    for (let x = 0; x < line; x++) resampled[i * line + x] = sums[x] >> PRECISION_BITS;
  }
  return resampled;
}
