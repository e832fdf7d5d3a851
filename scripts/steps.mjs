// The building steps that `npm start` and `npm test` share: each runs at most once, after what it needs.
//
//   npm ──► package ──► demo          (wasm and TypeScript, packed; then the page on the packed files)
//   rust ─┘
//   rust ──► relay | binaries         (release for use, the test profile for tests)
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { endAll, root, run } from "./command.mjs";
import { packForDemo } from "./pack.mjs";
import { begin, red } from "./progress.mjs";
import { hashOf, isFresh, setStamp } from "./stamp.mjs";
import { checkNode, ensureChromium, ensureFirefox, ensureRust, ensureWebkit } from "./tools.mjs";

const RUST_FOR_WASM = [
	"Cargo.toml",
	"Cargo.lock",
	"rust-toolchain.toml",
	"sdk/protocol",
	"sdk/core",
	"sdk/wasm",
	"sdk/xtask",
];
const PACKAGE = [
	...RUST_FOR_WASM,
	"sdk/js/src",
	"sdk/js/scripts",
	"sdk/js/package.json",
	"sdk/js/tsconfig.json",
	"sdk/js/tsconfig.build.json",
];
const DEMO = [
	"demo-web/src",
	"demo-web/public",
	"demo-web/index.html",
	"demo-web/package.json",
	"demo-web/vite.config.ts",
	"demo-web/tsconfig.json",
];
const MANIFESTS = [
	"package.json",
	"sdk/js/package.json",
	"demo-web/package.json",
	"tests/e2e/package.json",
	"tests/interop/package.json",
	"tests/packaging/package.json",
	"tests/bench/package.json",
];

/** Step name → { title, needs, work(onLine) }. `work` throws StepFailed or MissingTool; what it returns is shown behind the line. */
const STEPS = {
	rust: { title: "Rust toolchain and wasm target", needs: [], work: ensureRust },
	npm: { title: "npm packages", needs: [], work: installPackages },
	package: {
		title: "npm package hither: wasm and TypeScript",
		needs: ["rust", "npm"],
		work: (onLine) =>
			stamped("package", PACKAGE, "sdk/js/dist/index.js", async () => {
				await must(["npm", "run", "build:wasm", "-w", "hither"], 1200, onLine);
				await must(["npm", "run", "build:js", "-w", "hither"], 300, onLine);
				return pageWeight();
			}),
	},
	pack: {
		title: "packed files of hither for the demo",
		needs: ["package"],
		work: () =>
			stamped(
				"pack",
				[...PACKAGE, "sdk/js/README.md"],
				"demo-web/node_modules/hither/package.json",
				packForDemo,
			),
	},
	demo: {
		title: "demo page",
		needs: ["pack"],
		work: (onLine) =>
			stamped("demo", [...PACKAGE, ...DEMO], "demo-web/dist/index.html", async () => {
				await must(["npm", "run", "build", "-w", "hither-demo"], 300, onLine);
			}),
	},
	relay: {
		title: "relay, optimised",
		needs: ["rust"],
		work: (onLine) => must(["cargo", "build", "--release", "--locked", "-p", "hither-relay"], 1800, onLine),
	},
	binaries: {
		title: "Rust workspace and its tests",
		needs: ["rust"],
		work: (onLine) => must(["cargo", "build", "--workspace", "--all-targets", "--locked"], 1800, onLine),
	},
	chromium: browser("Chromium", "CHROMIUM_BIN", ensureChromium),
	firefox: browser("Firefox", "FIREFOX_BIN", ensureFirefox),
	webkit: browser("WebKitGTK", "WEBKIT_DRIVER_BIN", ensureWebkit),
};

/** A step that finds a browser and tells the tests where it is. */
function browser(title, variable, ensureIt) {
	const work = async (onLine) => {
		process.env[variable] = await ensureIt(onLine);
		return process.env[variable];
	};
	return { title, needs: [], work };
}

/** A step's command failed: `output` is everything that it said. */
export class StepFailed extends Error {
	constructor(message, output) {
		super(message);
		this.output = output;
	}
}

const done = new Map();

/** Runs `names` and what they need, in order. A step that has failed before fails again without running. */
export async function ensure(names) {
	checkNode();
	for (const name of names) {
		await ensure(STEPS[name].needs);
		if (!done.has(name)) done.set(name, await attempt(STEPS[name]));
		const error = done.get(name);
		if (error) throw error;
	}
}

/** The same for a program that is nothing without them: it ends with what went wrong. */
export async function ensureOrExit(names) {
	try {
		await ensure(names);
	} catch (error) {
		endAll();
		console.error(`\n${error.output ?? ""}\n${red(error.message)}`);
		process.exit(1);
	}
}

async function attempt(step) {
	const progress = begin(step.title);
	try {
		const shown = await step.work((line) => progress.note(line));
		progress.end(true, shown);
		return null;
	} catch (error) {
		progress.end(false);
		return error;
	}
}

/** Where cargo puts its results: CARGO_TARGET_DIR and cargo's own configuration may move it. */
export async function targetFolder() {
	const result = await run(["cargo", "metadata", "--no-deps", "--format-version", "1"], {
		limitSeconds: 300,
	});
	const found = /"target_directory":"((?:[^"\\]|\\.)*)"/.exec(result.output);
	return found ? JSON.parse(`"${found[1]}"`) : join(root, "target");
}

async function must(argv, limitSeconds, onLine) {
	const result = await run(argv, { limitSeconds, onLine });
	if (result.code !== 0) throw new StepFailed(`${argv.join(" ")} failed`, result.output);
}

async function stamped(name, inputs, result, work) {
	const hash = hashOf(inputs);
	if (isFresh(name, hash) && existsSync(join(root, result))) return "unchanged";
	const shown = await work();
	setStamp(name, hash);
	return shown;
}

/** `npm ci` when there is a lock file that fits, `npm install` when somebody has just changed a package.json. */
async function installPackages(onLine) {
	return stamped("npm", [...MANIFESTS, "package-lock.json"], "node_modules/.package-lock.json", async () => {
		if (existsSync(join(root, "package-lock.json"))) {
			const clean = await run(["npm", "ci"], { limitSeconds: 600, onLine });
			if (clean.code === 0) return;
			if (process.env.CI || !/\bEUSAGE\b/.test(clean.output))
				throw new StepFailed("npm ci failed", clean.output);
		}
		await must(["npm", "install"], 600, onLine);
	});
}

/** What a page loads of the package, for the eye. Whether that is too much is for a test to say (suite size). */
async function pageWeight() {
	const result = await run(["npm", "run", "size", "-w", "hither"], { limitSeconds: 120 });
	return /^a page loads.*$/m.exec(result.output)?.[0].replace(/\s+(\d+)\s+(\d+)\s+\d+$/, " $2 bytes gzipped");
}

/** The version that the workspace carries, for the first line of output. */
export function version() {
	return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}
