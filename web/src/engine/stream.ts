/**
 * Live audio, as in unhiss/infer/stream.py: `push(block)` returns a denoised block of the same length, delayed by
 * `latency`. All results of push and flush, without the first `latency` samples, equal Python's `unhiss.denoise`.
 */

import { concat, Polyphase } from "../dsp/polyphase";
import { nearestRate, SpectralProcessor } from "./processor";
import type { Spectra } from "./spectra";

/** A causal model: maps spectra and the state before them to denoised spectra and the state after them. */
export interface Model {
  readonly name: string;
  readonly windowS: number;
  readonly stateSize: number;
  run(spectrum: Spectra, state: Float32Array): Promise<{ denoised: Spectra; state: Float32Array }>;
}

export type Options = { attenLimitDb?: number; mix?: number };

export class Stream {
  latency = 0; // samples
  private upsampler!: Polyphase;
  private downsampler!: Polyphase;
  private processor!: SpectralProcessor;
  private state!: Float32Array;
  private ready!: Float32Array[]; // output not returned yet
  private delayed!: Float32Array[]; // input whose denoised samples are not returned yet, for the mix
  private readonly mix: number;

  constructor(
    private readonly model: Model,
    readonly rate: number,
    readonly channels = 1,
    private readonly options: Options = {},
  ) {
    if (!(Number.isInteger(rate) && rate > 0)) throw new Error(`rate = ${rate}; expected a whole number of Hz`);
    this.mix = options.mix ?? 1;
    this.reset();
  }

  /** Forgets all input. */
  reset(): void {
    const modelRate = nearestRate(this.rate);
    this.upsampler = new Polyphase(this.rate, modelRate, this.channels);
    this.downsampler = new Polyphase(modelRate, this.rate, this.channels);
    const { attenLimitDb = Infinity } = this.options;
    this.processor = new SpectralProcessor(this.model.windowS, modelRate, this.channels, attenLimitDb);
    this.state = new Float32Array(this.channels * this.model.stateSize);
    // unhiss/infer/stream.py has the derivation.
    const wait = (this.downsampler.reach + 2 * this.processor.hop) * this.upsampler.down;
    this.latency = Math.floor(wait / this.upsampler.up) + this.upsampler.reach;
    this.ready = Array.from({ length: this.channels }, () => new Float32Array(this.latency));
    this.delayed = this.ready;
  }

  /** One block of each channel, all of one length -> the same. */
  async push(block: Float32Array[]): Promise<Float32Array[]> {
    const size = block[0]!.length;
    const spectrum = this.processor.analyse(this.upsampler.push(block));
    const { denoised, state } = await this.model.run(spectrum, this.state);
    this.state = state;
    const audio = this.downsampler.push(this.processor.synthesise(spectrum, denoised));
    const ready = this.ready.map((previous, channel) => concat(previous, audio[channel]!));
    this.ready = ready.map((samples) => samples.slice(size));
    const out = ready.map((samples) => samples.slice(0, size));
    return this.mix < 1 ? this.applyMix(out, block) : out;
  }

  /** The last `latency` samples; resets the stream. */
  async flush(): Promise<Float32Array[]> {
    const rest = await this.push(Array.from({ length: this.channels }, () => new Float32Array(this.latency)));
    this.reset();
    return rest;
  }

  private applyMix(denoised: Float32Array[], block: Float32Array[]): Float32Array[] {
    return denoised.map((audio, channel) => {
      const delayed = concat(this.delayed[channel]!, block[channel]!);
      this.delayed = this.delayed.map((old, index) => (index === channel ? delayed.slice(audio.length) : old));
      return audio.map((value, n) => this.mix * value + (1 - this.mix) * delayed[n]!);
    });
  }
}
