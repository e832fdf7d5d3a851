// What a page loads: the engine, and this package's JavaScript bundled and minified.
//
// Fails above the budget; with --report (as part of a build, which must stay usable) it only says so.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Gzipped bytes of engine and JavaScript together, which every visitor of an app pays for. */
const GOAL = 160 * 1024;

/** What was promised for the first version, on the way to the goal. The order of texts beside the CRDT costs 14 KiB of it. */
const BUDGET = 180_000;

const dist = fileURLToPath(new URL("../dist", import.meta.url));

async function bundled(entry) {
	const { outputFiles } = await build({
		entryPoints: [join(dist, entry)],
		bundle: true,
		minify: true,
		splitting: true,
		format: "esm",
		external: ["react"],
		outdir: "out",
		write: false,
	});
	// The other chunks are loaded on demand only.
	const name = entry.split("/").pop();
	return outputFiles.find(({ path }) => path.endsWith(name)).contents;
}

const parts = {
	"hither_bg.wasm": readFileSync(join(dist, "wasm", "hither_bg.wasm")),
	"hither (JavaScript)": await bundled("index.js"),
	"hither/react (where used)": await bundled("react/index.js"),
	"inlined engine (fallback only)": readFileSync(join(dist, "wasm", "inlined.js")),
};

const row = (name, raw, gzip, brotli) =>
	console.log(name.padEnd(32) + [raw, gzip, brotli].map((cell) => String(cell).padStart(10)).join(""));

// The build knows how it was made: one without the sources of the standard library is larger.
console.log(`engine ${readFileSync(join(dist, "wasm", ".form"), "utf8")}`);
row("bytes", "raw", "gzip", "brotli");
let loaded = [0, 0, 0];
for (const [name, bytes] of Object.entries(parts)) {
	const sizes = [bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length];
	row(name, ...sizes);
	// Everything that `import "hither"` brings; adapters and the fallback are counted apart.
	if (!name.includes("(fallback") && !name.includes("(where"))
		loaded = loaded.map((sum, index) => sum + sizes[index]);
}
row("a page loads", ...loaded);

if (loaded[1] > GOAL) console.log(`${loaded[1] - GOAL} bytes above the goal of ${GOAL}`);
if (loaded[1] > BUDGET) {
	console.error(`over the budget: ${loaded[1]} bytes gzipped, ${BUDGET} are allowed`);
	if (!process.argv.includes("--report")) process.exit(1);
}
