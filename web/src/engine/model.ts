/** A causal ONNX model in onnxruntime-web: WebAssembly, one thread. */

import * as ort from "onnxruntime-web/wasm";
import { metadata } from "./metadata";
import type { Spectra } from "./spectra";
import type { Model } from "./stream";

const CALL = 128; // frames per call at most, so that memory stays bounded

export class CausalModel implements Model {
  private constructor(
    private readonly session: ort.InferenceSession,
    readonly name: string,
    readonly windowS: number,
    readonly stateSize: number,
  ) {}

  /** file: the bytes of an .onnx file as unhiss writes it; wasm: those of onnxruntime-web's module, if not in Node. */
  static async load(file: ArrayBuffer, wasm?: ArrayBuffer): Promise<CausalModel> {
    const facts = metadata(new Uint8Array(file));
    if (facts["unhiss.format"] !== "1") {
      throw new Error(`a model of format ${facts["unhiss.format"] ?? "none"}; expected 1, as unhiss export writes it`);
    }
    ort.env.wasm.numThreads = 1; // more would need SharedArrayBuffer, and with it headers of the server
    if (wasm) ort.env.wasm.wasmBinary = wasm;
    const session = await ort.InferenceSession.create(new Uint8Array(file), { executionProviders: ["wasm"] });
    const state = session.inputMetadata.find((input) => input.name === "state");
    const size = state?.isTensor ? state.shape[1] : undefined;
    const { stft } = JSON.parse(facts["unhiss.config"] ?? "{}") as { stft?: { window_s: number } };
    if (typeof size !== "number" || !stft) throw new Error("a model that looks ahead; expected a causal one");
    return new CausalModel(session, facts["unhiss.model"] ?? "", stft.window_s, size);
  }

  async run(spectrum: Spectra, state: Float32Array): Promise<{ cleaned: Spectra; state: Float32Array }> {
    const { channels, frames, bins, data } = spectrum;
    const out = new Float32Array(data.length);
    for (let first = 0; first < frames; first += CALL) {
      const count = Math.min(CALL, frames - first);
      const size = count * bins * 2;
      const part = new Float32Array(channels * size);
      const at = (channel: number): number => (channel * frames + first) * bins * 2;
      for (let c = 0; c < channels; c++) part.set(data.subarray(at(c), at(c) + size), c * size);
      const results = await this.session.run({
        spectrum: new ort.Tensor("float32", part, [channels, count, bins, 2]),
        state: new ort.Tensor("float32", state, [channels, this.stateSize]),
      });
      const [cleaned, next] = this.session.outputNames.map((name) => results[name]!.data as Float32Array);
      for (let c = 0; c < channels; c++) out.set(cleaned!.subarray(c * size, (c + 1) * size), at(c));
      state = next!;
    }
    return { cleaned: { channels, frames, bins, data: out }, state };
  }
}
