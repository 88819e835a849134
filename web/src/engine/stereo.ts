/** Keeps the stereo image, as in unhiss/infer/stereo.py: what both channels have in common gets one mask. */

import type { Spectra } from "./spectra";

const AVERAGE_S = 0.16; // time constant of the averages for the coherence
const NEIGHBOURS = 3; // bins on either side, averaged too
const MIN_COHERENCE = 0.35; // up to which each channel has its own mask
const MAX_COHERENCE = 0.7; // from which they share one

export class StereoLinker {
  private readonly decay: number;
  private powers: Float64Array[] | null = null; // of each channel
  private cross: Float64Array[] = []; // real and imaginary part

  constructor(hopS: number) {
    this.decay = Math.exp(-hopS / AVERAGE_S);
  }

  /** Changes `denoised`, which has two channels. */
  apply(spectrum: Spectra, denoised: Spectra): void {
    const { frames, bins, data: x } = spectrum;
    const y = denoised.data;
    for (let frame = 0; frame < frames; frame++) {
      const left = frame * bins * 2;
      const right = (frames + frame) * bins * 2;
      const weights = this.sharedWeights(x, left, right, bins);
      for (let bin = 0; bin < bins; bin++) {
        const [l, r] = [left + 2 * bin, right + 2 * bin];
        const power = Math.max(1e-20, x[l]! ** 2 + x[l + 1]! ** 2 + x[r]! ** 2 + x[r + 1]! ** 2);
        // M = sum_c Y_c conj(X_c) / sum_c |X_c|^2, the one factor that is closest to both masks.
        const re = (y[l]! * x[l]! + y[l + 1]! * x[l + 1]! + y[r]! * x[r]! + y[r + 1]! * x[r + 1]!) / power;
        const im = (y[l + 1]! * x[l]! - y[l]! * x[l + 1]! + y[r + 1]! * x[r]! - y[r]! * x[r + 1]!) / power;
        for (const i of [l, r]) {
          y[i] = y[i]! + weights[bin]! * (re * x[i]! - im * x[i + 1]! - y[i]!);
          y[i + 1] = y[i + 1]! + weights[bin]! * (re * x[i + 1]! + im * x[i]! - y[i + 1]!);
        }
      }
    }
  }

  /** How much the channels share one mask in each bin, 0 to 1. */
  private sharedWeights(x: Float32Array, left: number, right: number, bins: number): Float64Array {
    const now = [left, right].map((at) => sumNeighbours(bins, (bin) => x[at + 2 * bin]! ** 2 + x[at + 2 * bin + 1]! ** 2));
    const [l, r] = [(bin: number) => left + 2 * bin, (bin: number) => right + 2 * bin];
    const crossNow = [
      sumNeighbours(bins, (bin) => x[l(bin)]! * x[r(bin)]! + x[l(bin) + 1]! * x[r(bin) + 1]!),
      sumNeighbours(bins, (bin) => x[l(bin) + 1]! * x[r(bin)]! - x[l(bin)]! * x[r(bin) + 1]!),
    ];
    if (!this.powers) {
      // At the start, nothing is known to be common.
      this.powers = now.map((values) => values.slice());
      this.cross = crossNow.map(() => new Float64Array(bins));
    }
    for (const [means, values] of [
      [this.powers, now],
      [this.cross, crossNow],
    ] as const) {
      means.forEach((mean, part) => {
        for (let bin = 0; bin < bins; bin++) {
          const value = values[part]![bin]!;
          mean[bin] = value + this.decay * (mean[bin]! - value);
        }
      });
    }
    return Float64Array.from({ length: bins }, (_, bin) => {
      const cross = this.cross[0]![bin]! ** 2 + this.cross[1]![bin]! ** 2;
      const powers = Math.max(1e-30, this.powers![0]![bin]!) * Math.max(1e-30, this.powers![1]![bin]!);
      const t = Math.min(1, Math.max(0, (cross / powers - MIN_COHERENCE) / (MAX_COHERENCE - MIN_COHERENCE)));
      return t * t * (3 - 2 * t);
    });
  }
}

/** Sums over neighbouring bins. */
function sumNeighbours(bins: number, value: (bin: number) => number): Float64Array {
  const plain = Float64Array.from({ length: bins }, (_, bin) => value(bin));
  return Float64Array.from({ length: bins }, (_, bin) => {
    let sum = 0;
    for (let near = Math.max(0, bin - NEIGHBOURS); near <= Math.min(bins - 1, bin + NEIGHBOURS); near++) sum += plain[near]!;
    return sum;
  });
}
