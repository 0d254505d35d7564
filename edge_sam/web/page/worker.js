// Everything that takes long, away from the page: reading pictures, the networks, masks at the picture's own size.

import { enlargedMask } from "./enlarging.js";
import { forgetOtherFiles } from "./model_files.js";
import { Network, neededFiles, preferredBackend } from "./network.js";
import { promptPoints } from "./network_input.js";
import { readPicture } from "./picture.js";
import { maskAsPng } from "./png.js";
import { cocoFile } from "./run_length.js";
import { SteadyNetwork } from "./steady_network.js";

const base = new URL("../", import.meta.url);
let manifest, network, picture;

const answers = {
  /** Load the network; `backend` is null to take the best there is. */
  async load({ backend }) {
    manifest = await readManifest();
    network = await SteadyNetwork.open(openNetwork, backend ?? (await preferredBackend()), !backend);
    void forgetOtherFiles(base, Object.keys(manifest.runtimes).flatMap((name) => neededFiles(manifest, name)));
    return { name: manifest.name, backend: network.backend, threads: network.threads };
  },

  /** Embed a picture file. */
  async embed({ file }) {
    picture = null;
    report("read");
    const { input, originalSize, inputSize } = await readPicture(file, manifest);
    report("encode");
    const started = performance.now();
    await network.embed(input);
    const geometry = { lowSide: network.lowSide, imageSize: network.imageSize, inputSize };
    picture = { originalSize, geometry };
    const { backend, threads } = network;
    return { geometry, milliseconds: performance.now() - started, backend, threads };
  },

  /** Decode the prompts of one object: {points, box} in pixels of the picture. */
  async decode({ prompts }) {
    const { originalSize, geometry } = picture;
    const { coordinates, labels } = promptPoints(prompts, originalSize, geometry.inputSize);
    const answer = await network.decode(coordinates, labels);
    return { ...answer, backend: network.backend, threads: network.threads };
  },

  /** Return the mask of logits as a PNG of the picture's size. */
  async png({ logits }) {
    return maskAsPng(enlargedMask(logits, picture.geometry, picture.originalSize), picture.originalSize);
  },

  /** Return an instances file of COCO: objects are [{logits, score, number}]. */
  async coco({ fileName, objects }) {
    const masked = objects.map(({ logits, score, number }) => ({
      mask: enlargedMask(logits, picture.geometry, picture.originalSize), score, number,
    }));
    return JSON.stringify(cocoFile(fileName, picture.originalSize, masked));
  },
};

async function readManifest() {
  const response = await fetch(new URL("model.json", base), { cache: "no-cache" });
  if (!response.ok) throw new Error(`model.json: the server answered ${response.status}`);
  const read = await response.json();
  if (!read.encoder) throw new Error("This page was not built to its end: run edgesam web again.");
  return read;
}

function openNetwork(backend) {
  return Network.open(manifest, base, backend, report);
}

function report(stage, share = null) {
  postMessage({ progress: { stage, share } });
}

// One after the other: a session runs one thing at a time, and a prompt is of the picture that came before it.
let queue = Promise.resolve();
onmessage = ({ data: { id, kind, request } }) => {
  queue = queue.then(async () => {
    try {
      postMessage({ id, result: await answers[kind](request) });
    } catch (error) {
      postMessage({ id, error: error?.message ?? String(error) });
    }
  });
};
