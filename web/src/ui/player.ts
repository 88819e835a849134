/** Plays before and after in parallel on one clock: a change of side is a change of gains, without a gap. */

const FADE_S = 0.015;

export type Side = "before" | "after";

export class Player {
  readonly duration: number;
  onend = (): void => {};
  private context: AudioContext | null = null;
  private sources: AudioBufferSourceNode[] = [];
  private gains: GainNode[] = [];
  private pausedAt = 0; // seconds
  private started = 0; // on the context's clock
  private side_: Side = "after";
  private mix_ = 1;

  constructor(private readonly before: Float32Array[], private readonly after: Float32Array[], private readonly rate: number) {
    this.duration = before[0]!.length / rate;
  }

  get playing(): boolean {
    return this.sources.length > 0;
  }

  get position(): number {
    const elapsed = this.playing ? this.context!.currentTime - this.started : 0;
    return Math.min(this.duration, this.pausedAt + Math.max(0, elapsed));
  }

  set side(side: Side) {
    this.side_ = side;
    this.applyGains();
  }

  /** Share of the denoised signal on the side after. */
  set mix(mix: number) {
    this.mix_ = mix;
    this.applyGains();
  }

  async play(): Promise<void> {
    this.context ??= new AudioContext();
    await this.context.resume();
    this.stopSources();
    if (this.pausedAt >= this.duration) this.pausedAt = 0;
    this.gains = [this.context.createGain(), this.context.createGain()];
    this.applyGains(true);
    this.started = this.context.currentTime + 0.02; // in the future, so that both start together
    this.sources = [this.before, this.after].map((channels, index) => {
      const source = new AudioBufferSourceNode(this.context!, { buffer: this.buffer(channels) });
      source.connect(this.gains[index]!).connect(this.context!.destination);
      source.start(this.started, this.pausedAt);
      return source;
    });
    this.sources[0]!.onended = () => {
      this.pause();
      this.onend();
    };
  }

  pause(): void {
    this.pausedAt = this.position;
    this.stopSources();
  }

  seek(seconds: number): void {
    const playing = this.playing;
    this.stopSources();
    this.pausedAt = Math.min(this.duration, Math.max(0, seconds));
    if (playing) void this.play();
  }

  async close(): Promise<void> {
    this.stopSources();
    await this.context?.close();
  }

  private stopSources(): void {
    for (const source of this.sources) {
      source.onended = null;
      source.stop();
    }
    this.sources = [];
  }

  private applyGains(immediately = false): void {
    if (!this.context || !this.gains.length) return;
    const wet = this.side_ === "after" ? this.mix_ : 0;
    [1 - wet, wet].forEach((gain, index) => {
      const node = this.gains[index]!.gain;
      if (immediately) node.value = gain;
      else node.setTargetAtTime(gain, this.context!.currentTime, FADE_S / 3);
    });
  }

  private readonly buffers = new Map<Float32Array[], AudioBuffer>();
  private buffer(channels: Float32Array[]): AudioBuffer {
    let buffer = this.buffers.get(channels);
    if (!buffer) {
      buffer = new AudioBuffer({ length: channels[0]!.length, numberOfChannels: channels.length, sampleRate: this.rate });
      channels.forEach((channel, index) => buffer!.copyToChannel(channel as Float32Array<ArrayBuffer>, index));
      this.buffers.set(channels, buffer);
    }
    return buffer;
  }
}
