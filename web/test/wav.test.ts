import { describe, expect, it } from "vitest";
import { readWav, writeWav } from "../src/audio/wav";
import { bytes, cases, rows } from "./fixtures";

describe("a WAV file", () => {
  it.each(cases.wav)("$file is read as libsndfile reads it, and written identically", ({ file, coding, rate, x }) => {
    const audio = readWav(bytes(file))!;
    expect([audio.coding, audio.rate]).toEqual([coding, rate]);
    expect(audio.channels).toEqual(rows(x, audio.channels.length));
    expect(readWav(writeWav(audio))).toEqual(audio);
  });

  it("beyond full scale is clipped, not wrapped", () => {
    for (const coding of ["u8", "s16", "s24", "s32"] as const) {
      const read = readWav(writeWav({ rate: 8000, channels: [Float32Array.of(2, -2)], coding }))!;
      expect(read.channels[0]![0]).toBeGreaterThan(0.99);
      expect(read.channels[0]![1]).toBe(-1);
    }
  });

  it("that is truncated is read up to its end; other files give null", () => {
    const file = writeWav({ rate: 8000, channels: [new Float32Array(100).fill(0.5)], coding: "s16" });
    expect(readWav(file.slice(0, 145))!.channels[0]!.length).toBe(50);
    for (const size of [0, 4, 11, 12, 20, 36, 43]) expect(readWav(file.slice(0, size))).toBeNull();
    expect(readWav(new TextEncoder().encode("ID3 is no WAV file at all, nor is it long").buffer as ArrayBuffer)).toBeNull();
  });
});
