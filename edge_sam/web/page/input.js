// Mouse, touch and keyboard on the photograph become what they ask for.

const DRAG_DISTANCE = 5; // CSS pixels: less is a click
const STEP_SHARE = 0.02; // of the picture's longer side that an arrow key moves the cursor

/**
 * @typedef {object} Actions what an input may ask for; places are {x, y} in pixels of the picture
 * @property {(place, label: 0 | 1) => void} point
 * @property {(box: number[]) => void} box left, top, right, bottom
 * @property {(place | null) => void} hover the mouse or the cursor is there, or nowhere
 * @property {Record<string, () => void>} keys what else a key does, by name
 */

export class Input {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {() => "add" | "remove" | "box"} mode
   * @param {Actions} actions
   */
  constructor(stage, mode, actions) {
    Object.assign(this, { stage, mode, actions });
    this.reset();
    const { canvas } = stage;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", () => this.#giveUp());
    canvas.addEventListener("pointerleave", () => this.actions.hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => stage.show({ cursor: null }));
    canvas.addEventListener("focus", () => stage.show({ cursor: this.cursor })); // where it was left
  }

  /** Forget what has begun: another picture is shown. */
  reset() {
    this.pressed = null; // while a button or a finger is down
    this.cursor = null;
    this.corner = null; // of a box by keyboard
  }

  #press(event) {
    if (this.pressed || ![0, 2].includes(event.button)) return;
    this.#forgetCursor();
    this.pressed = {
      id: event.pointerId, clientX: event.clientX, clientY: event.clientY, place: this.stage.locate(event),
      isNegative: event.button === 2 || event.shiftKey, dragged: false,
      mayDrag: event.button === 0 && (event.pointerType === "mouse" || this.mode() === "box"),
    };
    if (this.pressed.mayDrag) this.stage.canvas.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const { pressed } = this;
    if (!pressed) {
      if (event.pointerType === "mouse") this.actions.hover(this.stage.locate(event));
      return;
    }
    if (event.pointerId !== pressed.id) return;
    const distance = Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY);
    pressed.dragged ||= distance >= DRAG_DISTANCE;
    if (pressed.dragged && pressed.mayDrag) {
      this.actions.hover(null);
      this.stage.show({ draft: boxBetween(pressed.place, this.stage.locate(event)) });
    }
  }

  #release(event) {
    const { pressed } = this;
    if (!pressed || event.pointerId !== pressed.id) return;
    this.#giveUp();
    if (!pressed.dragged) {
      if (this.mode() !== "box" || pressed.isNegative) this.#point(pressed.place, pressed.isNegative);
    } else if (pressed.mayDrag) {
      this.#box(pressed.place, this.stage.locate(event));
    }
  }

  #giveUp() {
    this.pressed = null;
    this.corner = null;
    this.stage.show({ draft: null });
  }

  #point(place, isNegative) {
    this.actions.point(place, isNegative || this.mode() === "remove" ? 0 : 1);
  }

  #box(a, b) {
    const [left, top, right, bottom] = boxBetween(a, b);
    if (right - left >= 1 && bottom - top >= 1) this.actions.box([left, top, right, bottom]);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the page's own keys
    const handled = this.#moveCursor(event) || this.#act(event.key);
    if (handled) event.preventDefault();
  }

  #moveCursor({ key, shiftKey }) {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (!direction) return false;
    const { width, height } = this.stage.bitmap;
    const step = shiftKey ? 1 : Math.max(1, Math.round(Math.max(width, height) * STEP_SHARE));
    const from = this.#cursorPlace();
    this.cursor = this.stage.inside({ x: from.x + direction[0] * step, y: from.y + direction[1] * step });
    this.stage.show({ cursor: this.cursor, draft: this.corner && boxBetween(this.corner, this.cursor) });
    if (!this.corner) this.actions.hover(this.cursor);
    return true;
  }

  /** Do what a key says; return whether it says anything. */
  #act(key) {
    const byKey = {
      Enter: () => (this.mode() === "box" ? this.#cornerOrBox() : this.#point(this.#cursorPlace(), false)),
      "+": () => this.actions.point(this.#cursorPlace(), 1),
      "=": () => this.actions.point(this.#cursorPlace(), 1), // where + needs Shift
      "-": () => this.actions.point(this.#cursorPlace(), 0),
      b: () => this.#cornerOrBox(),
      Escape: () => this.#giveUp(),
      ...this.actions.keys,
    };
    byKey[" "] = byKey.Enter;
    const action = byKey[key] ?? byKey[key.toLowerCase()];
    action?.();
    return Boolean(action);
  }

  #cornerOrBox() {
    const place = this.#cursorPlace();
    if (this.corner) {
      const first = this.corner;
      this.#giveUp();
      this.#box(first, place);
    } else {
      this.corner = place;
      this.actions.hover(null);
    }
  }

  #cursorPlace() {
    if (!this.cursor) {
      this.cursor = { x: this.stage.bitmap.width / 2, y: this.stage.bitmap.height / 2 };
      this.stage.show({ cursor: this.cursor });
    }
    return this.cursor;
  }

  #forgetCursor() {
    this.cursor = null;
    this.corner = null;
    this.stage.show({ cursor: null, draft: null });
  }
}

function boxBetween(a, b) {
  return [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
}
