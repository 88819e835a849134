/** Before and after, played side by side from one clock: a change of side is a change of gains, so nothing jumps. */

const FADE_S = 0.015;

export type Side = "before" | "after";

export class Player {
  readonly duration: number;
  onend = (): void => {};
  private context: AudioContext | null = null;
  private sources: AudioBufferSourceNode[] = [];
  private gains: GainNode[] = [];
  private place = 0; // seconds, when it last stood still
  private begun = 0; // on the context's clock
  private side_: Side = "after";
  private mix_ = 1;

  constructor(private readonly before: Float32Array[], private readonly after: Float32Array[], private readonly rate: number) {
    this.duration = before[0]!.length / rate;
  }

  get playing(): boolean {
    return this.sources.length > 0;
  }

  get position(): number {
    const moved = this.playing ? this.context!.currentTime - this.begun : 0;
    return Math.min(this.duration, this.place + Math.max(0, moved));
  }

  set side(side: Side) {
    this.side_ = side;
    this.settle();
  }

  /** Share of the clean sound on the side after. */
  set mix(mix: number) {
    this.mix_ = mix;
    this.settle();
  }

  async play(): Promise<void> {
    this.context ??= new AudioContext();
    await this.context.resume();
    this.halt();
    if (this.place >= this.duration) this.place = 0;
    this.gains = [this.context.createGain(), this.context.createGain()];
    this.settle(true);
    this.begun = this.context.currentTime + 0.02; // both sources know it before it comes
    this.sources = [this.before, this.after].map((channels, way) => {
      const source = new AudioBufferSourceNode(this.context!, { buffer: this.buffer(channels) });
      source.connect(this.gains[way]!).connect(this.context!.destination);
      source.start(this.begun, this.place);
      return source;
    });
    this.sources[0]!.onended = () => {
      this.pause();
      this.onend();
    };
  }

  pause(): void {
    this.place = this.position;
    this.halt();
  }

  seek(seconds: number): void {
    const playing = this.playing;
    this.halt();
    this.place = Math.min(this.duration, Math.max(0, seconds));
    if (playing) void this.play();
  }

  async close(): Promise<void> {
    this.halt();
    await this.context?.close();
  }

  private halt(): void {
    for (const source of this.sources) {
      source.onended = null;
      source.stop();
    }
    this.sources = [];
  }

  private settle(atOnce = false): void {
    if (!this.context || !this.gains.length) return;
    const wet = this.side_ === "after" ? this.mix_ : 0;
    [1 - wet, wet].forEach((gain, way) => {
      const node = this.gains[way]!.gain;
      if (atOnce) node.value = gain;
      else node.setTargetAtTime(gain, this.context!.currentTime, FADE_S / 3);
    });
  }

  private readonly buffers = new Map<Float32Array[], AudioBuffer>();
  private buffer(channels: Float32Array[]): AudioBuffer {
    let made = this.buffers.get(channels);
    if (!made) {
      made = new AudioBuffer({ length: channels[0]!.length, numberOfChannels: channels.length, sampleRate: this.rate });
      channels.forEach((channel, number) => made!.copyToChannel(channel as Float32Array<ArrayBuffer>, number));
      this.buffers.set(channels, made);
    }
    return made;
  }
}
