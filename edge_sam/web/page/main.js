// The page: pictures in, prompts to the worker, masks onto the photograph and out to files.

import { Input } from "./input.js";
import { showCandidates, showObjects } from "./panel.js";
import { Segmenter } from "./segmenter.js";
import { isEmpty, Session } from "./session.js";
import { Stage } from "./stage.js";

const element = (id) => document.getElementById(id);
const chosenValue = (name) => document.querySelector(`input[name=${name}]:checked`).value;

let session = new Session();
let picture = null; // {name, embedded, trouble} of the photograph shown; masks can be asked for once it is embedded
let network = null; // {name, backend, threads} of what computes
let hovered = null, previewing = false; // where the mouse is; whether its mask is being computed

const segmenter = new Segmenter(showProgress);
const stage = new Stage(element("canvas"), element("stage"));
const input = new Input(stage, () => chosenValue("mode"), {
  point: (place, label) => prompt(() => session.addPoint(place.x, place.y, label)),
  box: (box) => prompt(() => session.setBox(box)),
  hover: (place) => preview(place),
  keys: {
    Backspace: () => edit(() => session.undo()),
    Delete: () => edit(() => session.removeObject(session.selected)),
    n: () => edit(() => session.addObject()),
    1: () => edit(() => session.setCount(1)),
    3: () => edit(() => session.setCount(3)),
    4: () => edit(() => session.setCount(4)),
    "[": () => chooseNext(-1),
    "]": () => chooseNext(1),
    p: () => downloadPng(),
    j: () => downloadCoco(),
    "?": () => element("help").showModal(),
  },
});

// --- The network -------------------------------------------------------------------------------------------------

const wished = new URLSearchParams(location.search).get("backend"); // to try one
const backend = ["wasm", "webgpu"].includes(wished) ? wished : null;
const loaded = segmenter.ask("load", { backend }).then((answer) => {
  describeNetwork(answer);
  hideProgress();
});
loaded.catch((error) => {
  element("model").textContent = "";
  hideProgress();
  say(`The network cannot be started: ${error.message}`, true);
});

function describeNetwork(changes) {
  network = { ...network, ...changes };
  const processor = network.threads > 1 ? `${network.threads} processor threads` : "the processor";
  element("model").textContent = `${network.name}, on ${network.backend === "webgpu" ? "the GPU" : processor}`;
  document.body.dataset.backend = network.backend;
}

function showProgress({ stage: name, share }) {
  const percent = share === null ? "" : ` ${Math.floor(100 * share)} %`;
  element("busy-text").textContent = {
    download: `Loading the network…${percent}`, start: "Starting the network…", read: "Reading the photograph…",
    encode: "Looking at the photograph…",
  }[name];
  if (name === "download") element("busy-bar").value = share;
  else element("busy-bar").removeAttribute("value");
  element("busy").hidden = false;
}

function hideProgress() {
  element("busy").hidden = true;
}

// --- Photographs -------------------------------------------------------------------------------------------------

let newest = null; // of the photographs that were opened: reading another may take longer

async function openPicture(file) {
  const opened = { name: file.name || "photograph.png", embedded: false, trouble: null };
  newest = opened;
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (newest !== opened) return;
  if (!bitmap) {
    say(`${opened.name} is not a picture that this browser can read.`, true);
    return;
  }
  picture = opened;
  showPicture(bitmap);
  say("");
  try {
    await loaded;
    const { geometry, milliseconds, backend: used, threads } = await segmenter.ask("embed", { file });
    describeNetwork({ backend: used, threads }); // a GPU may have failed
    if (picture !== opened) return; // another one was opened meanwhile
    stage.setGeometry(geometry);
    picture.embedded = true;
    say(`Ready after ${(milliseconds / 1000).toFixed(1)} s. Point at a thing, click it, or drag a box around it.`);
  } catch (error) {
    opened.trouble = error.message;
    if (picture === opened) say(error.message, true);
  }
  if (picture === opened) hideProgress();
  render();
  preview(hovered);
}

function showPicture(bitmap) {
  session = new Session();
  session.setCount(Number(chosenValue("count")));
  session.history = [];
  hovered = null;
  input.reset();
  element("welcome").hidden = true;
  element("tools").hidden = element("panel").hidden = false;
  stage.setPicture(bitmap);
  element("canvas").focus({ preventScroll: true });
  render();
}

// --- Prompts and answers -----------------------------------------------------------------------------------------

/** Change what is asked for, then ask what is not known yet. */
function edit(change) {
  if (!picture) return;
  change();
  hovered = null;
  stage.show({ preview: null });
  render();
  sayWhatIsChosen();
  session.objects.forEach((object) => void answer(object));
}

/** The same for a point or a box, which are of a photograph that the network has seen. */
function prompt(change) {
  if (picture?.embedded) edit(change);
  else if (picture) say(picture.trouble ?? "One moment: the photograph is still being looked at.", Boolean(picture.trouble));
}

async function decode(prompts) {
  try {
    const { planes, scores, backend: used, threads } = await segmenter.ask("decode", { prompts });
    describeNetwork({ backend: used, threads }); // a GPU may have failed
    return { planes, scores };
  } finally {
    hideProgress(); // of another backend that was loaded
  }
}

const asked = new WeakSet();

async function answer({ prompts }) {
  if (isEmpty(prompts) || asked.has(prompts)) return;
  asked.add(prompts);
  const { answers } = session;
  try {
    answers.set(prompts, await decode(prompts));
  } catch (error) {
    asked.delete(prompts);
    say(error.message, true);
  }
  render();
  if (session.current.prompts === prompts && answers.has(prompts)) sayWhatIsChosen();
}

function sayWhatIsChosen() {
  const { id, prompts } = session.current, chosen = session.chosenMask(session.current);
  if (isEmpty(prompts)) say(`Mask ${id}: empty. Point at a thing, click it, or drag a box around it.`);
  else say(chosen ? `Mask ${id}: score ${chosen.score.toFixed(2)}.` : "");
}

/** Show the mask of a place that the mouse or the cursor is at, while nothing is asked for yet. */
async function preview(place) {
  hovered = place;
  if (!place || !picture?.embedded || !isEmpty(session.current.prompts)) {
    if (picture) stage.show({ preview: null });
    return;
  }
  if (previewing) return; // the newest place has its turn when this one is done
  previewing = true;
  const shown = picture;
  try {
    const prompts = { points: [{ ...place, label: 1 }], box: null };
    const { planes } = await decode(prompts);
    if (hovered && picture === shown && isEmpty(session.current.prompts)) {
      stage.show({ preview: { id: session.selected, logits: planes[0] } });
    }
  } catch (error) {
    say(error.message, true);
  }
  previewing = false;
  if (hovered && hovered !== place) void preview(hovered);
}

function chooseNext(step) {
  const candidates = session.candidates(session.current);
  if (!candidates) return;
  const indices = candidates.offered.map(({ index }) => index);
  const place = (indices.indexOf(candidates.chosen) + step + indices.length) % indices.length;
  edit(() => session.choose(indices[place]));
  say(`Candidate ${place + 1} of ${indices.length}, score ${candidates.offered[place].score.toFixed(2)}.`);
}

// --- What is shown -----------------------------------------------------------------------------------------------

function render() {
  if (!picture) return;
  const shown = session.objects.map((object) => ({
    id: object.id, prompts: object.prompts, selected: object.id === session.selected,
    logits: session.chosenMask(object)?.logits ?? null,
  }));
  stage.show({ objects: shown });
  showObjects(element("objects"), session, {
    select: (id) => edit(() => session.select(id)),
    remove: (id) => edit(() => session.removeObject(id)),
  });
  showCandidates(element("candidates"), session, stage, (index) => edit(() => session.choose(index)));
  document.querySelector(`input[name=count][value="${session.current.count}"]`).checked = true;
  element("undo").disabled = !session.canUndo;
  element("clear").disabled = session.objects.every((object) => isEmpty(object.prompts));
  element("add-object").disabled = isEmpty(session.current.prompts);
  element("png").disabled = !session.chosenMask(session.current);
  element("coco").disabled = !session.objects.some((object) => session.chosenMask(object));
}

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

// --- Files out ---------------------------------------------------------------------------------------------------

const stem = () => picture.name.replace(/\.[^.]*$/, "");

async function downloadPng() {
  const chosen = session.chosenMask(session.current), number = session.selected;
  if (chosen) await download(`${stem()}_mask_${number}.png`, () => segmenter.ask("png", { logits: chosen.logits }));
}

async function downloadCoco() {
  const objects = session.objects.flatMap((object) => {
    const chosen = session.chosenMask(object);
    return chosen ? [{ ...chosen, number: object.id }] : [];
  });
  if (!objects.length) return;
  await download(`${stem()}.json`, async () => {
    const content = await segmenter.ask("coco", { fileName: picture.name, objects });
    return new Blob([content], { type: "application/json" });
  });
}

async function download(name, make) {
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await make());
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`${name} was handed to your browser.`);
  } catch (error) {
    say(`${name} cannot be made: ${error.message}`, true);
  }
}

// --- Controls ----------------------------------------------------------------------------------------------------

element("file").onchange = ({ target }) => {
  if (target.files.length) void openPicture(target.files[0]);
  target.value = ""; // the same file may be chosen again
};
element("undo").onclick = () => edit(() => session.undo());
element("clear").onclick = () => edit(() => session.clear());
element("add-object").onclick = () => edit(() => session.addObject());
element("png").onclick = () => void downloadPng();
element("coco").onclick = () => void downloadCoco();
element("help-button").onclick = () => element("help").showModal();
element("modes").onchange = () => element("canvas").classList.toggle("boxing", chosenValue("mode") === "box");
element("counts").onchange = () => edit(() => session.setCount(Number(chosenValue("count"))));

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z" && picture) {
    event.preventDefault();
    edit(() => session.undo());
  }
});
document.addEventListener("paste", ({ clipboardData }) => {
  if (clipboardData.files.length) void openPicture(clipboardData.files[0]);
});

let dragsInside = 0; // dragenter and dragleave come for every element on the way
for (const [name, change] of [["dragenter", 1], ["dragleave", -1]]) {
  document.addEventListener(name, () => {
    dragsInside += change;
    element("stage").classList.toggle("dropping", dragsInside > 0);
  });
}
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  dragsInside = 0;
  element("stage").classList.remove("dropping");
  if (event.dataTransfer.files.length) void openPicture(event.dataTransfer.files[0]);
});
