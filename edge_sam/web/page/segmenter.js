// The page's side of the worker: questions out, answers in.

export class Segmenter {
  /** @param {(progress: {stage: string, share: number | null}) => void} onProgress */
  constructor(onProgress) {
    this.asked = 0;
    this.waiting = new Map();
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (data.progress) onProgress(data.progress);
      else this.#settle(data);
    };
    this.worker.onerror = (event) => {
      const error = event.message || "The page's worker could not be started.";
      for (const id of [...this.waiting.keys()]) this.#settle({ id, error });
    };
  }

  /** Ask the worker: see the functions of its `answers`. */
  ask(kind, request) {
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, kind, request });
    });
  }

  #settle({ id, result, error }) {
    const asked = this.waiting.get(id);
    if (!asked) return;
    this.waiting.delete(id);
    if (error === undefined) asked.resolve(result);
    else asked.reject(new Error(error));
  }
}
