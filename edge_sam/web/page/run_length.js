// Masks as COCO writes them: compressed run lengths, and the instances file around them.

/** Return the run lengths of a mask (height, width) in column order; the first run is of 0 and may have no length. */
export function runLengths(mask, height, width) {
  const runs = [];
  let value = 0, length = 0;
  for (let x = 0; x < width; x++) {
    for (let place = x; place < mask.length; place += width) {
      if (mask[place] !== value) {
        runs.push(length);
        value = mask[place];
        length = 0;
      }
      length++;
    }
  }
  runs.push(length);
  return runs;
}

/** Return run lengths as COCO's text: differences to the run before the last, five bits a character. */
export function compressedRuns(runs) {
  let text = "";
  runs.forEach((run, i) => {
    let rest = i > 2 ? run - runs[i - 2] : run;
    for (let more = true; more;) {
      let bits = rest & 0x1f;
      rest >>= 5;
      more = bits & 0x10 ? rest !== -1 : rest !== 0;
      if (more) bits |= 0x20;
      text += String.fromCharCode(bits + 48);
    }
  });
  return text;
}

/**
 * Return an instances file; masks without a pixel are no annotations.
 * @param {string} fileName of the picture
 * @param {[number, number]} size its [height, width]
 * @param {{mask: Uint8Array, score: number, number: number}[]} objects
 */
export function cocoFile(fileName, [height, width], objects) {
  const annotations = [];
  for (const { mask, score, number } of objects) {
    const { area, bbox } = extent(mask, width);
    if (!area) continue;
    const segmentation = { size: [height, width], counts: compressedRuns(runLengths(mask, height, width)) };
    annotations.push({
      id: annotations.length + 1, image_id: 1, segmentation, score, object: number, area, bbox, iscrowd: 0, category_id: 1,
    });
  }
  return {
    images: [{ id: 1, file_name: fileName, width, height }],
    annotations,
    categories: [{ id: 1, name: "object", supercategory: "object" }],
  };
}

/** Return the number of pixels of a mask and its box, XYWH. */
export function extent(mask, width) {
  let area = 0, left = Infinity, top = Infinity, right = -1, bottom = -1;
  for (let place = 0; place < mask.length; place++) {
    if (!mask[place]) continue;
    const x = place % width, y = (place - x) / width;
    area++;
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    bottom = y;
  }
  return { area, bbox: area ? [left, top, right - left + 1, bottom - top + 1] : [0, 0, 0, 0] };
}
