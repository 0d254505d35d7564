// What the user asked for: objects, each with its prompts; every change can be undone. Nothing here knows the page.

/**
 * @typedef {{x: number, y: number, label: 0 | 1}} Point in pixels of the picture; 1: of the object, 0: beside it
 * @typedef {{points: Point[], box: number[] | null}} Prompts never changed, only replaced; box: left, top, right, bottom
 * @typedef {{id: number, prompts: Prompts, count: 1 | 3 | 4, choice: number | null}} SoughtObject
 *   count: how many candidates are offered; choice: which of the network's four masks, null for the best by score
 * @typedef {{planes: Float32Array[], scores: Float32Array}} Answer logits and scores of the four masks of a prompt
 */

const NO_PROMPTS = Object.freeze({ points: Object.freeze([]), box: null });
const CANDIDATES = { 1: [0], 3: [1, 2, 3], 4: [0, 1, 2, 3] };

export function isEmpty(prompts) {
  return !prompts.points.length && !prompts.box;
}

export class Session {
  constructor() {
    /** Answers stay with the prompts that they are of, so that undoing asks nothing again. @type {WeakMap<Prompts, Answer>} */
    this.answers = new WeakMap();
    this.clear();
    this.history = [];
  }

  /** The object that the next prompt belongs to. @returns {SoughtObject} */
  get current() {
    return this.objects.find((object) => object.id === this.selected);
  }

  get canUndo() {
    return this.history.length > 0;
  }

  addPoint(x, y, label) {
    const { points, box } = this.current.prompts;
    this.#replaceCurrent({ prompts: { points: [...points, { x, y, label }], box }, choice: null });
  }

  setBox(box) {
    this.#replaceCurrent({ prompts: { points: this.current.prompts.points, box }, choice: null });
  }

  /** Begin another object, or go back to one that has no prompts yet. */
  addObject() {
    const empty = this.objects.find((object) => isEmpty(object.prompts));
    if (empty) {
      this.selected = empty.id;
      return;
    }
    const id = 1 + Math.max(...this.objects.map((object) => object.id));
    this.#change([...this.objects, { id, prompts: NO_PROMPTS, count: this.current.count, choice: null }], id);
  }

  removeObject(id) {
    const index = this.objects.findIndex((object) => object.id === id);
    const rest = this.objects.filter((object) => object.id !== id);
    if (!rest.length) {
      this.clear();
      return;
    }
    const selected = this.selected === id ? rest[Math.min(index, rest.length - 1)].id : this.selected;
    this.#change(rest, selected);
  }

  /** Looking at another object changes nothing that could be undone. */
  select(id) {
    this.selected = id;
  }

  setCount(count) {
    if (count !== this.current.count) this.#replaceCurrent({ count, choice: null });
  }

  choose(index) {
    this.#replaceCurrent({ choice: index });
  }

  clear() {
    this.#change([{ id: 1, prompts: NO_PROMPTS, count: this.objects ? this.current.count : 1, choice: null }], 1);
  }

  undo() {
    const before = this.history.pop();
    if (before) Object.assign(this, before);
  }

  /** Return what there is to choose from for an object: [{index, score}], the best and the chosen index; or null. */
  candidates(object) {
    const answer = this.answers.get(object.prompts);
    if (!answer) return null;
    const offered = CANDIDATES[object.count].map((index) => ({ index, score: answer.scores[index] }));
    const best = offered.reduce((a, b) => (b.score > a.score ? b : a)).index;
    return { offered, best, chosen: object.choice ?? best };
  }

  /** Return logits and score of an object's chosen mask, or null where there is no answer (yet). */
  chosenMask(object) {
    const candidates = this.candidates(object);
    if (!candidates) return null;
    const answer = this.answers.get(object.prompts);
    return { logits: answer.planes[candidates.chosen], score: answer.scores[candidates.chosen] };
  }

  #replaceCurrent(changes) {
    const changed = this.objects.map((object) => (object.id === this.selected ? { ...object, ...changes } : object));
    this.#change(changed, this.selected);
  }

  #change(objects, selected) {
    this.history?.push({ objects: this.objects, selected: this.selected });
    this.objects = objects;
    this.selected = selected;
  }
}
