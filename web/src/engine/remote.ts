/** A stream that runs on the server, over WS /v1/stream: the protocol of docs/serving.md, with float32 samples. */

import { concat } from "../dsp/polyphase";

/** Address of the server, and its token ("" for none). */
export type Server = { address: string; token: string };

/** A stream that denoises, here or on the server. */
export interface DenoiseStream {
  readonly latency: number; // samples
  push(block: Float32Array[]): Promise<Float32Array[]>;
  flush(): Promise<Float32Array[]>;
  close?(): void;
}

type ServerMessage = { type: string; latency?: { samples: number }; max_message_bytes?: number; message?: string };

export class RemoteStream implements DenoiseStream {
  latency = 0;
  private maxMessageBytes = 65536;
  private received: Float32Array[] = []; // interleaved, in order
  private requestedSize = 0;
  private request: { resolve: (samples: Float32Array) => void; reject: (error: Error) => void } | null = null;
  private error: Error | null = null;

  private constructor(private readonly socket: WebSocket, private readonly channels: number) {}

  /** Rejects with the error message of the server. */
  static async open({ address, token }: Server, rate: number, channels: number): Promise<RemoteStream> {
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    const stream = new RemoteStream(socket, channels);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => socket.send(JSON.stringify({ type: "start", rate, channels, format: "float32", token }));
      socket.onclose = ({ code, reason }) => {
        const line = reason || `the server closed the connection (${code}); process in this browser instead`;
        stream.fail(stream.error ?? new Error(line), reject);
      };
      socket.onmessage = ({ data }) => {
        if (typeof data !== "string") return stream.receive(new Float32Array(data as ArrayBuffer));
        const message = JSON.parse(data) as ServerMessage;
        if (message.type === "error") stream.error = new Error(message.message);
        if (message.type !== "ready") return;
        stream.latency = message.latency?.samples ?? 0;
        stream.maxMessageBytes = message.max_message_bytes ?? stream.maxMessageBytes;
        resolve();
      };
    });
    return stream;
  }

  async push(block: Float32Array[]): Promise<Float32Array[]> {
    const size = block[0]!.length;
    const samples = new Float32Array(size * this.channels);
    block.forEach((channel, c) => channel.forEach((value, n) => (samples[n * this.channels + c] = value)));
    const result = this.waitFor(samples.length);
    const step = Math.floor(this.maxMessageBytes / 4 / this.channels) * this.channels; // whole frames of float32
    for (let start = 0; start < samples.length; start += step) this.socket.send(samples.slice(start, start + step));
    return this.deinterleave(await result);
  }

  async flush(): Promise<Float32Array[]> {
    const result = this.waitFor(this.latency * this.channels);
    this.socket.send(JSON.stringify({ type: "flush" }));
    return this.deinterleave(await result);
  }

  close(): void {
    this.socket.close(1000);
  }

  private deinterleave(samples: Float32Array): Float32Array[] {
    const size = samples.length / this.channels;
    return Array.from({ length: this.channels }, (_, c) =>
      Float32Array.from({ length: size }, (_, n) => samples[n * this.channels + c]!),
    );
  }

  /** The server returns as many samples as it gets, but may cut them into other messages. */
  private waitFor(size: number): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (this.error) return reject(this.error);
      this.requestedSize = size;
      this.request = { resolve, reject };
      this.receive(new Float32Array(0));
    });
  }

  private receive(samples: Float32Array): void {
    if (samples.length) this.received.push(samples);
    const available = this.received.reduce((total, part) => total + part.length, 0);
    if (!this.request || available < this.requestedSize) return;
    const all = concat(...this.received);
    const { resolve } = this.request;
    this.request = null;
    this.received = available > this.requestedSize ? [all.slice(this.requestedSize)] : [];
    resolve(all.slice(0, this.requestedSize));
  }

  private fail(error: Error, rejectOpen: (error: Error) => void): void {
    this.error = error;
    rejectOpen(error);
    this.request?.reject(error);
    this.request = null;
  }
}
