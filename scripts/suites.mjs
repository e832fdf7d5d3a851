// What `npm test` runs, in this order: one row per suite.
//
//   name     what --only and the table call it; --only also takes a tag
//   tags     groups of suites
//   needs    building steps (steps.mjs) that come first
//   run      the command, or a function that returns it
//   reads    how its counts are read (counts.mjs)
//   minutes  when it is ended and counts as failed; about five times what it takes on two slow cores
//
// Quick checks come first, so that a slip is seen within seconds; suites that share a build stand together.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "./command.mjs";

/** Files named *.test.mjs of a folder: `node --test FOLDER` means different things to different Node versions. */
function testFiles(folder) {
	const full = join(root, folder);
	if (!existsSync(full)) return [];
	return readdirSync(full)
		.filter((name) => name.endsWith(".test.mjs"))
		.sort()
		.map((name) => join(folder, name));
}

/** Test files one after another: two browsers at once on two cores make time limits a matter of luck. */
const node = (folder) => () => {
	const files = testFiles(folder);
	// Without a file node would look for tests everywhere.
	if (files.length === 0) return [process.execPath, "--eval", ""];
	return [process.execPath, "--test", "--test-reporter=spec", "--test-concurrency=1", ...files];
};

export const suites = [
	{ name: "scripts", tags: ["quick"], needs: [], run: node("scripts"), reads: "node", minutes: 2 },
	{ name: "rules", tags: ["quick"], needs: [], run: node("tests/rules"), reads: "node", minutes: 2 },
	{
		name: "rustfmt",
		tags: ["quick", "rust"],
		needs: ["rust"],
		run: ["cargo", "fmt", "--all", "--check"],
		reads: "check",
		minutes: 2,
	},
	{
		name: "biome",
		tags: ["quick", "js"],
		needs: ["npm"],
		run: ["npx", "--no-install", "biome", "check", "--error-on-warnings", "."],
		reads: "check",
		minutes: 2,
	},
	{
		name: "clippy",
		tags: ["rust"],
		needs: ["rust"],
		run: ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
		reads: "check",
		minutes: 20,
	},
	{
		name: "clippy-wasm",
		tags: ["rust"],
		needs: ["rust"],
		run: [
			"cargo",
			"clippy",
			"-p",
			"hither-wasm",
			"--target",
			"wasm32-unknown-unknown",
			"--locked",
			"--",
			"-D",
			"warnings",
		],
		reads: "check",
		minutes: 15,
	},
	{
		name: "rust",
		tags: ["rust"],
		needs: ["binaries"],
		run: ["cargo", "test", "--workspace", "--no-fail-fast", "--locked"],
		reads: "cargo",
		minutes: 25,
	},
	{
		name: "types",
		tags: ["js"],
		needs: ["pack"],
		run: ["npm", "run", "typecheck", "-w", "hither", "-w", "hither-demo"],
		reads: "check",
		minutes: 3,
	},
	{
		name: "size",
		tags: ["js"],
		needs: ["package"],
		run: ["npm", "run", "size", "-w", "hither"],
		reads: "check",
		minutes: 2,
	},
	{
		name: "demo",
		tags: ["js"],
		needs: ["pack"],
		run: ["npm", "test", "-w", "hither-demo"],
		reads: "vitest",
		minutes: 3,
	},
	{
		name: "js",
		tags: ["js"],
		needs: ["package"],
		run: ["npm", "test", "-w", "hither"],
		reads: "vitest",
		minutes: 5,
	},
	{
		name: "packaging",
		tags: ["browser"],
		needs: ["package", "chromium"],
		run: node("tests/packaging"),
		reads: "node",
		minutes: 10,
	},
	{
		name: "interop",
		tags: ["browser"],
		needs: ["package", "binaries"],
		run: node("tests/interop"),
		reads: "node",
		minutes: 15,
	},
	{
		name: "e2e",
		tags: ["browser"],
		needs: ["demo", "binaries", "chromium", "firefox", "webkit"],
		run: node("tests/e2e"),
		reads: "node",
		minutes: 15,
	},
	{
		name: "bench",
		tags: ["bench"],
		needs: ["package", "binaries", "chromium"],
		run: node("tests/bench"),
		reads: "node",
		minutes: 10,
	},
];
