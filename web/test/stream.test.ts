import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { metadata } from "../src/engine/metadata";
import { CausalModel } from "../src/engine/model";
import { Stream } from "../src/engine/stream";
import { cases, difference, numbers, rows } from "./fixtures";

// Two builds of onnxruntime sum in other orders, and a recurrent network propagates the difference.
const SAME = 1e-4;

const path = new URL("../../src/unhiss/pretrained/", import.meta.url);
const bytes = (name: string): ArrayBuffer => {
  const file = readFileSync(new URL(name, path));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
};

let model: CausalModel;
beforeAll(async () => {
  model = await CausalModel.load(bytes("small.onnx"));
});

describe("a stream", () => {
  it.each(cases.stream)("at $rate Hz, $channels channels, $options equals Python for any block sizes", async (entry) => {
    const { rate, channels, options, x, y } = entry;
    const audio = rows(x, channels);
    const settings = { ...options, attenLimitDb: (options.atten_limit_db as number) ?? Infinity };
    const stream = new Stream(model, rate, channels, settings);
    const next = numbers(rate);
    for (let run = 0; run < 2; run++) {
      const out: number[][] = audio.map(() => []);
      const append = (block: Float32Array[]): void => block.forEach((part, channel) => out[channel]!.push(...part));
      for (let start = 0; start < audio[0]!.length; ) {
        const size = next(run ? 20000 : 3000);
        const block = audio.map((channel) => channel.subarray(start, start + size));
        const denoised = await stream.push(block);
        expect(denoised[0]!.length).toBe(block[0]!.length);
        append(denoised);
        start += size;
      }
      const latency = stream.latency;
      append(await stream.flush());
      rows(y, channels).forEach((expected, channel) => {
        expect(difference(Float32Array.from(out[channel]!.slice(latency)), expected)).toBeLessThan(SAME);
      });
    }
  });

  it("has the latency of the table in docs/architecture.md", () => {
    const latencyMs = (rate: number): number => (new Stream(model, rate).latency / rate) * 1000;
    expect(latencyMs(48000)).toBe(32);
    expect(latencyMs(44100)).toBeCloseTo(35.6, 1);
    expect(latencyMs(11025)).toBeCloseTo(46.5, 1);
  });

  it("rejects an invalid rate", () => {
    expect(() => new Stream(model, 44100.5)).toThrow("44100.5");
  });
});

describe("a model file", () => {
  it("has its name and configuration in the metadata", () => {
    const values = metadata(new Uint8Array(bytes("small.onnx")));
    expect(values["unhiss.format"]).toBe("1");
    expect(JSON.parse(values["unhiss.config"]!).stft).toEqual({ window_s: 0.032, hop_s: 0.016 });
  });

  it("that is truncated, of another kind or no model is rejected", async () => {
    await expect(CausalModel.load(bytes("small.onnx").slice(0, 70000))).rejects.toThrow("truncated");
    await expect(CausalModel.load(bytes("small.json"))).rejects.toThrow("expected");
    await expect(CausalModel.load(bytes("rced.onnx"))).rejects.toThrow("causal");
  });
});
