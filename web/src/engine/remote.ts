/** A stream that runs on the server, over WS /v1/stream: the protocol of docs/serving.md, float32. */

/** Where the server listens, and what it wants to be shown ("" for nothing). */
export type Server = { address: string; token: string };

/** What the worker drives, wherever the model runs. */
export interface Cleaner {
  readonly latency: number;
  push(block: Float32Array[]): Promise<Float32Array[]>;
  flush(): Promise<Float32Array[]>;
  close?(): void;
}

type Told = { type: string; latency?: { samples: number }; max_message_bytes?: number; message?: string };

export class RemoteStream implements Cleaner {
  latency = 0;
  private longest = 65536; // bytes of a message
  private arrived: Float32Array[] = []; // interleaved, in order
  private wanted = 0;
  private answer: { done: (sound: Float32Array) => void; failed: (error: Error) => void } | null = null;
  private trouble: Error | null = null;

  private constructor(private readonly socket: WebSocket, private readonly channels: number) {}

  /** Rejects with what the server said. */
  static async open({ address, token }: Server, rate: number, channels: number): Promise<RemoteStream> {
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    const stream = new RemoteStream(socket, channels);
    await new Promise<void>((done, failed) => {
      socket.onopen = () => socket.send(JSON.stringify({ type: "hello", rate, channels, format: "float32", token }));
      socket.onclose = ({ code, reason }) =>
        stream.fail(stream.trouble ?? new Error(reason || `the server hung up (${code}); work in this browser`), failed);
      socket.onmessage = ({ data }) => {
        if (typeof data !== "string") return stream.take(new Float32Array(data as ArrayBuffer));
        const told = JSON.parse(data) as Told;
        if (told.type === "error") stream.trouble = new Error(told.message);
        if (told.type !== "ready") return;
        stream.latency = told.latency?.samples ?? 0;
        stream.longest = told.max_message_bytes ?? stream.longest;
        done();
      };
    });
    return stream;
  }

  async push(block: Float32Array[]): Promise<Float32Array[]> {
    const size = block[0]!.length;
    const sound = new Float32Array(size * this.channels);
    block.forEach((channel, c) => channel.forEach((value, n) => (sound[n * this.channels + c] = value)));
    const answer = this.wait(sound.length);
    const step = Math.floor(this.longest / 4 / this.channels) * this.channels; // whole frames of float32
    for (let at = 0; at < sound.length; at += step) this.socket.send(sound.slice(at, at + step));
    return this.apart(await answer);
  }

  async flush(): Promise<Float32Array[]> {
    const answer = this.wait(this.latency * this.channels);
    this.socket.send(JSON.stringify({ type: "flush" }));
    return this.apart(await answer);
  }

  close(): void {
    this.socket.close(1000);
  }

  private apart(sound: Float32Array): Float32Array[] {
    const size = sound.length / this.channels;
    return Array.from({ length: this.channels }, (_, c) =>
      Float32Array.from({ length: size }, (_, n) => sound[n * this.channels + c]!),
    );
  }

  /** As many numbers as were sent come back; how they are cut into messages means nothing. */
  private wait(size: number): Promise<Float32Array> {
    return new Promise((done, failed) => {
      if (this.trouble) return failed(this.trouble);
      this.wanted = size;
      this.answer = { done, failed };
      this.take(new Float32Array(0));
    });
  }

  private take(sound: Float32Array): void {
    if (sound.length) this.arrived.push(sound);
    const there = this.arrived.reduce((total, part) => total + part.length, 0);
    if (!this.answer || there < this.wanted) return;
    const whole = new Float32Array(there);
    let at = 0;
    for (const part of this.arrived) {
      whole.set(part, at);
      at += part.length;
    }
    const { done } = this.answer;
    this.answer = null;
    this.arrived = there > this.wanted ? [whole.slice(this.wanted)] : [];
    done(whole.slice(0, this.wanted));
  }

  private fail(error: Error, opening: (error: Error) => void): void {
    this.trouble = error;
    opening(error);
    this.answer?.failed(error);
    this.answer = null;
  }
}
