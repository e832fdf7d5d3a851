import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm start` serves the built page from the relay. `npm run dev -w hither-demo` serves the sources and
// passes what is for the relay on to the one that `npm start` has started.
const relay = "http://127.0.0.1:4455";

export default defineConfig({
	plugins: [react()],
	build: { target: "es2023", sourcemap: true },
	server: { proxy: { "/sync": { target: relay, ws: true } } },
});
