/** The Worker in which the model runs: whole recordings in blocks, live audio as it arrives. */

import type { Block } from "./audio/livemix";
import { CausalModel } from "./engine/model";
import { RemoteStream, type DenoiseStream, type Server } from "./engine/remote";
import { Stream } from "./engine/stream";
import { LIVE_BLOCK_S, type FromLive, type FromWorker, type ToLive, type ToWorker } from "./messages";

const FILE_BLOCK_S = 2; // as Python cuts files
const SHORT_BLOCK_S = 0.032; // while live audio is processed too, so that it never waits long
const WARM_UP_CALLS = 100; // until the browser has optimised the model's WebAssembly
const SERVER_WARM_UP_CALLS = 6; // a server may have to load its model

let model: Promise<CausalModel> | null = null;
let liveStreams = 0;
const cancelled = new Set<number>();
const post = (message: FromWorker, transfer: Transferable[] = []): void => self.postMessage(message, { transfer });
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "load") void load(data.model, data.wasm);
  else if (data.kind === "cancel") cancelled.add(data.id);
  else {
    const task = data.kind === "denoise" ? denoise(data) : startLive(data);
    task.catch((error: unknown) => post({ kind: "failed", id: data.id, message: messageOf(error) }));
  }
};

async function load(file: ArrayBuffer, wasm: ArrayBuffer): Promise<void> {
  model = CausalModel.load(file, wasm);
  try {
    const { name } = await model;
    post({ kind: "loaded", name });
  } catch (error) {
    post({ kind: "loadFailed", message: messageOf(error) });
  }
}

async function open(rate: number, channels: number, server: Server | null): Promise<DenoiseStream> {
  if (server) return RemoteStream.open(server, rate, channels);
  if (!model) throw new Error("the model is not loaded yet");
  return new Stream(await model, rate, channels);
}

/** Lets the event loop deliver messages; awaiting onnxruntime does not. */
function yieldToMessages(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

async function denoise({ id, rate, channels, server }: ToWorker & { kind: "denoise" }): Promise<void> {
  const stream = await open(rate, channels.length, server);
  const started = performance.now();
  const length = channels[0]!.length;
  const output = channels.map(() => new Float32Array(length));
  let skip = stream.latency;
  let written = 0;
  const append = (blocks: Float32Array[]): void => {
    blocks.forEach((block, channel) => output[channel]!.set(block.subarray(skip), written));
    written += Math.max(0, blocks[0]!.length - skip);
    skip = Math.max(0, skip - blocks[0]!.length);
  };
  try {
    for (let start = 0; start < length && !cancelled.has(id); ) {
      const size = Math.ceil((liveStreams ? SHORT_BLOCK_S : FILE_BLOCK_S) * rate);
      append(await stream.push(channels.map((channel) => channel.subarray(start, start + size))));
      start += size;
      post({ kind: "progress", id, fraction: Math.min(1, start / length) });
      await yieldToMessages();
    }
    if (!cancelled.has(id)) append(await stream.flush());
  } finally {
    stream.close?.();
  }
  if (cancelled.delete(id)) return;
  const ms = performance.now() - started;
  post({ kind: "denoised", id, channels: output, ms }, output.map((channel) => channel.buffer));
}

/** The first calls of a model are slow. */
async function warmUp(stream: DenoiseStream, rate: number, calls: number): Promise<void> {
  const block = new Float32Array(Math.round(rate * LIVE_BLOCK_S));
  for (let call = 0; call < calls; call++) await stream.push([block]);
  await stream.flush();
}

async function startLive({ id, rate, port, server }: ToWorker & { kind: "startLive" }): Promise<void> {
  const stream = await open(rate, 1, server);
  await warmUp(stream, rate, server ? SERVER_WARM_UP_CALLS : WARM_UP_CALLS);
  liveStreams++;
  let queue: Promise<void> = Promise.resolve();
  let stopped = false;
  const stop = (): void => {
    if (!stopped) liveStreams--;
    stopped = true;
    stream.close?.();
  };
  const reply = (message: FromLive, transfer: Transferable[] = []): void => port.postMessage(message, transfer);
  const process = async ({ position, samples }: Block): Promise<void> => {
    if (stopped) return;
    const started = performance.now();
    try {
      const [denoised] = await stream.push([samples]);
      reply({ position, samples: denoised!, ms: performance.now() - started }, [denoised!.buffer]);
    } catch (error) {
      stop();
      reply({ failed: messageOf(error) });
    }
  };
  port.onmessage = ({ data }: MessageEvent<ToLive>) => {
    if (data === "stop") return stop();
    queue = queue.then(() => process(data)); // one after the other
  };
  post({ kind: "liveStarted", id, latency: stream.latency });
}
