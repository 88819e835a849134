/** The worker, as the page sees it: promises instead of messages. */

import type { Server } from "../engine/remote";
import type { FromWorker, ToWorker } from "../messages";

export type Cleaned = { channels: Float32Array[]; ms: number };
type Waiting = { done: (message: FromWorker) => void; failed: (error: Error) => void; progress?: (share: number) => void };

export class CleanerWorker {
  readonly ready: Promise<string>;
  server: Server | null = null;
  private readonly worker = new Worker(new URL("../worker.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, Waiting>();
  private last = 0;

  /** modelUrl, wasmUrl: files of this page's own folder, fetched once, before any sound is there. */
  constructor(modelUrl: string, wasmUrl: string) {
    this.ready = new Promise((done, failed) => {
      this.waiting.set(0, { done: (message) => done((message as { name: string }).name), failed });
    });
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.heard(data);
    this.worker.onerror = (event) => this.heard({ kind: "broken", message: event.message || "the worker did not start" });
    Promise.all([fetched(modelUrl), fetched(wasmUrl)]).then(
      ([model, wasm]) => this.send({ kind: "load", model: model!, wasm: wasm! }, [model!, wasm!]),
      (error: Error) => this.heard({ kind: "broken", message: error.message }),
    );
  }

  /** Sound of equally long channels -> the same, cleaned. The channels given stay the caller's. */
  clean(channels: Float32Array[], rate: number, progress: (share: number) => void, stop: AbortSignal): Promise<Cleaned> {
    const id = ++this.last;
    stop.addEventListener("abort", () => {
      this.send({ kind: "cancel", id });
      this.waiting.get(id)?.failed(new DOMException("stopped", "AbortError"));
      this.waiting.delete(id);
    });
    this.send({ kind: "clean", id, rate, channels, server: this.server });
    return this.answer(id, progress) as Promise<FromWorker & Cleaned>;
  }

  /** Opens a live stream whose blocks come and go through `port`; resolves to the model's latency in samples. */
  async live(rate: number, port: MessagePort): Promise<number> {
    const id = ++this.last;
    this.send({ kind: "live", id, rate, port, server: this.server }, [port]);
    return ((await this.answer(id)) as { late: number }).late;
  }

  private answer(id: number, progress?: (share: number) => void): Promise<FromWorker> {
    return new Promise((done, failed) => this.waiting.set(id, { done, failed, progress }));
  }

  private send(message: ToWorker, moved: Transferable[] = []): void {
    this.worker.postMessage(message, moved);
  }

  private heard(message: FromWorker): void {
    const id = "id" in message ? message.id : 0;
    const waiting = this.waiting.get(id);
    if (message.kind === "progress") return waiting?.progress?.(message.share);
    this.waiting.delete(id);
    if (message.kind === "failed" || message.kind === "broken") waiting?.failed(new Error(message.message));
    else waiting?.done(message);
  }
}

async function fetched(url: string): Promise<ArrayBuffer> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}; put the whole folder of the page online`);
  return answer.arrayBuffer();
}
