/** What keeps a model from taking too much, as unhiss/infer/guard.py has it: a guard over clean speech, a limit in dB. */

import type { Spectra } from "./spectra";

const FULL_DB = 25; // SNR up to which the model has its way
const CLEAN_DB = 33; // SNR from which a recording counts as clean
const LEAST = 0.1; // share of the model in clean speech
const ATTACK_S = 0.3;
const RELEASE_S = 1.5;
const DISTORTION_DB = -15; // of what is kept, so much that is removed does not count as noise
const STEP_DB = 0.9; // the share of the input that is left in moves by so much a frame at most
const NOTHING_DB = -60; // that share, when it is taken for none

type State = { kept: number; removed: number; leftDb: number };

/** out = X + w (Y - X), w = 1 in noise … LEAST in clean speech, from the model's own estimate of the SNR. */
export class Guard {
  private readonly rise: number;
  private readonly fall: number;
  private readonly states: State[];

  constructor(channels: number, hopS: number) {
    this.rise = Math.exp(-hopS / ATTACK_S);
    this.fall = Math.exp(-hopS / RELEASE_S);
    this.states = Array.from({ length: channels }, () => ({ kept: 0, removed: 0, leftDb: NOTHING_DB }));
  }

  /** Changes `cleaned`. */
  blend(spectrum: Spectra, cleaned: Spectra): void {
    const size = 2 * spectrum.bins;
    const [x, y] = [spectrum.data, cleaned.data];
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
    state.kept = this.averaged(state.kept, kept);
    state.removed = this.averaged(state.removed, noise);
    const wanted = leftInDb(state.kept, state.removed);
    state.leftDb += Math.max(-STEP_DB, Math.min(STEP_DB, wanted - state.leftDb));
    return state.leftDb > NOTHING_DB ? 1 - 10 ** (state.leftDb / 20) : 1;
  }

  private averaged(before: number, now: number): number {
    return now + (now > before ? this.rise : this.fall) * (before - now);
  }
}

function leftInDb(kept: number, removed: number): number {
  if (kept <= 0) return NOTHING_DB;
  const snrDb = removed > 1e-12 * kept ? 10 * Math.log10(kept / removed) : CLEAN_DB;
  const place = Math.min(1, Math.max(0, (snrDb - FULL_DB) / (CLEAN_DB - FULL_DB)));
  const share = (1 - LEAST) * place * place * (3 - 2 * place);
  return share > 0 ? Math.max(NOTHING_DB, 20 * Math.log10(share)) : NOTHING_DB;
}

/** No bin of `cleaned`, which is changed, more than `limitDb` below `spectrum`; the phase turns without a step. */
export function limit(spectrum: Spectra, cleaned: Spectra, limitDb: number): void {
  const share = 10 ** (-limitDb / 20);
  const [x, y] = [spectrum.data, cleaned.data];
  for (let i = 0; i < x.length; i += 2) {
    const size = Math.hypot(x[i]!, x[i + 1]!);
    const floor = share * size;
    const short = floor - Math.hypot(y[i]!, y[i + 1]!);
    if (!(short > 0)) continue;
    let real = y[i]! + (short / size) * x[i]!;
    let imag = y[i + 1]! + (short / size) * x[i + 1]!;
    let turned = Math.hypot(real, imag);
    if (turned < 1e-3 * floor) [real, imag, turned] = [x[i]!, x[i + 1]!, size];
    y[i] = real * (floor / turned);
    y[i + 1] = imag * (floor / turned);
  }
}
