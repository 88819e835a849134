/** The Worker in which the model runs: whole recordings in blocks, live sound as it comes. */

import type { Block } from "./audio/livemix";
import { CausalModel } from "./engine/model";
import { RemoteStream, type Cleaner, type Server } from "./engine/remote";
import { Stream } from "./engine/stream";
import { BLOCK_OF_LIVE_S, type FromLive, type FromWorker, type ToLive, type ToWorker } from "./messages";

const BLOCK_S = 2; // of a recording, as Python cuts files
const LIVE_BLOCK_S = 0.032; // while live sound is cleaned too, so that it never waits long
const WARM_CALLS = 100; // until the browser has translated the model's WebAssembly a second time
const SERVER_CALLS = 6; // a server's model may be new too, but is translated

let model: Promise<CausalModel> | null = null;
let lives = 0;
const cancelled = new Set<number>();
const say = (message: FromWorker, moved: Transferable[] = []): void => self.postMessage(message, { transfer: moved });
const line = (error: unknown): string => (error instanceof Error ? error.message : String(error));

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "load") void load(data.model, data.wasm);
  else if (data.kind === "cancel") cancelled.add(data.id);
  else {
    const work = data.kind === "clean" ? clean(data) : live(data);
    work.catch((error: unknown) => say({ kind: "failed", id: data.id, message: line(error) }));
  }
};

async function load(file: ArrayBuffer, wasm: ArrayBuffer): Promise<void> {
  model = CausalModel.load(file, wasm);
  try {
    const { name } = await model;
    say({ kind: "loaded", name });
  } catch (error) {
    say({ kind: "broken", message: line(error) });
  }
}

async function open(rate: number, channels: number, server: Server | null): Promise<Cleaner> {
  if (server) return RemoteStream.open(server, rate, channels);
  if (!model) throw new Error("the model is not loaded yet");
  return new Stream(await model, rate, channels);
}

/** Lets messages in: what onnxruntime awaits comes back before any of them. */
function breath(): Promise<void> {
  return new Promise((done) => setTimeout(done));
}

async function clean({ id, rate, channels, server }: ToWorker & { kind: "clean" }): Promise<void> {
  const stream = await open(rate, channels.length, server);
  const begun = performance.now();
  const length = channels[0]!.length;
  const out = channels.map(() => new Float32Array(length));
  let skip = stream.latency;
  let at = 0;
  const keep = (blocks: Float32Array[]): void => {
    blocks.forEach((block, channel) => out[channel]!.set(block.subarray(skip), at));
    at += Math.max(0, blocks[0]!.length - skip);
    skip = Math.max(0, skip - blocks[0]!.length);
  };
  try {
    for (let from = 0; from < length && !cancelled.has(id); ) {
      const size = Math.ceil((lives ? LIVE_BLOCK_S : BLOCK_S) * rate);
      keep(await stream.push(channels.map((channel) => channel.subarray(from, from + size))));
      from += size;
      say({ kind: "progress", id, share: Math.min(1, from / length) });
      await breath();
    }
    if (!cancelled.has(id)) keep(await stream.flush());
  } finally {
    stream.close?.();
  }
  if (cancelled.delete(id)) return;
  const ms = performance.now() - begun;
  say({ kind: "cleaned", id, channels: out, ms }, out.map((channel) => channel.buffer));
}

/** The first calls of a model are slow. */
async function warmUp(stream: Cleaner, rate: number, calls: number): Promise<void> {
  const block = new Float32Array(Math.round(rate * BLOCK_OF_LIVE_S));
  for (let call = 0; call < calls; call++) await stream.push([block]);
  await stream.flush();
}

async function live({ id, rate, port, server }: ToWorker & { kind: "live" }): Promise<void> {
  const stream = await open(rate, 1, server);
  await warmUp(stream, rate, server ? SERVER_CALLS : WARM_CALLS);
  lives++;
  let last: Promise<void> = Promise.resolve();
  let failed = false;
  const end = (): void => {
    if (!failed) lives--;
    failed = true;
    stream.close?.();
  };
  const answer = (message: FromLive, moved: Transferable[] = []): void => port.postMessage(message, moved);
  const one = async ({ at, samples }: Block): Promise<void> => {
    if (failed) return;
    const begun = performance.now();
    try {
      const [cleaned] = await stream.push([samples]);
      answer({ at, samples: cleaned!, ms: performance.now() - begun }, [cleaned!.buffer]);
    } catch (error) {
      end();
      answer({ failed: line(error) });
    }
  };
  port.onmessage = ({ data }: MessageEvent<ToLive>) => {
    if (data === "end") return end();
    last = last.then(() => one(data)); // one after the other
  };
  say({ kind: "live", id, late: stream.latency });
}
