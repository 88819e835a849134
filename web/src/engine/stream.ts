/**
 * Live sound, as unhiss/infer/stream.py has it: `push(block)` gives a cleaned block of the same length, `latency`
 * later. All pushed and flushed, less the first `latency` samples, is what Python's `unhiss.denoise` gives.
 */

import { joined, Polyphase } from "../dsp/polyphase";
import { Frames, nearestRate } from "./frames";
import type { Spectra } from "./spectra";

/** A causal model: spectra and the state before them in, cleaned spectra and the state after them out. */
export interface Model {
  readonly name: string;
  readonly windowS: number;
  readonly stateSize: number;
  run(spectrum: Spectra, state: Float32Array): Promise<{ cleaned: Spectra; state: Float32Array }>;
}

export type Options = { limitDb?: number; mix?: number; guard?: boolean };

export class Stream {
  latency = 0; // samples
  private up!: Polyphase;
  private down!: Polyphase;
  private frames!: Frames;
  private state!: Float32Array;
  private ready!: Float32Array[]; // to be given out
  private waiting!: Float32Array[]; // input whose cleaned samples are not given out yet, for the mix
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

  /** Forget all that was pushed. */
  reset(): void {
    const own = nearestRate(this.rate);
    this.up = new Polyphase(this.rate, own, this.channels);
    this.down = new Polyphase(own, this.rate, this.channels);
    const { limitDb = Infinity, guard = true } = this.options;
    this.frames = new Frames(this.model.windowS, own, this.channels, limitDb, guard);
    this.state = new Float32Array(this.channels * this.model.stateSize);
    // The derivation stands in unhiss/infer/stream.py.
    const wait = (this.down.reach + 2 * this.frames.hop) * this.up.down;
    this.latency = Math.floor(wait / this.up.up) + this.up.reach;
    this.ready = Array.from({ length: this.channels }, () => new Float32Array(this.latency));
    this.waiting = this.ready;
  }

  /** One block of each channel, all of one length -> the same. */
  async push(block: Float32Array[]): Promise<Float32Array[]> {
    const size = block[0]!.length;
    const spectrum = this.frames.analyse(this.up.push(block));
    const { cleaned, state } = await this.model.run(spectrum, this.state);
    this.state = state;
    const sound = this.down.push(this.frames.synthesise(spectrum, cleaned));
    const ready = this.ready.map((before, channel) => joined(before, sound[channel]!));
    this.ready = ready.map((whole) => whole.slice(size));
    const out = ready.map((whole) => whole.slice(0, size));
    return this.mix < 1 ? this.mixed(out, block) : out;
  }

  /** The last `latency` samples; the stream is then as new. */
  async flush(): Promise<Float32Array[]> {
    const rest = await this.push(Array.from({ length: this.channels }, () => new Float32Array(this.latency)));
    this.reset();
    return rest;
  }

  private mixed(clean: Float32Array[], block: Float32Array[]): Float32Array[] {
    return clean.map((sound, channel) => {
      const waiting = joined(this.waiting[channel]!, block[channel]!);
      this.waiting = this.waiting.map((old, place) => (place === channel ? waiting.slice(sound.length) : old));
      return sound.map((value, n) => this.mix * value + (1 - this.mix) * waiting[n]!);
    });
  }
}
