/** The attenuation limit, as in unhiss/infer/engine.py. */

import type { Spectra } from "./spectra";

/** Raises bins of `denoised` that are more than `attenLimitDb` below `spectrum`; the phase changes continuously. */
export function limit(spectrum: Spectra, denoised: Spectra, attenLimitDb: number): void {
  const share = 10 ** (-attenLimitDb / 20);
  const [x, y] = [spectrum.data, denoised.data];
  for (let i = 0; i < x.length; i += 2) {
    const size = Math.hypot(x[i]!, x[i + 1]!);
    const floor = share * size;
    const short = floor - Math.hypot(y[i]!, y[i + 1]!);
    if (!(short > 0)) continue;
    let real = y[i]! + (short / size) * x[i]!;
    let imag = y[i + 1]! + (short / size) * x[i + 1]!;
    let magnitude = Math.hypot(real, imag);
    if (magnitude < 1e-3 * floor) [real, imag, magnitude] = [x[i]!, x[i + 1]!, size];
    y[i] = real * (floor / magnitude);
    y[i + 1] = imag * (floor / magnitude);
  }
}
