/** Test cases computed by Python: the folder that scripts/web_fixtures.py wrote, named by UNHISS_FIXTURES. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Coding } from "../src/audio/wav";

const folder = process.env.UNHISS_FIXTURES;
if (!folder) throw new Error("UNHISS_FIXTURES is not set; python scripts/web_fixtures.py FOLDER, then UNHISS_FIXTURES=FOLDER");

export function bytes(name: string): ArrayBuffer {
  const file = readFileSync(join(folder!, name));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
}

export function array(name: string): Float32Array {
  return new Float32Array(bytes(name));
}

/** The rows of an array of shape (channels, T). */
export function rows(name: string, channels: number): Float32Array[] {
  const all = array(name);
  const length = all.length / channels;
  return Array.from({ length: channels }, (_, row) => all.slice(row * length, (row + 1) * length));
}

type Arrays = { x: string; y: string };
export const cases = JSON.parse(readFileSync(join(folder, "fixtures.json"), "utf8")) as {
  fft: (Arrays & { size: number })[];
  polyphase: (Arrays & { from: number; to: number })[];
  stream: (Arrays & { rate: number; channels: number; options: Record<string, number | boolean> })[];
  wav: { file: string; coding: Coding; rate: number; x: string }[];
};

/** The largest difference between two arrays of one length. */
export function difference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} samples against ${b.length}`);
  return a.reduce((worst, value, n) => Math.max(worst, Math.abs(value - b[n]!)), 0);
}

/** Pseudo-random integers below `limit`, the same in every run. */
export function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => (state = (state * 1103515245 + 12345) % 2147483648) % limit;
}
