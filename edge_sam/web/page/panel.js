// The list of masks beside the photograph, and the candidates of the chosen one.

import { enlargedMask } from "./enlarging.js";
import { isEmpty } from "./session.js";
import { colourOf, cssColour, tinted } from "./stage.js";

const THUMBNAIL_SIDE = 72;

/**
 * Draw the list anew.
 * @param {HTMLElement} list
 * @param {import("./session.js").Session} session
 * @param {{select: (id: number) => void, remove: (id: number) => void}} actions
 */
export function showObjects(list, session, actions) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...session.objects.map((object) => {
    const item = document.createElement("li");
    item.append(objectButton(object, session, actions));
    if (session.objects.length > 1 || !isEmpty(object.prompts)) item.append(deleteButton(object, actions));
    return item;
  }));
  if (focused) list.querySelector(`[data-key="${focused}"]`)?.focus();
}

function objectButton(object, session, actions) {
  const button = document.createElement("button");
  button.className = "object";
  button.dataset.key = `select-${object.id}`;
  button.setAttribute("aria-pressed", object.id === session.selected);
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = cssColour(object.id);
  const detail = document.createElement("small");
  const chosen = session.chosenMask(object);
  if (isEmpty(object.prompts)) detail.textContent = "empty";
  else detail.textContent = chosen ? `score ${chosen.score.toFixed(2)}` : "…";
  button.append(swatch, `Mask ${object.id}`, detail);
  button.onclick = () => actions.select(object.id);
  return button;
}

function deleteButton(object, actions) {
  const button = document.createElement("button");
  button.className = "delete";
  button.dataset.key = `delete-${object.id}`;
  button.textContent = "×";
  button.setAttribute("aria-label", `Delete mask ${object.id}`);
  button.onclick = () => actions.remove(object.id);
  return button;
}

/**
 * Draw the candidates of the chosen object, none where there is one alone.
 * @param {HTMLElement} group
 * @param {import("./session.js").Session} session
 * @param {import("./stage.js").Stage} stage
 * @param {(index: number) => void} choose
 */
export function showCandidates(group, session, stage, choose) {
  const object = session.current, candidates = session.candidates(object);
  if (!candidates || candidates.offered.length === 1) {
    group.replaceChildren();
    return;
  }
  const focused = group.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const { planes } = session.answers.get(object.prompts);
  group.replaceChildren(...candidates.offered.map(({ index, score }, place) => {
    const button = document.createElement("button");
    button.dataset.key = index;
    button.setAttribute("aria-pressed", index === candidates.chosen);
    button.setAttribute("aria-label", `Candidate ${place + 1}, score ${score.toFixed(2)}`);
    button.append(thumbnail(planes[index], stage, object.id), score.toFixed(2));
    button.onclick = () => choose(index);
    return button;
  }));
  if (focused) group.querySelector(`[data-key="${focused}"]`)?.focus();
}

function thumbnail(logits, stage, id) {
  const { width, height } = stage.bitmap, scale = THUMBNAIL_SIDE / Math.max(width, height);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const mask = enlargedMask(logits, stage.geometry, [canvas.height, canvas.width]);
  canvas.getContext("2d").putImageData(tinted(mask, canvas.width, canvas.height, colourOf(id), 0.8), 0, 0);
  return canvas;
}
