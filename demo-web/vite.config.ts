import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

// `npm start` serves the built page from the relay. `npm run dev -w hither-demo` serves the sources and
// passes what is for the relay on to the one that `npm start` has started.
const relay = "http://127.0.0.1:4455";

/** The engine on its way beside the scripts: otherwise the browser learns of it from the last of them. */
const preloadEngine: Plugin = {
	name: "preload-engine",
	apply: "build",
	transformIndexHtml(_html, { bundle }) {
		const files = Object.keys(bundle ?? {}).filter((file) => file.endsWith(".wasm"));
		const attrs = { rel: "preload", as: "fetch", type: "application/wasm", crossorigin: true };
		return files.map((file) => ({ tag: "link", attrs: { ...attrs, href: `/${file}` }, injectTo: "head" }));
	},
};

export default defineConfig({
	plugins: [react(), preloadEngine],
	build: { target: "es2023", sourcemap: true },
	server: { proxy: { "/sync": { target: relay, ws: true } } },
});
