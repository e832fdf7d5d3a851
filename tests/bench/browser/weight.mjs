// What a page loads of each, gzipped: the JavaScript that it imports, bundled and minified, and its WebAssembly.
//
//   node tests/bench/browser/weight.mjs [--plain-yrs FOLDER] [--json FILE]
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "../../../sdk/js/dist");
const peers = join(here, "../peers/node_modules");

const AUTOMERGE = join(peers, "@automerge/automerge/dist/automerge.wasm");

/** subject → what the page imports, and the WebAssembly that comes beside it. */
const LOADS = {
	hither: {
		script: `export * from ${JSON.stringify(join(dist, "index.js"))}`,
		wasm: [join(dist, "wasm/hither_bg.wasm")],
	},
	"yjs with y-indexeddb": { script: 'export * from "yjs"; export * from "y-indexeddb"', wasm: [] },
	ywasm: { script: 'export * from "ywasm"', wasm: [join(peers, "ywasm/ywasm_bg.wasm")] },
	"loro-crdt": {
		script: 'export * from "loro-crdt/web"',
		wasm: [join(peers, "loro-crdt/web/loro_wasm_bg.wasm")],
	},
	"@automerge/automerge": {
		script: 'export * from "@automerge/automerge/slim"',
		wasm: [AUTOMERGE],
	},
	"automerge-repo with IndexedDB": {
		script:
			'export * from "@automerge/automerge-repo/slim"; export * from "@automerge/automerge-repo-storage-indexeddb"',
		wasm: [AUTOMERGE],
	},
};

const gzipped = (bytes) => gzipSync(bytes, { level: 9 }).length;

async function weigh({ script, wasm }) {
	const { outputFiles } = await build({
		stdin: { contents: script, resolveDir: here },
		bundle: true,
		minify: true,
		splitting: true,
		format: "esm",
		platform: "browser",
		outdir: "/",
		write: false,
		nodePaths: [peers],
		// One copy of it, as an application has.
		alias: { yjs: join(peers, "yjs/dist/yjs.mjs") },
		// What the peers only reach for in Node.
		external: ["util", "path", "fs"],
		loader: { ".wasm": "empty" },
		logLevel: "silent",
	});
	// Other chunks are loaded on demand only.
	const entry = outputFiles.find(({ path }) => path.endsWith("stdin.js"));
	return gzipped(entry.contents) + wasm.reduce((sum, file) => sum + gzipped(readFileSync(file)), 0);
}

const { values } = parseArgs({ options: { json: { type: "string" }, "plain-yrs": { type: "string" } } });
const plain = values["plain-yrs"] && resolve(values["plain-yrs"]);
const loaded = {
	...LOADS,
	...(plain && {
		"plain yrs, for speed": {
			script: `export * from ${JSON.stringify(join(plain, "plain_yrs.js"))}`,
			wasm: [join(plain, "plain_yrs_bg.wasm")],
		},
	}),
};
const figures = {};
for (const [subject, loads] of Object.entries(loaded)) {
	if (subject !== "hither" && !existsSync(peers)) continue;
	try {
		figures[subject] = await weigh(loads);
		console.log(`${subject.padEnd(32)} ${(figures[subject] / 1024).toFixed(1).padStart(8)} KiB gzipped`);
	} catch (error) {
		console.error(`${subject}: ${error.message}`);
	}
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(figures, null, "\t")}\n`);
