import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Puts a `.br` and a `.gz` beside every file that shrinks, so that the edge never compresses anything. */
function compressed(): Plugin {
  let folder = "";
  return {
    name: "compressed",
    apply: "build",
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    closeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg|json)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const content = readFileSync(path);
        const brotli = brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
        if (brotli.length < content.length) writeFileSync(`${path}.br`, brotli);
        const gzip = gzipSync(content, { level: 9 });
        if (gzip.length < content.length) writeFileSync(`${path}.gz`, gzip);
      }
    },
  };
}

// With the browser's own Host: the edge refuses changes that come from another origin.
const edge = { target: process.env["EDGE_URL"] ?? "http://localhost:8000", changeOrigin: false };

const NO_CHART = /^(?!.*([\\/]recharts[\\/]|[\\/]charts[\\/]))/;

export default defineConfig({
  plugins: [react(), compressed()],
  resolve: { alias: { "@": join(import.meta.dirname, "src") } },
  // The page's policy allows no data: address for scripts or fonts.
  build: {
    assetsInlineLimit: 0,
    target: "es2023",
    chunkSizeWarningLimit: 800,
    rolldownOptions: {
      output: {
        // What many pages use comes in one piece and what several do in another, not in forty; the charts stay apart.
        codeSplitting: {
          groups: [
            { name: "frame", test: NO_CHART, minShareCount: 10, priority: 2 },
            { name: "widgets", test: NO_CHART, minShareCount: 2, priority: 1 },
          ],
        },
      },
    },
  },
  server: { port: 5173, proxy: { "/api": edge, "/v1": edge, "/health": edge } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
