/** A causal ONNX model in onnxruntime-web: WebAssembly, one thread. */

import * as ort from "onnxruntime-web/wasm";
import { metadata } from "./metadata";
import type { Spectra } from "./spectra";
import type { Model } from "./stream";

const MAX_FRAMES = 128; // per call, so that memory stays bounded

export class CausalModel implements Model {
  private constructor(
    private readonly session: ort.InferenceSession,
    readonly name: string,
    readonly windowS: number,
    readonly stateSize: number,
  ) {}

  /** file: bytes of an .onnx file written by unhiss; wasm: of onnxruntime-web's module, except in Node. */
  static async load(file: ArrayBuffer, wasm?: ArrayBuffer): Promise<CausalModel> {
    const values = metadata(new Uint8Array(file));
    const format = values["unhiss.format"] ?? "none";
    if (format !== "1" && format !== "2") { // 2 has a third output, which the page does not use
      throw new Error(`a model of format ${format}; expected 1 or 2, as unhiss export writes them`);
    }
    ort.env.wasm.numThreads = 1; // more need SharedArrayBuffer, and so certain headers of the web server
    if (wasm) ort.env.wasm.wasmBinary = wasm;
    const session = await ort.InferenceSession.create(new Uint8Array(file), { executionProviders: ["wasm"] });
    const state = session.inputMetadata.find((input) => input.name === "state");
    const size = state?.isTensor ? state.shape[1] : undefined;
    const { stft } = JSON.parse(values["unhiss.config"] ?? "{}") as { stft?: { window_s: number } };
    if (typeof size !== "number" || !stft) throw new Error("a model with look-ahead; expected a causal one");
    return new CausalModel(session, values["unhiss.model"] ?? "", stft.window_s, size);
  }

  async run(spectrum: Spectra, state: Float32Array): Promise<{ denoised: Spectra; state: Float32Array }> {
    const { channels, frames, bins, data } = spectrum;
    const out = new Float32Array(data.length);
    for (let first = 0; first < frames; first += MAX_FRAMES) {
      const count = Math.min(MAX_FRAMES, frames - first);
      const size = count * bins * 2;
      const part = new Float32Array(channels * size);
      const offset = (channel: number): number => (channel * frames + first) * bins * 2;
      for (let c = 0; c < channels; c++) part.set(data.subarray(offset(c), offset(c) + size), c * size);
      const results = await this.session.run({
        spectrum: new ort.Tensor("float32", part, [channels, count, bins, 2]),
        state: new ort.Tensor("float32", state, [channels, this.stateSize]),
      });
      const [denoised, next] = this.session.outputNames.map((name) => results[name]!.data as Float32Array);
      for (let c = 0; c < channels; c++) out.set(denoised!.subarray(c * size, (c + 1) * size), offset(c));
      state = next!;
    }
    return { denoised: { channels, frames, bins, data: out }, state };
  }
}
