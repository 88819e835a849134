import { describe, expect, it } from "vitest";
import { RealFft } from "../src/dsp/fft";
import { bessel0, Polyphase } from "../src/dsp/polyphase";
import { array, cases, difference, numbers } from "./fixtures";

const FLOAT32 = 2e-6; // relative to the largest value: rounding to float32, once on each side
const RESAMPLED = 5e-6; // numpy sums the products in float32

describe("the Fourier transform", () => {
  it.each(cases.fft)("of $size samples is numpy's, and its inverse gives them back", ({ size, x, y }) => {
    const [frame, expected] = [array(x), array(y)];
    const fft = new RealFft(size);
    for (let again = 0; again < 2; again++) {
      const found = new Float32Array(size + 2);
      fft.forward(frame, found);
      const full = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(difference(found, expected) / full).toBeLessThan(FLOAT32);
      const back = new Float32Array(size);
      fft.inverse(found, back);
      expect(difference(back, frame)).toBeLessThan(FLOAT32 * 5);
    }
  });

  it("refuses sizes it cannot do", () => {
    expect(() => new RealFft(10)).toThrow("5 points");
    expect(() => new RealFft(9)).toThrow("even");
  });
});

describe("the resampler", () => {
  it.each(cases.polyphase)("from $from to $to Hz is Python's for any cutting", ({ from, to, x, y }) => {
    const [sound, expected] = [array(x), array(y)];
    const resampler = new Polyphase(from, to, 1);
    const next = numbers(from + to);
    const parts: number[] = [];
    for (let at = 0; at < sound.length; ) {
      const size = next(700);
      parts.push(...resampler.push([sound.subarray(at, at + size)])[0]!);
      at += size;
    }
    expect(difference(Float32Array.from(parts), expected)).toBeLessThan(RESAMPLED);
  });

  it("knows I0(1) and I0(10)", () => {
    expect(bessel0(1)).toBeCloseTo(1.2660658777520082, 14);
    expect(bessel0(10) / 2815.716628466254).toBeCloseTo(1, 14);
  });
});
