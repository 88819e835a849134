import { describe, expect, it } from "vitest";
import { LiveMix, type Block } from "../src/audio/livemix";

const RATE = 48000;
const QUANTUM = 128;
const BLOCK = 768;
const LATENCY = 1536;

/** Processes a slow sine with a worker that halves it; `quantaAtWorker(block)`: how long a block takes. */
function run(mix: LiveMix, seconds: number, quantaAtWorker: (block: number) => number): Float32Array {
  const out: number[] = [];
  const atWorker: { due: number; block: Block }[] = [];
  const history: number[] = [];
  let sent = 0;
  for (let quantum = 0; quantum < (seconds * RATE) / QUANTUM; quantum++) {
    const input = Float32Array.from({ length: QUANTUM }, (_, n) => sine(quantum * QUANTUM + n));
    history.push(...input);
    while (atWorker.length && atWorker[0]!.due <= quantum) mix.receive(atWorker.shift()!.block);
    const output = new Float32Array(QUANTUM);
    const dry = new Float32Array(QUANTUM);
    const block = mix.process(input, output, dry);
    if (!mix.sending) expect(dry).toEqual(output);
    out.push(...output);
    if (!block) continue;
    const denoised = block.samples.map((_, n) => 0.5 * (history[block.position + n - LATENCY] ?? 0));
    atWorker.push({ due: quantum + quantaAtWorker(sent++), block: { position: block.position, samples: denoised } });
  }
  return Float32Array.from(out);
}

const sine = (n: number): number => Math.sin((2 * Math.PI * 50 * n) / RATE);
/** The largest difference to `gain` times the sine, delayed, from `from` seconds on. */
const deviation = (out: Float32Array, from: number, gain: number, delay: number): number =>
  out.reduce((most, value, n) => (n < from * RATE ? most : Math.max(most, Math.abs(value - gain * sine(n - delay)))), 0);
const largestStep = (out: Float32Array): number =>
  out.reduce((most, value, n) => Math.max(most, n ? Math.abs(value - out[n - 1]!) : 0), 0);
// A 50 Hz sine moves by 0.0065 a sample; a fade from it to half of it by 1/512 more.
const SMOOTH = 0.0095;
// A cross-fade between two delays, of any phases, by 2/256 more.
const SHIFTED = 0.0145;

describe("the live mix", () => {
  it("outputs the denoised signal after latency + wait, without under-runs where the worker keeps up", () => {
    const mix = new LiveMix(RATE, BLOCK, LATENCY);
    const out = run(mix, 2, (n) => 1 + (n % 6));
    expect(mix.status).toMatchObject({ underRuns: 0, overloads: 0, paused: false, delay: LATENCY + 3 * BLOCK, wet: 1 });
    expect(deviation(out, 0.5, 0.5, mix.status.delay)).toBeLessThan(1e-5);
  });

  it("mixes with the input at the same position, and follows the slider without a step", () => {
    const mix = new LiveMix(RATE, BLOCK, LATENCY);
    mix.mix = 0.5;
    const out = run(mix, 1, () => 1);
    expect(deviation(out, 0.5, 0.75, mix.status.delay)).toBeLessThan(1e-5);
    expect(largestStep(out)).toBeLessThan(SMOOTH);
  });

  it("fades to the microphone when a block is late, counts it, and returns", () => {
    const mix = new LiveMix(RATE, BLOCK, LATENCY);
    const out = run(mix, 3, (n) => (n === 60 ? 40 : 1));
    expect(mix.status).toMatchObject({ underRuns: 1, overloads: 0, wet: 1 });
    expect(largestStep(out)).toBeLessThan(SMOOTH);
  });

  it("bypasses when the worker cannot keep up, and returns when it can", () => {
    const mix = new LiveMix(RATE, BLOCK, LATENCY);
    const out = run(mix, 5, (n) => (n >= 40 && n < 70 ? 60 : 1));
    expect(mix.status).toMatchObject({ overloads: 1, paused: false, wet: 1 });
    expect(mix.status.delay).toBeGreaterThan(LATENCY + 3 * BLOCK);
    expect(deviation(out, 4.5, 0.5, mix.status.delay)).toBeLessThan(1e-5);
    expect(largestStep(out)).toBeLessThan(SHIFTED);
  });

  it("waits longer for a worker that is always late, until it is in time", () => {
    const mix = new LiveMix(RATE, BLOCK, LATENCY);
    const out = run(mix, 5, () => 20);
    expect(mix.status).toMatchObject({ overloads: 1, paused: false, wet: 1 });
    expect(deviation(out, 4.5, 0.5, mix.status.delay)).toBeLessThan(1e-5);
  });

  it("without sending is only a delay", () => {
    const mix = new LiveMix(RATE, BLOCK, LATENCY);
    mix.sending = false;
    const out = run(mix, 1, () => 1);
    expect(deviation(out, 0.5, 1, mix.status.delay)).toBeLessThan(1e-5);
    expect(mix.status.underRuns).toBe(0);
  });
});
