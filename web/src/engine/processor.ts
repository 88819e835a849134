/**
 * Audio at one of the model's rates to spectra and back, as in unhiss/infer: frames of 32 ms every 16 ms with a
 * sqrt-Hann window; stereo linking and limit; overlap-add.
 */

import { concat } from "../dsp/polyphase";
import { RealFft } from "../dsp/fft";
import { limit } from "./limit";
import type { Spectra } from "./spectra";
import { StereoLinker } from "./stereo";

const RATES = [8000, 12000, 16000, 24000, 32000, 48000, 96000];
const REFERENCE_SIZE = 512; // samples; spectra are scaled to a window of this size, so levels do not depend on the rate

/** The rate for processing: the lowest of RATES that is not below `rate`, or the last. */
export function nearestRate(rate: number): number {
  return RATES.find((candidate) => candidate >= rate) ?? RATES[RATES.length - 1]!;
}

export class SpectralProcessor {
  readonly hop: number;
  private readonly fft: RealFft;
  private readonly analysisWindow: Float32Array; // with the scale of the spectra
  private readonly synthesisWindow: Float32Array;
  private readonly stereo: StereoLinker | null;
  private tail: Float32Array[]; // input for the next frames
  private overlap: Float32Array[]; // second half of the last frame
  private started = false;

  constructor(windowS: number, rate: number, channels: number, private readonly attenLimitDb: number) {
    const size = Math.round(windowS * rate);
    this.hop = size / 2;
    this.fft = new RealFft(size);
    const root = Float32Array.from({ length: size }, (_, n) => Math.sqrt(0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size)));
    this.analysisWindow = root.map((value) => value * (REFERENCE_SIZE / size));
    this.synthesisWindow = root.map((value) => value * (size / REFERENCE_SIZE));
    this.stereo = channels === 2 ? new StereoLinker(windowS / 2) : null;
    this.tail = Array.from({ length: channels }, () => new Float32Array(this.hop));
    this.overlap = Array.from({ length: channels }, () => new Float32Array(this.hop));
  }

  /** The spectra of the frames that `audio` completes; maybe none. */
  analyse(audio: Float32Array[]): Spectra {
    const buffer = this.tail.map((previous, channel) => concat(previous, audio[channel]!));
    const frames = Math.floor(buffer[0]!.length / this.hop) - 1;
    const bins = this.hop + 1;
    this.tail = buffer.map((samples) => samples.slice(frames * this.hop));
    const data = new Float32Array(buffer.length * frames * bins * 2);
    const frame = new Float32Array(2 * this.hop);
    buffer.forEach((samples, channel) => {
      for (let t = 0; t < frames; t++) {
        for (let n = 0; n < frame.length; n++) frame[n] = samples[t * this.hop + n]! * this.analysisWindow[n]!;
        this.fft.forward(frame, data, (channel * frames + t) * bins * 2);
      }
    });
    return { channels: buffer.length, frames, bins, data };
  }

  /** The audio that denoised frames complete. `denoised` is changed. */
  synthesise(spectrum: Spectra, denoised: Spectra): Float32Array[] {
    const { frames, bins } = spectrum;
    if (!frames) return this.overlap.map(() => new Float32Array(0));
    this.stereo?.apply(spectrum, denoised);
    if (Number.isFinite(this.attenLimitDb)) limit(spectrum, denoised, this.attenLimitDb);
    const frame = new Float32Array(2 * this.hop);
    const out = this.overlap.map((previous, channel) => {
      const sound = new Float32Array(frames * this.hop);
      let overlap = previous;
      for (let t = 0; t < frames; t++) {
        this.fft.inverse(denoised.data, frame, (channel * frames + t) * bins * 2);
        for (let n = 0; n < frame.length; n++) frame[n] = frame[n]! * this.synthesisWindow[n]!;
        for (let n = 0; n < this.hop; n++) sound[t * this.hop + n] = frame[n]! + overlap[n]!;
        overlap = frame.slice(this.hop);
      }
      this.overlap[channel] = overlap;
      return sound;
    });
    const first = this.started ? 0 : this.hop; // the first half of the first frame is before the input
    this.started = true;
    return out.map((sound) => sound.subarray(first));
  }
}
