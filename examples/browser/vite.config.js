// The page of `vae-run explore` with the model in it: its files as they are, but for transport.js, and the npm module of
// bindings/js. Everything is addressed relative to the page, so that it runs under any path.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (place) => fileURLToPath(new URL(place, import.meta.url));

const alias = [
  { find: /^\.\/transport\.js$/, replacement: path("transport.js") },
  { find: /^vae-edge$/, replacement: path("../../bindings/js/src/index.ts") },
  {
    find: /^onnxruntime-web\/wasm$/,
    replacement: path("node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs"),
  },
];

/* The service worker, with the names of all files that the page needs; Vite names them by their content. */
function offline() {
  return {
    name: "offline",
    generateBundle(_, bundle) {
      const files = ["./", ...Object.keys(bundle).filter((name) => name !== "index.html")];
      const source = readFileSync(path("service_worker.js"), "utf8");
      this.emitFile({
        type: "asset",
        fileName: "service_worker.js",
        source: source.replace("self.FILES", JSON.stringify(files)),
      });
    },
  };
}

export default defineConfig({
  root: path("../../runtime/vae_runtime/explore"),
  base: "./",
  publicDir: false,
  resolve: { alias },
  plugins: [offline()],
  // The npm module imports Node's own modules where it runs in Node, never in a browser.
  worker: { format: "es", rolldownOptions: { external: /^node:/ } },
  build: {
    outDir: path("dist"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
});
