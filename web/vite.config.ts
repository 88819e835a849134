import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "./", // the page works in any folder of any server
  build: { outDir: "../src/unhiss/serve/static", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 2000 },
  worker: { format: "es" },
  test: { include: ["test/**/*.test.ts"], testTimeout: 60000 },
});
