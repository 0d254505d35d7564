// Low-resolution logits become a mask of any size, as SAM does it: enlarged to the padded square, cut to the picture in
// it, resized to the picture; both steps linear, so each pixel is a sum of a few logits.

const TAPS = 3; // two neighbours in the square lie among three low-resolution pixels

/**
 * Enlarge and threshold at 0.
 * @param {Float32Array} logits (lowSide, lowSide), of the padded square
 * @param {{lowSide: number, imageSize: number, inputSize: [number, number]}} geometry sides of logits and square, and
 *   [height, width] of the resized picture in the square
 * @param {[number, number]} size [height, width] of the mask
 * @returns {Uint8Array} (height, width): 1 in the mask, else 0
 */
export function enlargedMask(logits, { lowSide, imageSize, inputSize }, [height, width]) {
  const rows = axisTaps(lowSide, imageSize, inputSize[0], height);
  const columns = axisTaps(lowSide, imageSize, inputSize[1], width);
  const mask = new Uint8Array(height * width);
  const line = new Float32Array(lowSide + TAPS);
  for (let y = 0; y < height; y++) {
    const from = rows.starts[y] * lowSide;
    let largest = -Infinity;
    for (let x = 0; x < lowSide; x++) {
      let sum = 0;
      for (let k = 0; k < TAPS; k++) {
        const weight = rows.weights[TAPS * y + k];
        if (weight) sum += weight * logits[from + k * lowSide + x];
      }
      line[x] = sum;
      if (sum > largest) largest = sum;
    }
    if (!(largest > 0)) continue;
    for (let x = 0; x < width; x++) {
      const start = columns.starts[x], k = TAPS * x;
      const value = columns.weights[k] * line[start] + columns.weights[k + 1] * line[start + 1]
        + columns.weights[k + 2] * line[start + 2];
      if (value > 0) mask[y * width + x] = 1;
    }
  }
  return mask;
}

/** Return for each pixel of one axis the first low-resolution pixel that is in it, and the weights of three. */
function axisTaps(lowSide, imageSize, inputSide, side) {
  const starts = new Int32Array(side), weights = new Float32Array(TAPS * side);
  for (let i = 0; i < side; i++) {
    const inner = neighbours(i, inputSide, side);
    const start = neighbours(inner.first, lowSide, imageSize).first;
    starts[i] = start;
    for (const [place, share] of [[inner.first, 1 - inner.fraction], [inner.first + 1, inner.fraction]]) {
      if (!share) continue;
      const low = neighbours(place, lowSide, imageSize);
      weights[TAPS * i + low.first - start] += share * (1 - low.fraction);
      if (low.fraction) weights[TAPS * i + low.first + 1 - start] += share * low.fraction;
    }
  }
  return { starts, weights };
}

/** Return between which of `source` pixels pixel i of `target` lies; centres lie at + 0.5. */
function neighbours(i, source, target) {
  const position = Math.min(Math.max(((i + 0.5) * source) / target - 0.5, 0), source - 1);
  const first = Math.floor(position);
  return { first, fraction: position - first };
}
