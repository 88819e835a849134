/** Limits what the model removes, as in unhiss/infer/guard.py: a guard for clean speech, an attenuation limit in dB. */

import type { Spectra } from "./spectra";

const FULL_DB = 25; // SNR up to which the model is applied in full
const CLEAN_DB = 33; // SNR from which a recording counts as clean
const MIN_SHARE = 0.1; // of the model output in clean speech
const ATTACK_S = 0.3;
const RELEASE_S = 1.5;
const DISTORTION_DB = -15; // relative to what is kept: less removed energy than this is not counted as noise
const STEP_DB = 0.9; // largest change per frame of the share of the input that is left in
const FLOOR_DB = -60; // that share, when it counts as none

type State = { kept: number; removed: number; leftDb: number };

/** out = X + w (Y - X), w = 1 in noise … MIN_SHARE in clean speech, from the model's own estimate of the SNR. */
export class Guard {
  private readonly rise: number;
  private readonly fall: number;
  private readonly states: State[];

  constructor(channels: number, hopS: number) {
    this.rise = Math.exp(-hopS / ATTACK_S);
    this.fall = Math.exp(-hopS / RELEASE_S);
    this.states = Array.from({ length: channels }, () => ({ kept: 0, removed: 0, leftDb: FLOOR_DB }));
  }

  /** Changes `denoised`. */
  blend(spectrum: Spectra, denoised: Spectra): void {
    const size = 2 * spectrum.bins;
    const [x, y] = [spectrum.data, denoised.data];
    for (let row = 0; row < spectrum.channels * spectrum.frames; row++) {
      const share = this.next(this.states[Math.floor(row / spectrum.frames)]!, x, y, row * size, size);
      if (share === 1) continue;
      for (let i = row * size; i < (row + 1) * size; i++) y[i] = x[i]! + share * (y[i]! - x[i]!);
    }
  }

  private next(state: State, x: Float32Array, y: Float32Array, at: number, size: number): number {
    let kept = 0;
    let removed = 0;
    for (let i = at; i < at + size; i++) {
      kept += y[i]! * y[i]!;
      removed += (x[i]! - y[i]!) * (x[i]! - y[i]!);
    }
    const noise = Math.max(0, removed - 10 ** (DISTORTION_DB / 10) * kept);
    state.kept = this.average(state.kept, kept);
    state.removed = this.average(state.removed, noise);
    const targetDb = leftInDb(state.kept, state.removed);
    state.leftDb += Math.max(-STEP_DB, Math.min(STEP_DB, targetDb - state.leftDb));
    return state.leftDb > FLOOR_DB ? 1 - 10 ** (state.leftDb / 20) : 1;
  }

  private average(before: number, now: number): number {
    return now + (now > before ? this.rise : this.fall) * (before - now);
  }
}

function leftInDb(kept: number, removed: number): number {
  if (kept <= 0) return FLOOR_DB;
  const snrDb = removed > 1e-12 * kept ? 10 * Math.log10(kept / removed) : CLEAN_DB;
  const x = Math.min(1, Math.max(0, (snrDb - FULL_DB) / (CLEAN_DB - FULL_DB)));
  const share = (1 - MIN_SHARE) * x * x * (3 - 2 * x);
  return share > 0 ? Math.max(FLOOR_DB, 20 * Math.log10(share)) : FLOOR_DB;
}

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
