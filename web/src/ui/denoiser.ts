/** The worker behind promises instead of messages. */

import type { Server } from "../engine/remote";
import type { FromWorker, ToWorker } from "../messages";
import { fetchBytes } from "./fetch";

export type Denoised = { channels: Float32Array[]; ms: number };
type Pending = {
  resolve: (message: FromWorker) => void;
  reject: (error: Error) => void;
  progress?: (fraction: number) => void;
};

export class DenoiserWorker {
  readonly ready: Promise<string>;
  server: Server | null = null;
  private readonly worker = new Worker(new URL("../worker.ts", import.meta.url), { type: "module" });
  private readonly pending = new Map<number, Pending>();
  private lastId = 0;

  /** modelUrl, wasmUrl: files in the folder of this page, fetched once, before any audio. */
  constructor(modelUrl: string, wasmUrl: string) {
    this.ready = new Promise((resolve, reject) => {
      this.pending.set(0, { resolve: (message) => resolve((message as { name: string }).name), reject });
    });
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.receive(data);
    this.worker.onerror = (event) => this.receive({ kind: "loadFailed", message: event.message || "the worker did not start" });
    Promise.all([fetchBytes(modelUrl), fetchBytes(wasmUrl)]).then(
      ([model, wasm]) => this.send({ kind: "load", model: model!, wasm: wasm! }, [model!, wasm!]),
      (error: Error) => this.receive({ kind: "loadFailed", message: error.message }),
    );
  }

  /** Denoises channels of one length, which are not changed. */
  denoise(channels: Float32Array[], rate: number, progress: (fraction: number) => void, signal: AbortSignal): Promise<Denoised> {
    const id = ++this.lastId;
    signal.addEventListener("abort", () => {
      this.send({ kind: "cancel", id });
      this.pending.get(id)?.reject(new DOMException("stopped", "AbortError"));
      this.pending.delete(id);
    });
    this.send({ kind: "denoise", id, rate, channels, server: this.server });
    return this.reply(id, progress) as Promise<FromWorker & Denoised>;
  }

  /** Starts a live stream that receives and returns blocks through `port`; resolves to its latency in samples. */
  async startLive(rate: number, port: MessagePort): Promise<number> {
    const id = ++this.lastId;
    this.send({ kind: "startLive", id, rate, port, server: this.server }, [port]);
    return ((await this.reply(id)) as { latency: number }).latency;
  }

  private reply(id: number, progress?: (fraction: number) => void): Promise<FromWorker> {
    return new Promise((resolve, reject) => this.pending.set(id, { resolve, reject, progress }));
  }

  private send(message: ToWorker, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }

  private receive(message: FromWorker): void {
    const id = "id" in message ? message.id : 0;
    const pending = this.pending.get(id);
    if (message.kind === "progress") return pending?.progress?.(message.fraction);
    this.pending.delete(id);
    if (message.kind === "failed" || message.kind === "loadFailed") pending?.reject(new Error(message.message));
    else pending?.resolve(message);
  }
}
