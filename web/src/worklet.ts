/** The AudioWorklet: microphone in, LiveMix, loudspeaker out; levels and load for the page, a recording if wanted. */

import { LiveMix } from "./audio/livemix";
import type { FromLive, FromWorklet, LiveOptions, ToWorklet } from "./messages";

declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, kind: unknown): void;

const TELL_S = 0.05;
const PIECE_S = 0.5;

class Live extends AudioWorkletProcessor {
  private readonly live: LiveMix;
  private readonly block: number;
  private worker: MessagePort | null = null;
  private input = 0;
  private output = 0;
  private load = 0;
  private since = 0;
  private recording: { before: Float32Array; after: Float32Array; filled: number } | null = null;
  private going = true;
  private readonly sending: boolean;
  private readonly past = new Float32Array(128); // what came in, as late as what goes out

  constructor({ processorOptions }: { processorOptions: LiveOptions }) {
    super();
    this.block = processorOptions.block;
    this.live = new LiveMix(sampleRate, this.block, processorOptions.late, processorOptions.wait);
    this.live.sending = false; // until there is a worker to send to
    this.sending = processorOptions.sending;
    this.port.onmessage = ({ data }: MessageEvent<ToWorklet>) => this.told(data);
  }

  private told(message: ToWorklet): void {
    if (message.kind === "mix") this.live.mix = message.mix;
    else if (message.kind === "stop") {
      this.hand();
      this.worker?.postMessage("end");
      this.going = false;
    } else if (message.kind === "record") {
      if (!message.on) this.hand();
      this.recording = message.on ? this.empty() : null;
    } else {
      this.worker = message.port;
      this.live.sending = this.sending;
      this.worker.onmessage = ({ data }: MessageEvent<FromLive>) => {
        if ("failed" in data) return this.say({ kind: "failed", message: data.failed });
        this.live.arrived(data);
        this.load += 0.1 * (data.ms / ((this.block / sampleRate) * 1000) - this.load);
      };
    }
  }

  process([input]: Float32Array[][], [output]: Float32Array[][]): boolean {
    const out = output![0]!;
    const sound = input![0] ?? new Float32Array(out.length); // no microphone yet
    const block = this.live.process(sound, out, this.past);
    if (block) this.worker?.postMessage(block, [block.samples.buffer]);
    for (const channel of output!.slice(1)) channel.set(out);
    this.input = Math.max(this.input, peak(sound));
    this.output = Math.max(this.output, peak(out));
    if (this.recording) this.keep(this.past, out);
    this.since += out.length;
    if (this.since >= TELL_S * sampleRate) this.tell();
    return this.going;
  }

  private empty(): { before: Float32Array; after: Float32Array; filled: number } {
    const size = Math.ceil((PIECE_S * sampleRate) / 128) * 128;
    return { before: new Float32Array(size), after: new Float32Array(size), filled: 0 };
  }

  private keep(sound: Float32Array, out: Float32Array): void {
    const piece = this.recording!;
    piece.before.set(sound, piece.filled);
    piece.after.set(out, piece.filled);
    piece.filled += out.length;
    if (piece.filled === piece.before.length) {
      this.hand();
      this.recording = this.empty();
    }
  }

  private hand(): void {
    const piece = this.recording;
    if (!piece) return;
    this.say({
      kind: "recorded",
      before: piece.before.slice(0, piece.filled),
      after: piece.after.slice(0, piece.filled),
    });
    this.recording = null;
  }

  private tell(): void {
    const { underRuns, overloads, resting, delay } = this.live.facts;
    const levels = { input: this.input, output: this.output, load: this.load };
    this.say({ kind: "facts", ...levels, underRuns, overloads, resting, delay });
    this.input = this.output = this.since = 0;
  }

  private say(message: FromWorklet): void {
    this.port.postMessage(message);
  }
}

function peak(sound: Float32Array): number {
  let most = 0;
  for (const value of sound) most = Math.max(most, Math.abs(value));
  return most;
}

registerProcessor("unhiss-live", Live);
