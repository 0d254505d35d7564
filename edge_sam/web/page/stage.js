// The photograph on a canvas, with masks, prompts and the keyboard's cursor over it.

import { enlargedMask } from "./enlarging.js";

const LARGEST_SIDE = 2048; // of the canvas in its own pixels
const LARGEST_MAGNIFICATION = 4;
const TINT = 0.45, PREVIEW_TINT = 0.3;
const FOREGROUND = "#28c850", BACKGROUND = "#e63232", HALO = "#ffffff";

/** Return [red, green, blue] of an object: colours that lie far from each other on the wheel. */
export function colourOf(id) {
  const turn = ((id - 1) * 0.38 + 0.58) % 1;
  return [5, 3, 1].map((n) => {
    const k = (n + turn * 6) % 6;
    return Math.round(255 * (1 - 0.75 * Math.max(0, Math.min(k, 4 - k, 1))));
  });
}

export function cssColour(id) {
  return `rgb(${colourOf(id).join(" ")})`;
}

export class Stage {
  constructor(canvas, container) {
    this.canvas = canvas;
    this.container = container;
    this.context = canvas.getContext("2d");
    this.overlays = new WeakMap(); // by logits: they are made for one size of the canvas
    new ResizeObserver(() => this.fit()).observe(container);
  }

  /** Show a picture, an ImageBitmap turned upright. */
  setPicture(bitmap) {
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.geometry = null;
    this.scene = { objects: [], preview: null, draft: null, cursor: null };
    this.canvas.hidden = false;
    this.container.style.setProperty("--aspect", bitmap.width / bitmap.height); // where the page's height is free
    this.fit();
  }

  /** Say how logits lie over the picture, see enlargedMask. */
  setGeometry(geometry) {
    this.geometry = geometry;
  }

  /** Fit the canvas into its container. */
  fit() {
    if (!this.bitmap || this.canvas.hidden) return;
    const { width, height } = this.bitmap, { clientWidth, clientHeight } = this.container;
    const scale = Math.min(clientWidth / width, clientHeight / height, LARGEST_MAGNIFICATION);
    const shown = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
    [this.canvas.style.width, this.canvas.style.height] = shown.map((side) => `${side}px`);
    const density = Math.min(devicePixelRatio || 1, LARGEST_SIDE / Math.max(...shown));
    const [columns, rows] = shown.map((side) => Math.max(1, Math.round(side * density)));
    if (columns !== this.canvas.width || rows !== this.canvas.height) {
      [this.canvas.width, this.canvas.height] = [columns, rows];
      this.overlays = new WeakMap();
    }
    this.draw();
  }

  /** Return where an event happened, in pixels of the picture. */
  locate({ clientX, clientY }) {
    const frame = this.canvas.getBoundingClientRect(), { width, height } = this.bitmap;
    return this.inside({
      x: ((clientX - frame.left) / frame.width) * width, y: ((clientY - frame.top) / frame.height) * height,
    });
  }

  /** Return the nearest place in the picture. */
  inside({ x, y }) {
    return { x: Math.min(Math.max(x, 0), this.bitmap.width), y: Math.min(Math.max(y, 0), this.bitmap.height) };
  }

  /** Return how many of the picture's pixels one of the screen's is. */
  get picturePixels() {
    return this.bitmap.width / this.canvas.getBoundingClientRect().width;
  }

  /**
   * Show masks and prompts.
   * @param {object} scene changes to what is shown: objects [{id, logits, prompts, selected}], preview {id, logits} or
   *   null, draft: a box that is being drawn or null, cursor {x, y} or null
   */
  show(scene) {
    Object.assign(this.scene, scene);
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw() {
    const { context, canvas, scene } = this;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.bitmap, 0, 0, canvas.width, canvas.height);
    const overlays = scene.objects.filter(({ logits }) => logits).map(({ id, logits }) => this.#overlay(logits, id, TINT));
    overlays.sort((a, b) => b.area - a.area); // the smaller ones above
    if (scene.preview) overlays.push(this.#overlay(scene.preview.logits, scene.preview.id, PREVIEW_TINT));
    for (const overlay of overlays) context.drawImage(overlay.canvas, 0, 0);
    const scale = canvas.width / this.bitmap.width;
    const unit = canvas.width / (parseFloat(canvas.style.width) || canvas.width);
    for (const { prompts, selected } of scene.objects) if (selected) this.#drawPrompts(prompts, scale, unit);
    if (scene.draft) this.#drawBox(scene.draft, scale, unit, true);
    if (scene.cursor) this.#drawCursor(scene.cursor, scale, unit);
  }

  /** Return a canvas with a mask's tint and outline, and how many of its pixels the mask has. */
  #overlay(logits, id, tint) {
    let made = this.overlays.get(logits);
    if (made?.tint !== tint || made.id !== id) {
      const { width, height } = this.canvas;
      const mask = enlargedMask(logits, this.geometry, [height, width]);
      const canvas = new OffscreenCanvas(width, height);
      canvas.getContext("2d").putImageData(tinted(mask, width, height, colourOf(id), tint), 0, 0);
      made = { canvas, tint, id, area: mask.reduce((sum, value) => sum + value, 0) };
      this.overlays.set(logits, made);
    }
    return made;
  }

  #drawPrompts({ points, box }, scale, unit) {
    if (box) this.#drawBox(box, scale, unit, false);
    for (const { x, y, label } of points) {
      this.#drawDisc(x * scale, y * scale, 7.5 * unit, HALO);
      this.#drawDisc(x * scale, y * scale, 5.5 * unit, label ? FOREGROUND : BACKGROUND);
      this.context.fillStyle = HALO;
      this.context.fillRect(x * scale - 3 * unit, y * scale - 0.75 * unit, 6 * unit, 1.5 * unit);
      if (label) this.context.fillRect(x * scale - 0.75 * unit, y * scale - 3 * unit, 1.5 * unit, 6 * unit);
    }
  }

  #drawDisc(x, y, radius, colour) {
    this.context.fillStyle = colour;
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.fill();
  }

  #drawBox([left, top, right, bottom], scale, unit, dashed) {
    const { context } = this;
    context.setLineDash(dashed ? [6 * unit, 4 * unit] : []);
    for (const [colour, width] of [["rgb(0 0 0 / 0.55)", 4], ["#ffd23c", 2]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width * unit });
      context.strokeRect(left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
    }
    context.setLineDash([]);
  }

  #drawCursor({ x, y }, scale, unit) {
    const { context } = this, reach = 13 * unit, gap = 4 * unit;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x * scale + dx * gap, y * scale + dy * gap);
      context.lineTo(x * scale + dx * reach, y * scale + dy * reach);
    }
    for (const [colour, width] of [["rgb(0 0 0 / 0.7)", 5], [HALO, 2.5]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width * unit, lineCap: "round" });
      context.stroke();
    }
  }
}

/** Return a mask in its colour: see-through inside, solid where it ends, the picture's edge too. */
export function tinted(mask, width, height, [red, green, blue], tint) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer); // a pixel each: red in the lowest byte, opacity in the highest
  const colour = red | (green << 8) | (blue << 16);
  const solid = colour | (255 << 24), clear = colour | (Math.round(255 * tint) << 24);
  const reach = Math.max(1, Math.round(Math.max(width, height) / 600));
  for (let y = 0, place = 0; y < height; y++) {
    const innerRow = y >= reach && y < height - reach;
    for (let x = 0; x < width; x++, place++) {
      if (!mask[place]) continue;
      const within = innerRow && x >= reach && x < width - reach && mask[place - reach] && mask[place + reach]
        && mask[place - reach * width] && mask[place + reach * width];
      pixels[place] = within ? clear : solid;
    }
  }
  return image;
}
