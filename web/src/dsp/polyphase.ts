/** The resampler for live audio, as in unhiss/dsp/polyphase.py: a windowed sinc, aligned, of a known short reach. */

const ZEROS = 80; // zero crossings of the kernel on each side
const BETA = 10.06; // Kaiser window with 100 dB of stopband
const CUTOFF = 0.96; // middle of the transition band, relative to the lower Nyquist frequency

function gcd(a: number, b: number): number {
  return b ? gcd(b, a % b) : a;
}

/** The modified Bessel function of the first kind and order 0, by its power series. */
export function bessel0(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

export class Polyphase {
  readonly up: number;
  readonly down: number;
  readonly reach: number;
  private readonly rows = new Map<number, Float32Array>(); // weights by phase, computed when first needed
  private buffer: Float32Array[];
  private start: number; // position of the first sample in the buffer
  private done = 0; // outputs returned

  constructor(fromRate: number, toRate: number, channels: number) {
    const shared = gcd(fromRate, toRate);
    this.up = toRate / shared;
    this.down = fromRate / shared;
    this.reach = this.up === this.down ? 0 : Math.ceil(ZEROS * Math.max(1, fromRate / toRate));
    const before = Math.max(0, this.reach - 1);
    this.buffer = Array.from({ length: channels }, () => new Float32Array(before));
    this.start = -before;
  }

  /** All outputs whose inputs are available; maybe none. */
  push(block: Float32Array[]): Float32Array[] {
    if (!this.reach) return block;
    const buffer = this.buffer.map((before, channel) => concat(before, block[channel]!));
    const usable = this.start + buffer[0]!.length - this.reach;
    const end = Math.max(this.done, Math.ceil((usable * this.up) / this.down));
    const out = buffer.map((sound) => this.compute(sound, this.done, end));
    const keep = Math.floor((end * this.down) / this.up) - this.reach + 1 - this.start;
    this.buffer = buffer.map((sound) => sound.slice(keep));
    this.start += keep;
    this.done = end;
    return out;
  }

  /** Outputs from `first` to before `last`; each is a weighted sum of `reach` samples before and after its position. */
  private compute(buffer: Float32Array, first: number, last: number): Float32Array {
    const out = new Float32Array(last - first);
    const taps = 2 * this.reach;
    for (let m = first; m < last; m++) {
      const position = Math.floor((m * this.down) / this.up);
      const weights = this.weights(m * this.down - position * this.up);
      const from = position - this.reach + 1 - this.start;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += weights[tap]! * buffer[from + tap]!;
      out[m - first] = sum;
    }
    return out;
  }

  /** The kernel for outputs that lie phase / up after an input sample; its sum is 1, so a constant stays constant. */
  private weights(phase: number): Float32Array {
    let row = this.rows.get(phase);
    if (row) return row;
    const exact = Float64Array.from({ length: 2 * this.reach }, (_, tap) => {
      const crossings = (tap - (this.reach - 1) - phase / this.up) * Math.min(1, this.up / this.down);
      if (Math.abs(crossings) >= ZEROS) return 0;
      return sinc(CUTOFF * crossings) * bessel0(BETA * Math.sqrt(1 - (crossings / ZEROS) ** 2));
    });
    const sum = exact.reduce((total, weight) => total + weight, 0);
    row = Float32Array.from(exact, (weight) => weight / sum);
    this.rows.set(phase, row);
    return row;
  }
}

export function concat(...parts: Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((total, part) => total + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
