/**
 * What the AudioWorklet does with every 128 samples: gives them on in blocks, keeps them for the way past the
 * model, and joins both ways again. Nothing here knows of a browser, so that it can be tested sample by sample.
 *
 *   microphone ──┬── blocks ──► worker ──► wet, `late` samples late ──┐
 *                └── history, the same delay ──────────────── dry ────┴──► out, late + wait after it came in
 *
 * `wait` is how long the worker may take. Where wet sound is not there in time the dry one is faded in before the
 * gap, so that even an overload is heard as noise that comes back, never as a click.
 */

export const FADE = 256; // samples, 5 ms
const QUANTUM = 128; // samples that an AudioWorklet gets at once
const RING = 1 << 17; // samples kept of each way: 2.7 s at 48 kHz
const STRIKES = 3; // under-runs within PATIENCE_S that count as an overload
const PATIENCE_S = 2;
const MISSING_S = 0.5; // without cleaned sound, which counts as one too
const REST_S = 2; // how long the model rests at first; doubled each time, up to MOST_REST_S
const MOST_REST_S = 30;
const SETTLE_S = 0.3; // the model hears so much after a rest before it is heard
const BACKLOG = 16; // blocks on their way, beyond those that are waited for, that count as an overload
const MOST_WAIT = 8; // blocks

export type Block = { at: number; samples: Float32Array };
export type Facts = { underRuns: number; overloads: number; resting: boolean; delay: number; wet: number };

export class LiveMix {
  mix = 1; // share of the cleaned sound
  sending = true; // off: only a delay, nothing is cleaned
  private wait: number;
  private delay: number; // of the dry way
  private oldDelay: number; // where that was before it changed, and how far the change has come
  private turn = 1;
  private share = 0; // of wet in what goes out, moved slowly
  private readonly dry = new Float32Array(RING);
  private readonly wet = new Float32Array(RING);
  private now = 0; // samples that came in
  private collected: Float32Array;
  private filled = 0;
  private wetFrom = Infinity; // places of cleaned sound that may be heard
  private wetUpTo = 0;
  private firstSent = 0; // after a rest
  private outstanding = 0;
  private restUntil = -1;
  private rests = 0;
  private strikes: number[] = []; // when there were under-runs
  private lastInTime = false;
  private missing = 0; // quanta since cleaned sound was last there
  private readonly facts_ = { underRuns: 0, overloads: 0 };

  /** block: samples sent at once; late: of the model; wait: blocks that the way there and back may take. */
  constructor(private readonly rate: number, private readonly block: number, private readonly late: number, wait = 3) {
    this.wait = wait * block;
    this.delay = this.oldDelay = late + this.wait;
    this.collected = new Float32Array(block);
    this.wetFrom = late;
  }

  get facts(): Facts {
    return { ...this.facts_, resting: this.restUntil >= 0, delay: this.delay, wet: this.share };
  }

  /** One quantum in, one out; gives what is to be sent to the worker, if a block is full. past: gets the dry way. */
  process(input: Float32Array, output: Float32Array, past?: Float32Array): Block | null {
    const size = input.length;
    for (let n = 0; n < size; n++) this.dry[(this.now + n) % RING] = input[n]!;
    this.wake();
    const place = this.now - this.wait; // the wet sample that is due
    const inTime = place >= this.wetFrom && this.wetUpTo - place >= size + FADE;
    this.judge(inTime, place);
    this.join(output, place, inTime ? this.mix : 0, past);
    const full = this.sending && this.restUntil < 0 ? this.collect(input) : null;
    this.now += size;
    return full;
  }

  /** A cleaned block came back. */
  arrived({ at, samples }: Block): void {
    this.outstanding--;
    if (this.restUntil >= 0 || at < this.firstSent) return; // of before a rest
    for (let n = 0; n < samples.length; n++) this.wet[(at + n) % RING] = samples[n]!;
    this.wetUpTo = at + samples.length;
  }

  private join(output: Float32Array, place: number, aim: number, past?: Float32Array): void {
    const step = 1 / FADE;
    for (let n = 0; n < output.length; n++) {
      const when = this.now + n;
      this.turn = Math.min(1, this.turn + step);
      this.share += Math.max(-step, Math.min(step, aim - this.share));
      let dry = this.past(when - this.delay);
      if (this.turn < 1) dry = this.turn * dry + (1 - this.turn) * this.past(when - this.oldDelay);
      const wet = this.share ? this.wet[(place + n + RING) % RING]! : 0;
      if (past) past[n] = dry;
      output[n] = this.share * wet + (1 - this.share) * dry;
    }
  }

  private past(place: number): number {
    return place < 0 ? 0 : this.dry[place % RING]!;
  }

  private collect(input: Float32Array): Block | null {
    this.collected.set(input, this.filled);
    this.filled += input.length;
    if (this.filled < this.block) return null;
    const full = { at: this.now + input.length - this.block, samples: this.collected };
    this.collected = new Float32Array(this.block);
    this.filled = 0;
    this.outstanding++;
    return full;
  }

  /** An under-run is a moment at which cleaned sound was playing and the next was not there. */
  private judge(inTime: boolean, place: number): void {
    if (!this.sending || this.restUntil >= 0 || place < this.wetFrom) return;
    if (!inTime && this.share > 0 && this.lastInTime) {
      this.facts_.underRuns++;
      this.strikes.push(this.now);
    }
    this.lastInTime = inTime;
    this.missing = inTime ? 0 : this.missing + 1;
    this.strikes = this.strikes.filter((when) => this.now - when < PATIENCE_S * this.rate);
    const missing = this.missing * QUANTUM > MISSING_S * this.rate;
    if (this.strikes.length >= STRIKES || this.outstanding > BACKLOG + this.wait / this.block || missing) this.rest();
  }

  private rest(): void {
    this.facts_.overloads++;
    this.restUntil = this.now + Math.min(MOST_REST_S, REST_S * 2 ** this.rests++) * this.rate;
    this.strikes = [];
    this.filled = 0;
    this.missing = 0;
    this.lastInTime = false;
    this.wetFrom = Infinity;
  }

  /** The end of a rest: begin anew, with more time for the worker. */
  private wake(): void {
    if (this.restUntil < 0 || this.now < this.restUntil || this.outstanding > 0) return;
    this.restUntil = -1;
    this.firstSent = this.now;
    this.wait = Math.max(this.wait, Math.min(MOST_WAIT * this.block, this.wait + 2 * this.block));
    this.oldDelay = this.delay;
    this.delay = this.late + this.wait;
    this.turn = 0;
    this.wetUpTo = 0;
    this.wetFrom = this.now + this.late + Math.round(SETTLE_S * this.rate);
  }
}
