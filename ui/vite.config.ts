import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// `wellkept up` of a developer; the built console never needs it.
const API = "http://127.0.0.1:7676";

export default defineConfig({
  plugins: [
    svelte({
      configFile: false,
      // Elements are made one by one instead of by innerHTML, so that a page that enforces Trusted Types can use us.
      compilerOptions: { fragments: "tree" },
    }),
  ],
  build: {
    target: "es2023",
    // No data: URLs and no inline helpers: everything is a file that the server can name in its table.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: {
    fs: { allow: [".."] },
    proxy: { "/api": API, "/loki": API, "/-": API },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
