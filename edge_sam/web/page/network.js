// Encoder and decoder, run by onnxruntime-web: on the GPU by WebGPU where there is one, else on the CPU by WebAssembly.

import { loadFile } from "./model_files.js";

const MASKS = 4; // of a prompt, as exported: the single one, then three candidates
const MOST_THREADS = 4;

/** Return "webgpu" where the browser has a GPU to compute on, else "wasm". */
export async function preferredBackend() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    const isSoftware = adapter?.info?.isFallbackAdapter ?? adapter?.isFallbackAdapter;
    return adapter && !isSoftware ? "webgpu" : "wasm";
  } catch {
    return "wasm";
  }
}

/** Return the manifest's files that a backend needs. */
export function neededFiles(manifest, backend) {
  return [manifest.runtimes[backend].binary, manifest.encoder, manifest.decoder];
}

export class Network {
  /**
   * @param {object} manifest model.json
   * @param {URL} base of the page
   * @param {"webgpu" | "wasm"} backend
   * @param {(stage: "download" | "start", share: number) => void} onProgress share in [0, 1]
   */
  static async open(manifest, base, backend, onProgress) {
    const needed = neededFiles(manifest, backend);
    const whole = needed.reduce((sum, file) => sum + file.bytes, 0);
    let have = 0;
    const load = (file) => loadFile(base, file, (bytes) => onProgress("download", (have += bytes) / whole));
    const [binary, encoder, decoder] = await Promise.all(needed.map(load));
    onProgress("start", 0);
    const ort = await import(new URL(manifest.runtimes[backend].module, base));
    // Threads need memory that is shared, which a server must allow: Cross-Origin-Opener-Policy and -Embedder-Policy.
    const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
    Object.assign(ort.env.wasm, { wasmBinary: binary, numThreads: threads });
    const options = { executionProviders: backend === "webgpu" ? ["webgpu", "wasm"] : ["wasm"] };
    const network = new Network();
    network.encoder = await ort.InferenceSession.create(new Uint8Array(encoder), options);
    network.decoder = await ort.InferenceSession.create(new Uint8Array(decoder), options);
    Object.assign(network, { ort, backend, threads, imageSize: manifest.image_size });
    return network;
  }

  /** Side of the masks that come out. */
  get lowSide() {
    return this.imageSize / 4;
  }

  /** Embed a picture: its normalised and padded square, (1, 3, s, s). */
  async encode(input) {
    const images = new this.ort.Tensor("float32", input, [1, 3, this.imageSize, this.imageSize]);
    const { image_embeddings: embedding } = await this.encoder.run({ images });
    this.#expectNumbers(embedding.data);
    return embedding;
  }

  /**
   * Decode one prompt: P points in input pixels.
   * @returns {Promise<{planes: Float32Array[], scores: Float32Array}>} logits of the padded square, four of them
   */
  async decode(embedding, coordinates, labels) {
    const { Tensor } = this.ort, side = this.lowSide, count = labels.length;
    const { low_res_masks: masks, iou_predictions: scores } = await this.decoder.run({
      image_embeddings: embedding,
      point_coords: new Tensor("float32", coordinates, [1, count, 2]),
      point_labels: new Tensor("float32", labels, [1, count]),
      mask_input: new Tensor("float32", new Float32Array(side * side), [1, 1, side, side]),
      has_mask_input: new Tensor("float32", new Float32Array(1), [1]),
    });
    this.#expectNumbers(masks.data);
    this.#expectNumbers(scores.data);
    const planes = Array.from({ length: MASKS }, (_, i) => masks.data.slice(i * side * side, (i + 1) * side * side));
    return { planes, scores: scores.data.slice() };
  }

  /** A NaN anywhere makes the sum one: some GPU drivers compute nonsense and say nothing. */
  #expectNumbers(values) {
    if (!Number.isFinite(values.reduce((sum, value) => sum + value, 0))) {
      throw new Error(`${this.backend} gave values that are no numbers`);
    }
  }
}
