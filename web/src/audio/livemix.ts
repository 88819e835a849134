/**
 * What the AudioWorklet does with every 128 samples: collects them into blocks for the worker, delays them, and mixes
 * them with the denoised signal. Independent of the browser, so that it can be tested sample by sample.
 *
 *   microphone ──┬── blocks ──► worker ──► wet, delayed by `latency` ──┐
 *                └── history, the same delay ──────────── dry ─────────┴──► output, delayed by latency + wait
 *
 * `wait` is the time that the worker may take. Where the wet signal is not there in time, the dry one is faded in
 * before the gap, so that an overload is heard as noise that returns, never as a click.
 */

export const FADE = 256; // samples, 5 ms
const QUANTUM = 128; // samples that an AudioWorklet gets at a time
const RING = 1 << 17; // samples kept of each signal: 2.7 s at 48 kHz
const MAX_UNDER_RUNS = 3; // within OVERLOAD_WINDOW_S; more are an overload
const OVERLOAD_WINDOW_S = 2;
const MAX_GAP_S = 0.5; // without denoised audio; a longer gap is an overload too
const FIRST_PAUSE_S = 2; // how long the model pauses after an overload; doubled each time, up to MAX_PAUSE_S
const MAX_PAUSE_S = 30;
const SETTLE_S = 0.3; // of audio that the model gets after a pause before its output is used
const MAX_BACKLOG = 16; // blocks under way, beyond those in `wait`; more are an overload
const MAX_WAIT_BLOCKS = 8;

export type Block = { position: number; samples: Float32Array };
export type Status = { underRuns: number; overloads: number; paused: boolean; delay: number; wet: number };

export class LiveMix {
  mix = 1; // share of the denoised signal
  sending = true; // false: only a delay, nothing is denoised
  private wait: number; // samples
  private delay: number; // of the dry signal
  private previousDelay: number; // before it changed, and the progress of the cross-fade
  private crossFade = 1;
  private wetGain = 0; // moves slowly
  private readonly dry = new Float32Array(RING);
  private readonly wet = new Float32Array(RING);
  private now = 0; // samples received
  private collected: Float32Array;
  private filled = 0;
  private wetStart = Infinity; // range of positions with usable wet samples
  private wetEnd = 0;
  private firstSent = 0; // position after a pause
  private outstanding = 0; // blocks at the worker
  private pausedUntil = -1;
  private pauses = 0;
  private underRunTimes: number[] = [];
  private wasInTime = false;
  private gapQuanta = 0; // since wet samples were last in time
  private underRuns = 0;
  private overloads = 0;

  /** blockSize: samples sent at a time; latency: of the model; waitBlocks: that the worker may take. */
  constructor(
    private readonly rate: number,
    private readonly blockSize: number,
    private readonly latency: number,
    waitBlocks = 3,
  ) {
    this.wait = waitBlocks * blockSize;
    this.delay = this.previousDelay = latency + this.wait;
    this.collected = new Float32Array(blockSize);
    this.wetStart = latency;
  }

  get status(): Status {
    const { underRuns, overloads, delay, wetGain } = this;
    return { underRuns, overloads, paused: this.pausedUntil >= 0, delay, wet: wetGain };
  }

  /** Processes one quantum. Returns a block for the worker when one is full. dry: receives the delayed input. */
  process(input: Float32Array, output: Float32Array, dry?: Float32Array): Block | null {
    const size = input.length;
    for (let n = 0; n < size; n++) this.dry[(this.now + n) % RING] = input[n]!;
    this.resume();
    const position = this.now - this.wait; // of the wet samples that are due
    const inTime = position >= this.wetStart && this.wetEnd - position >= size + FADE;
    this.detectOverload(inTime, position);
    this.mixInto(output, position, inTime ? this.mix : 0, dry);
    const block = this.sending && this.pausedUntil < 0 ? this.collect(input) : null;
    this.now += size;
    return block;
  }

  /** A denoised block from the worker. */
  receive({ position, samples }: Block): void {
    this.outstanding--;
    if (this.pausedUntil >= 0 || position < this.firstSent) return; // sent before a pause
    for (let n = 0; n < samples.length; n++) this.wet[(position + n) % RING] = samples[n]!;
    this.wetEnd = position + samples.length;
  }

  private mixInto(output: Float32Array, position: number, targetGain: number, dryOut?: Float32Array): void {
    const step = 1 / FADE;
    for (let n = 0; n < output.length; n++) {
      const time = this.now + n;
      this.crossFade = Math.min(1, this.crossFade + step);
      this.wetGain += Math.max(-step, Math.min(step, targetGain - this.wetGain));
      let dry = this.dryAt(time - this.delay);
      if (this.crossFade < 1) {
        dry = this.crossFade * dry + (1 - this.crossFade) * this.dryAt(time - this.previousDelay);
      }
      const wet = this.wetGain ? this.wet[(position + n + RING) % RING]! : 0;
      if (dryOut) dryOut[n] = dry;
      output[n] = this.wetGain * wet + (1 - this.wetGain) * dry;
    }
  }

  private dryAt(position: number): number {
    return position < 0 ? 0 : this.dry[position % RING]!;
  }

  private collect(input: Float32Array): Block | null {
    this.collected.set(input, this.filled);
    this.filled += input.length;
    if (this.filled < this.blockSize) return null;
    const block = { position: this.now + input.length - this.blockSize, samples: this.collected };
    this.collected = new Float32Array(this.blockSize);
    this.filled = 0;
    this.outstanding++;
    return block;
  }

  /** An under-run is a moment at which wet audio was playing and its next samples were not there. */
  private detectOverload(inTime: boolean, position: number): void {
    if (!this.sending || this.pausedUntil >= 0 || position < this.wetStart) return;
    if (!inTime && this.wetGain > 0 && this.wasInTime) {
      this.underRuns++;
      this.underRunTimes.push(this.now);
    }
    this.wasInTime = inTime;
    this.gapQuanta = inTime ? 0 : this.gapQuanta + 1;
    this.underRunTimes = this.underRunTimes.filter((time) => this.now - time < OVERLOAD_WINDOW_S * this.rate);
    const longGap = this.gapQuanta * QUANTUM > MAX_GAP_S * this.rate;
    const backlog = this.outstanding - this.wait / this.blockSize;
    if (this.underRunTimes.length >= MAX_UNDER_RUNS || backlog > MAX_BACKLOG || longGap) this.pause();
  }

  private pause(): void {
    this.overloads++;
    this.pausedUntil = this.now + Math.min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** this.pauses++) * this.rate;
    this.underRunTimes = [];
    this.filled = 0;
    this.gapQuanta = 0;
    this.wasInTime = false;
    this.wetStart = Infinity;
  }

  /** The end of a pause: start again, with more time for the worker. */
  private resume(): void {
    if (this.pausedUntil < 0 || this.now < this.pausedUntil || this.outstanding > 0) return;
    this.pausedUntil = -1;
    this.firstSent = this.now;
    this.wait = Math.max(this.wait, Math.min(MAX_WAIT_BLOCKS * this.blockSize, this.wait + 2 * this.blockSize));
    this.previousDelay = this.delay;
    this.delay = this.latency + this.wait;
    this.crossFade = 0;
    this.wetEnd = 0;
    this.wetStart = this.now + this.latency + Math.round(SETTLE_S * this.rate);
  }
}
