// The client's work in Chromium: opening a page with stored edits, typing with persistence, rows of React.
//
//   node tests/bench/browser/pages.mjs [--amount small|quick|full] [--updates N,…] [--json FILE]
//
// Every opening is a new page of the same profile; medians. The database by itself shows what nobody can be quicker than;
// y-indexeddb and automerge-repo take part where the peers are installed.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { median } from "../client/work.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "../../../sdk/js/dist");
const peers = join(here, "../peers/node_modules");

const AMOUNTS = {
	small: { updates: [300], openings: 1, edits: 50, changes: 3 },
	quick: { updates: [1_000, 10_000, 100_000], openings: 5, edits: 500, changes: 15 },
	full: { updates: [1_000, 10_000, 100_000], openings: 9, edits: 2_000, changes: 50 },
};

/** name → subject → figures. */
export async function measurePages({
	amount = "full",
	updates = AMOUNTS[amount].updates,
	onFigure = () => {},
}) {
	const { openings, edits, changes } = AMOUNTS[amount];
	const subjects = ["hither", "raw", ...(existsSync(peers) ? ["yjs", "automerge"] : [])];
	const served = await serve(await bundle([...subjects, "rows"]));
	const profile = mkdtempSync(join(tmpdir(), "hither-page-"));
	const context = await chromium.launchPersistentContext(profile, {
		executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
		args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
	});
	const figures = {};
	const tell = (name, subject, figure) => {
		figures[name] ??= {};
		figures[name][subject] = figure;
		onFigure(name, subject, figure);
	};
	try {
		const visit = async (script, room = "none") => {
			const page = await context.newPage();
			const errors = [];
			page.on("pageerror", (error) => errors.push(error));
			await page.goto(`${served.origin}?script=${script}&room=${room}`);
			await page.waitForFunction(() => globalThis.bench !== undefined, undefined, { timeout: 120_000 });
			if (errors.length > 0) throw errors[0];
			return page;
		};
		for (const count of [0, ...updates]) {
			for (const subject of subjects) {
				if (count > 0) {
					const writer = await visit(subject, `open-${count}`);
					await writer.evaluate((count) => globalThis.bench.write(count), count);
					await writer.close();
				}
			}
			const times = Object.fromEntries(subjects.map((subject) => [subject, []]));
			for (let opening = 0; opening < openings; opening++) {
				for (const subject of subjects) {
					const page = await visit(subject, `open-${count}`);
					const [usable, length] = await page.evaluate(() => [
						globalThis.bench.usable,
						globalThis.bench.length(),
					]);
					if (length !== count * 4) throw new Error(`${subject}: ${length} letters instead of ${count * 4}`);
					times[subject].push(usable);
					await page.close();
				}
			}
			for (const subject of subjects) tell(`open-${count}`, subject, median(times[subject]));
		}
		for (const subject of subjects) {
			const page = await visit(subject, "typing");
			const times = await page.evaluate(typing, edits);
			tell("typing", subject, median(times));
			tell("typing-longest", subject, Math.max(...times));
			await page.close();
		}
		for (const subject of ["hither", "yjsPlain", "yjsRows"]) {
			const page = await visit("rows");
			const { times, rendered } = await page.evaluate(
				([subject, changes]) => globalThis.bench.rows(subject, changes),
				[subject, changes],
			);
			tell("rows-rendered", subject, median(rendered));
			tell("rows-ms", subject, median(times));
			await page.close();
		}
		return figures;
	} finally {
		await context.close();
		served.close();
		// A process of the browser may still write there.
		rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
	}
}

/** Runs in the page: one edit in a frame's time, as a quick typist; milliseconds inside each call. */
async function typing(count) {
	const times = [];
	for (let index = 0; index < count; index++) {
		const begin = performance.now();
		globalThis.bench.edit(index);
		times.push(performance.now() - begin);
		await new Promise((resolve) => setTimeout(resolve, 4));
	}
	return times;
}

/** path → bytes: the page scripts as an application would ship them, minified. */
async function bundle(names) {
	const { outputFiles } = await build({
		entryPoints: names.map((name) => join(here, `${name}.page.mjs`)),
		bundle: true,
		minify: true,
		splitting: true,
		format: "esm",
		outdir: "/",
		write: false,
		nodePaths: [peers],
		alias: {
			// The page's form of the package, not Node's.
			hither: join(dist, "index.js"),
			"hither/react": join(dist, "react/index.js"),
			// The same copy as y-indexeddb has: two of them do not work together.
			...(existsSync(join(peers, "yjs")) && { yjs: join(peers, "yjs/dist/yjs.mjs") }),
		},
		define: { "process.env.NODE_ENV": '"production"', setImmediate: "setTimeout" },
	});
	const files = new Map(outputFiles.map(({ path, contents }) => [path.replaceAll("\\", "/"), contents]));
	files.set("/wasm/hither_bg.wasm", readFileSync(join(dist, "wasm/hither_bg.wasm")));
	const automerge = join(peers, "@automerge/automerge/dist/automerge.wasm");
	if (existsSync(automerge)) files.set("/automerge.wasm", readFileSync(automerge));
	return files;
}

async function serve(files) {
	const server = createServer((request, response) => {
		const { pathname, searchParams } = new URL(request.url, "http://localhost");
		// As a site serves files whose names carry their hash.
		response.setHeader("cache-control", "max-age=3600");
		if (pathname === "/") {
			const script = `<script type="module" src="/${searchParams.get("script")}.page.js"></script>`;
			response.setHeader("content-type", "text/html");
			return response.end(`<!doctype html><meta charset="utf-8"><title>bench</title>${script}`);
		}
		const bytes = files.get(pathname);
		if (bytes === undefined) return response.writeHead(404).end();
		const type = pathname.endsWith(".wasm") ? "application/wasm" : "text/javascript";
		response.setHeader("content-type", type).end(bytes);
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	return { origin: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const { values } = parseArgs({
		options: { amount: { type: "string" }, updates: { type: "string" }, json: { type: "string" } },
	});
	const figures = await measurePages({
		amount: values.amount,
		...(values.updates && { updates: values.updates.split(",").map(Number) }),
		onFigure(name, subject, figure) {
			console.log(`${name.padEnd(20)} ${subject.padEnd(12)} ${figure.toFixed(3).padStart(12)}`);
		},
	});
	if (values.json) writeFileSync(values.json, `${JSON.stringify(figures, null, "\t")}\n`);
}
