import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { metadata } from "../src/engine/metadata";
import { CausalModel } from "../src/engine/model";
import { Stream } from "../src/engine/stream";
import { cases, difference, numbers, rows } from "./fixtures";

// Two builds of onnxruntime add up in other orders, and a recurrent network carries that on.
const SAME = 1e-4;

const path = new URL("../../src/unhiss/models/", import.meta.url);
const bytes = (name: string): ArrayBuffer => {
  const file = readFileSync(new URL(name, path));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
};

let model: CausalModel;
beforeAll(async () => {
  model = await CausalModel.load(bytes("small.onnx"));
});

describe("a stream", () => {
  it.each(cases.stream)("at $rate Hz, $channels channels, $options is what Python gives, however cut", async (entry) => {
    const { rate, channels, options, x, y } = entry;
    const sound = rows(x, channels);
    const settings = { ...options, limitDb: (options.atten_limit_db as number) ?? Infinity };
    const stream = new Stream(model, rate, channels, settings);
    const next = numbers(rate);
    for (let turn = 0; turn < 2; turn++) {
      const out: number[][] = sound.map(() => []);
      const take = (block: Float32Array[]): void => block.forEach((part, channel) => out[channel]!.push(...part));
      for (let at = 0; at < sound[0]!.length; ) {
        const size = next(turn ? 20000 : 3000);
        const block = sound.map((channel) => channel.subarray(at, at + size));
        const cleaned = await stream.push(block);
        expect(cleaned[0]!.length).toBe(block[0]!.length);
        take(cleaned);
        at += size;
      }
      const late = stream.latency;
      take(await stream.flush());
      rows(y, channels).forEach((expected, channel) => {
        expect(difference(Float32Array.from(out[channel]!.slice(late)), expected)).toBeLessThan(SAME);
      });
    }
  });

  it("holds sound back as long as the table in docs/architecture.md says", () => {
    const late = (rate: number): number => (new Stream(model, rate).latency / rate) * 1000;
    expect(late(48000)).toBe(32);
    expect(late(44100)).toBeCloseTo(35.6, 1);
    expect(late(11025)).toBeCloseTo(46.5, 1);
  });

  it("refuses a rate that is none", () => {
    expect(() => new Stream(model, 44100.5)).toThrow("44100.5");
  });
});

describe("a model file", () => {
  it("tells its name and settings", () => {
    const facts = metadata(new Uint8Array(bytes("small.onnx")));
    expect(facts["unhiss.format"]).toBe("1");
    expect(JSON.parse(facts["unhiss.config"]!).stft).toEqual({ window_s: 0.032, hop_s: 0.016 });
  });

  it("that is cut off, of another kind or no model is refused", async () => {
    await expect(CausalModel.load(bytes("small.onnx").slice(0, 70000))).rejects.toThrow("cut off");
    await expect(CausalModel.load(bytes("small.json"))).rejects.toThrow("expected");
    await expect(CausalModel.load(bytes("rced.onnx"))).rejects.toThrow("causal");
  });
});
