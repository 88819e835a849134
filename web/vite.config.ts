import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Builds `x.wasm?url` as a gzipped file, a quarter as large on disk and over the network on any web server. */
function gzippedWasm(): Plugin {
  return {
    name: "gzipped-wasm",
    apply: "build",
    enforce: "pre",
    async load(id) {
      if (!id.endsWith(".wasm?url")) return undefined;
      const file = id.slice(0, -"?url".length);
      const source = gzipSync(await readFile(file), { level: 9 });
      const asset = this.emitFile({ type: "asset", name: `${basename(file)}.gz`, source });
      return `export default import.meta.ROLLUP_FILE_URL_${asset};`;
    },
    generateBundle: {
      order: "post", // after the worker's files have been added
      handler(_options, bundle) {
        // onnxruntime-web names the plain file too, for pages that give it no bytes; ours does.
        for (const name of Object.keys(bundle)) if (name.endsWith(".wasm")) delete bundle[name];
      },
    },
  };
}

export default defineConfig({
  base: "./", // the page works in any folder of any server
  plugins: [gzippedWasm()],
  build: { outDir: "../src/unhiss/serve/static", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 2000 },
  worker: { format: "es" },
  test: { include: ["test/**/*.test.ts"], testTimeout: 60000 },
});
