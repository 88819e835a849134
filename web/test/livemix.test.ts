import { describe, expect, it } from "vitest";
import { LiveMix, type Block } from "../src/audio/livemix";

const RATE = 48000;
const QUANTUM = 128;
const BLOCK = 768;
const LATE = 1536;

/** Pushes a slow sine through; `pause(block)` says how many quanta a block stays away; the worker halves it. */
function run(mix: LiveMix, seconds: number, pause: (number: number) => number): Float32Array {
  const out: number[] = [];
  const away: { due: number; block: Block }[] = [];
  const history: number[] = [];
  let sent = 0;
  for (let turn = 0; turn < (seconds * RATE) / QUANTUM; turn++) {
    const input = Float32Array.from({ length: QUANTUM }, (_, n) => sine(turn * QUANTUM + n));
    history.push(...input);
    while (away.length && away[0]!.due <= turn) mix.arrived(away.shift()!.block);
    const output = new Float32Array(QUANTUM);
    const past = new Float32Array(QUANTUM);
    const full = mix.process(input, output, past);
    if (!mix.sending) expect(past).toEqual(output);
    out.push(...output);
    if (!full) continue;
    const cleaned = full.samples.map((_, n) => 0.5 * (history[full.at + n - LATE] ?? 0));
    away.push({ due: turn + pause(sent++), block: { at: full.at, samples: cleaned } });
  }
  return Float32Array.from(out);
}

const sine = (n: number): number => Math.sin((2 * Math.PI * 50 * n) / RATE);
/** The largest difference to `share` of the sine `delay` before, from `from` seconds on. */
const off = (out: Float32Array, from: number, share: number, delay: number): number =>
  out.reduce((most, value, n) => (n < from * RATE ? most : Math.max(most, Math.abs(value - share * sine(n - delay)))), 0);
const biggestStep = (out: Float32Array): number =>
  out.reduce((most, value, n) => Math.max(most, n ? Math.abs(value - out[n - 1]!) : 0), 0);
// A 50 Hz sine moves by 0.0065 a sample; a fade from it to half of it by 1/512 more.
const SMOOTH = 0.0095;
// From one delay to another, whatever their phases, by 2/256 more.
const SHIFTED = 0.0145;

describe("the live mix", () => {
  it("gives the cleaned sound out, late + wait after it came in, and no under-run where the worker keeps up", () => {
    const mix = new LiveMix(RATE, BLOCK, LATE);
    const out = run(mix, 2, (n) => 1 + (n % 6));
    expect(mix.facts).toMatchObject({ underRuns: 0, overloads: 0, resting: false, delay: LATE + 3 * BLOCK, wet: 1 });
    expect(off(out, 0.5, 0.5, mix.facts.delay)).toBeLessThan(1e-5);
  });

  it("mixes with what came in at the same place, and follows the slider without a step", () => {
    const mix = new LiveMix(RATE, BLOCK, LATE);
    mix.mix = 0.5;
    const out = run(mix, 1, () => 1);
    expect(off(out, 0.5, 0.75, mix.facts.delay)).toBeLessThan(1e-5);
    expect(biggestStep(out)).toBeLessThan(SMOOTH);
  });

  it("fades to the microphone when a block is late, counts it, and comes back", () => {
    const mix = new LiveMix(RATE, BLOCK, LATE);
    const out = run(mix, 3, (n) => (n === 60 ? 40 : 1));
    expect(mix.facts).toMatchObject({ underRuns: 1, overloads: 0, wet: 1 });
    expect(biggestStep(out)).toBeLessThan(SMOOTH);
  });

  it("bypasses by itself when the worker cannot keep up, and comes back when it can", () => {
    const mix = new LiveMix(RATE, BLOCK, LATE);
    const out = run(mix, 5, (n) => (n >= 40 && n < 70 ? 60 : 1));
    expect(mix.facts).toMatchObject({ overloads: 1, resting: false, wet: 1 });
    expect(mix.facts.delay).toBeGreaterThan(LATE + 3 * BLOCK);
    expect(off(out, 4.5, 0.5, mix.facts.delay)).toBeLessThan(1e-5);
    expect(biggestStep(out)).toBeLessThan(SHIFTED);
  });

  it("gives a worker that is always late more time, until it is in time", () => {
    const mix = new LiveMix(RATE, BLOCK, LATE);
    const out = run(mix, 5, () => 20);
    expect(mix.facts).toMatchObject({ overloads: 1, resting: false, wet: 1 });
    expect(off(out, 4.5, 0.5, mix.facts.delay)).toBeLessThan(1e-5);
  });

  it("that is not sending is a delay and nothing else", () => {
    const mix = new LiveMix(RATE, BLOCK, LATE);
    mix.sending = false;
    const out = run(mix, 1, () => 1);
    expect(off(out, 0.5, 1, mix.facts.delay)).toBeLessThan(1e-5);
    expect(mix.facts.underRuns).toBe(0);
  });
});
