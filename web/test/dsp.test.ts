import { describe, expect, it } from "vitest";
import { RealFft } from "../src/dsp/fft";
import { bessel0, Polyphase } from "../src/dsp/polyphase";
import { array, cases, difference, numbers } from "./fixtures";

const FLOAT32 = 2e-6; // relative to the largest value: rounding to float32, once on each side
const RESAMPLED = 5e-6; // numpy sums the products in float32

describe("the Fourier transform", () => {
  it.each(cases.fft)("of $size samples equals numpy's, and its inverse restores them", ({ size, x, y }) => {
    const [frame, expected] = [array(x), array(y)];
    const fft = new RealFft(size);
    for (let run = 0; run < 2; run++) {
      const result = new Float32Array(size + 2);
      fft.forward(frame, result);
      const full = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(difference(result, expected) / full).toBeLessThan(FLOAT32);
      const back = new Float32Array(size);
      fft.inverse(result, back);
      expect(difference(back, frame)).toBeLessThan(FLOAT32 * 5);
    }
  });

  it("rejects unsupported sizes", () => {
    expect(() => new RealFft(10)).toThrow("5 points");
    expect(() => new RealFft(9)).toThrow("even");
  });
});

describe("the resampler", () => {
  it.each(cases.polyphase)("from $from to $to Hz equals Python's for any block sizes", ({ from, to, x, y }) => {
    const [audio, expected] = [array(x), array(y)];
    const resampler = new Polyphase(from, to, 1);
    const next = numbers(from + to);
    const parts: number[] = [];
    for (let start = 0; start < audio.length; ) {
      const size = next(700);
      parts.push(...resampler.push([audio.subarray(start, start + size)])[0]!);
      start += size;
    }
    expect(difference(Float32Array.from(parts), expected)).toBeLessThan(RESAMPLED);
  });

  it("computes I0(1) and I0(10)", () => {
    expect(bessel0(1)).toBeCloseTo(1.2660658777520082, 14);
    expect(bessel0(10) / 2815.716628466254).toBeCloseTo(1, 14);
  });
});
