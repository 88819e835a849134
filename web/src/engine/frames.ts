/**
 * Sound at one of the model's own rates into spectra and back, as unhiss/infer/engine.py has it: frames of 32 ms
 * every 16 ms under a sqrt-Hann window, image, guard and limit, overlap-add.
 */

import { joined } from "../dsp/polyphase";
import { RealFft } from "../dsp/fft";
import { Guard, limit } from "./guard";
import type { Spectra } from "./spectra";
import { Image } from "./stereo";

const RATES = [8000, 12000, 16000, 24000, 32000, 48000, 96000];
const UNIT = 512; // samples: spectra are scaled as if every window had so many, so a rate changes no level

/** The rate to work at: the next of RATES above, or the last. */
export function nearestRate(rate: number): number {
  return RATES.find((own) => own >= rate) ?? RATES[RATES.length - 1]!;
}

export class Frames {
  readonly hop: number;
  private readonly fft: RealFft;
  private readonly before: Float32Array; // windows, with the scale of the spectra
  private readonly after: Float32Array;
  private readonly image: Image | null;
  private readonly guard: Guard | null;
  private tail: Float32Array[]; // input of which frames are still to come
  private carry: Float32Array[]; // second half of the last frame
  private begun = false;

  constructor(windowS: number, rate: number, channels: number, private readonly limitDb: number, guard: boolean) {
    const size = Math.round(windowS * rate);
    this.hop = size / 2;
    this.fft = new RealFft(size);
    const root = Float32Array.from({ length: size }, (_, n) => Math.sqrt(0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size)));
    this.before = root.map((value) => value * (UNIT / size));
    this.after = root.map((value) => value * (size / UNIT));
    this.image = channels === 2 ? new Image(windowS / 2) : null;
    this.guard = guard ? new Guard(channels, windowS / 2) : null;
    this.tail = Array.from({ length: channels }, () => new Float32Array(this.hop));
    this.carry = Array.from({ length: channels }, () => new Float32Array(this.hop));
  }

  /** The spectra of the frames that `sound` completes; maybe none. */
  analyse(sound: Float32Array[]): Spectra {
    const held = this.tail.map((before, channel) => joined(before, sound[channel]!));
    const frames = Math.floor(held[0]!.length / this.hop) - 1;
    const bins = this.hop + 1;
    this.tail = held.map((whole) => whole.slice(frames * this.hop));
    const data = new Float32Array(held.length * frames * bins * 2);
    const frame = new Float32Array(2 * this.hop);
    held.forEach((whole, channel) => {
      for (let t = 0; t < frames; t++) {
        for (let n = 0; n < frame.length; n++) frame[n] = whole[t * this.hop + n]! * this.before[n]!;
        this.fft.forward(frame, data, (channel * frames + t) * bins * 2);
      }
    });
    return { channels: held.length, frames, bins, data };
  }

  /** The sound that cleaned frames complete. `cleaned` is changed. */
  synthesise(spectrum: Spectra, cleaned: Spectra): Float32Array[] {
    const { frames, bins } = spectrum;
    if (!frames) return this.carry.map(() => new Float32Array(0));
    this.image?.keep(spectrum, cleaned);
    this.guard?.blend(spectrum, cleaned);
    if (Number.isFinite(this.limitDb)) limit(spectrum, cleaned, this.limitDb);
    const frame = new Float32Array(2 * this.hop);
    const out = this.carry.map((carried, channel) => {
      const sound = new Float32Array(frames * this.hop);
      let carry = carried;
      for (let t = 0; t < frames; t++) {
        this.fft.inverse(cleaned.data, frame, (channel * frames + t) * bins * 2);
        for (let n = 0; n < frame.length; n++) frame[n] = frame[n]! * this.after[n]!;
        for (let n = 0; n < this.hop; n++) sound[t * this.hop + n] = frame[n]! + carry[n]!;
        carry = frame.slice(this.hop);
      }
      this.carry[channel] = carry;
      return sound;
    });
    const first = this.begun ? 0 : this.hop; // the first frame's first half lies before the input
    this.begun = true;
    return out.map((sound) => sound.subarray(first));
  }
}
