import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const fakeGlue = fileURLToPath(new URL("test/support/glue.ts", import.meta.url));

export default defineConfig({
	// The sources import the glue from where the build puts it, beside their compiled form.
	resolve: { alias: [{ find: /^.*\/wasm\/(hither|inlined)\.js$/, replacement: fakeGlue }] },
	test: { include: ["test/**/*.test.{ts,tsx}"], testTimeout: 60_000 },
});
