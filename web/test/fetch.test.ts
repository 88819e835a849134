import { gzipSync } from "node:zlib";
import { expect, test, vi } from "vitest";
import { gunzip } from "../src/ui/fetch";

const plain = Uint8Array.from({ length: 5000 }, (_, index) => (index * index) % 251);
const buffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

test("gzipped files are unpacked, and others stay as they are: a browser may have unpacked them already", async () => {
  for (const bytes of [buffer(gzipSync(plain)), buffer(plain)]) {
    expect(new Uint8Array(await gunzip(bytes))).toEqual(plain);
  }
  for (const size of [0, 1, 2]) expect((await gunzip(buffer(plain.subarray(0, size)))).byteLength).toBe(size);
});

test("a gzipped file that ends early is an error, not half a module", async () => {
  await expect(gunzip(buffer(gzipSync(plain).subarray(0, 100)))).rejects.toThrow();
});

test("an old browser is told what it lacks", async () => {
  vi.stubGlobal("DecompressionStream", undefined);
  await expect(gunzip(buffer(gzipSync(plain)))).rejects.toThrow("no DecompressionStream; try a newer one");
  vi.unstubAllGlobals();
});
