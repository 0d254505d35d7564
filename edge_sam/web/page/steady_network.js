// The network of one picture on a backend that works: where a GPU fails, at any time, the processor goes on.

export class SteadyNetwork {
  /**
   * @param {(backend: string) => Promise<Network>} open
   * @param {"webgpu" | "wasm"} backend
   * @param {boolean} mayFallBack whether another backend may be opened where this one cannot be
   */
  static async open(open, backend, mayFallBack) {
    const steady = new SteadyNetwork();
    steady.open = open;
    try {
      steady.network = await open(backend);
    } catch (error) {
      if (backend === "wasm" || !mayFallBack) throw error;
      await steady.#goOnWithoutGpu(error);
    }
    return steady;
  }

  get backend() {
    return this.network.backend;
  }

  get threads() {
    return this.network.threads;
  }

  get imageSize() {
    return this.network.imageSize;
  }

  get lowSide() {
    return this.network.lowSide;
  }

  /** Embed a picture, which {@link decode} is then about: its normalised and padded square, (1, 3, s, s). */
  async embed(input) {
    this.input = input; // for another backend, which cannot read this one's embedding
    try {
      this.embedding = await this.network.encode(input);
    } catch (error) {
      if (this.backend === "wasm") throw error;
      await this.#goOnWithoutGpu(error);
      this.embedding = await this.network.encode(input);
    }
  }

  /** Decode one prompt; see `Network.decode`. */
  async decode(coordinates, labels) {
    try {
      return await this.network.decode(this.embedding, coordinates, labels);
    } catch (error) {
      if (this.backend === "wasm") throw error;
      await this.#goOnWithoutGpu(error);
      this.embedding = await this.network.encode(this.input);
      return this.network.decode(this.embedding, coordinates, labels);
    }
  }

  async #goOnWithoutGpu(error) {
    console.warn("WebGPU failed, going on with WebAssembly:", error);
    this.network = await this.open("wasm");
  }
}
