import { defineConfig } from "vite";

// The built files are committed inside the package, so their names carry no hash: a rebuild shows as a diff of content.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/freud/server/static",
    emptyOutDir: true,
    target: "es2023",
    cssTarget: "chrome125",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    license: { fileName: "licenses.md" },
    rolldownOptions: {
      output: { entryFileNames: "[name].js", chunkFileNames: "[name].js", assetFileNames: "[name][extname]" },
    },
  },
  server: { proxy: { "/api": process.env.FREUD ?? "http://127.0.0.1:8765" } },
});
