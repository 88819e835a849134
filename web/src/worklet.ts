/** The AudioWorklet: microphone in, LiveMix, loudspeaker out; levels and load for the page, and a recording. */

import { LiveMix } from "./audio/livemix";
import type { FromLive, FromWorklet, LiveOptions, ToWorklet } from "./messages";

declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, kind: unknown): void;

const STATUS_INTERVAL_S = 0.05;
const RECORDING_CHUNK_S = 0.5;
const QUANTUM = 128; // samples per call of `process`

type Chunk = { before: Float32Array; after: Float32Array; filled: number };

class LiveProcessor extends AudioWorkletProcessor {
  private readonly live: LiveMix;
  private readonly blockSize: number;
  private readonly sending: boolean;
  private worker: MessagePort | null = null;
  private input = 0; // peaks since the last status
  private output = 0;
  private load = 0;
  private sinceStatus = 0; // samples
  private chunk: Chunk | null = null;
  private running = true;
  private readonly dry = new Float32Array(QUANTUM); // the input, delayed as the output is

  constructor({ processorOptions }: { processorOptions: LiveOptions }) {
    super();
    const { blockSize, latency, waitBlocks, sending } = processorOptions;
    this.blockSize = blockSize;
    this.live = new LiveMix(sampleRate, blockSize, latency, waitBlocks);
    this.live.sending = false; // until the worker is connected
    this.sending = sending;
    this.port.onmessage = ({ data }: MessageEvent<ToWorklet>) => this.onMessage(data);
  }

  private onMessage(message: ToWorklet): void {
    if (message.kind === "mix") this.live.mix = message.mix;
    else if (message.kind === "stop") {
      this.postChunk();
      this.worker?.postMessage("stop");
      this.running = false;
    } else if (message.kind === "record") {
      if (!message.on) this.postChunk();
      this.chunk = message.on ? newChunk() : null;
    } else {
      this.worker = message.port;
      this.live.sending = this.sending;
      this.worker.onmessage = ({ data }: MessageEvent<FromLive>) => {
        if ("failed" in data) return this.post({ kind: "failed", message: data.failed });
        this.live.receive(data);
        this.load += 0.1 * (data.ms / ((this.blockSize / sampleRate) * 1000) - this.load);
      };
    }
  }

  process([input]: Float32Array[][], [output]: Float32Array[][]): boolean {
    const out = output![0]!;
    const samples = input![0] ?? new Float32Array(out.length); // no microphone yet
    const block = this.live.process(samples, out, this.dry);
    if (block) this.worker?.postMessage(block, [block.samples.buffer]);
    for (const channel of output!.slice(1)) channel.set(out);
    this.input = Math.max(this.input, peak(samples));
    this.output = Math.max(this.output, peak(out));
    if (this.chunk) this.record(this.chunk, out);
    this.sinceStatus += out.length;
    if (this.sinceStatus >= STATUS_INTERVAL_S * sampleRate) this.postStatus();
    return this.running;
  }

  private record(chunk: Chunk, out: Float32Array): void {
    chunk.before.set(this.dry, chunk.filled);
    chunk.after.set(out, chunk.filled);
    chunk.filled += out.length;
    if (chunk.filled === chunk.before.length) {
      this.postChunk();
      this.chunk = newChunk();
    }
  }

  private postChunk(): void {
    if (!this.chunk) return;
    const { before, after, filled } = this.chunk;
    this.post({ kind: "recorded", before: before.slice(0, filled), after: after.slice(0, filled) });
    this.chunk = null;
  }

  private postStatus(): void {
    const { underRuns, overloads, paused, delay } = this.live.status;
    const levels = { input: this.input, output: this.output, load: this.load };
    this.post({ kind: "status", ...levels, underRuns, overloads, paused, delay });
    this.input = this.output = this.sinceStatus = 0;
  }

  private post(message: FromWorklet): void {
    this.port.postMessage(message);
  }
}

function newChunk(): Chunk {
  const size = Math.ceil((RECORDING_CHUNK_S * sampleRate) / QUANTUM) * QUANTUM;
  return { before: new Float32Array(size), after: new Float32Array(size), filled: 0 };
}

function peak(samples: Float32Array): number {
  let most = 0;
  for (const value of samples) most = Math.max(most, Math.abs(value));
  return most;
}

registerProcessor("unhiss-live", LiveProcessor);
