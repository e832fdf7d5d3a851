// npm test: sets up what is missing, runs every suite, ends with `N passed, N failed`.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { leaveOnSignals, run } from "./command.mjs";
import { judge } from "./counts.mjs";
import { begin, bold, dim, red } from "./progress.mjs";
import { ensure, targetFolder } from "./steps.mjs";
import { suites } from "./suites.mjs";

const USAGE = `npm test -- [--only NAME,NAME…] [--list]

  --only   suites by name or tag, separated by commas
  --list   what there is`;

function choose() {
	let values;
	try {
		({ values } = parseArgs({
			options: { only: { type: "string" }, list: { type: "boolean" }, help: { type: "boolean" } },
		}));
	} catch (error) {
		console.error(`${error.message}\n\n${USAGE}`);
		process.exit(2);
	}
	if (values.help) {
		console.log(USAGE);
		process.exit(0);
	}
	if (values.list) {
		for (const suite of suites) console.log(`${suite.name.padEnd(12)} ${suite.tags.join(", ")}`);
		process.exit(0);
	}
	if (values.only === undefined) return suites;
	const wanted = values.only.split(",").map((name) => name.trim());
	const known = new Set(suites.flatMap((suite) => [suite.name, ...suite.tags]));
	const unknown = wanted.filter((name) => !known.has(name));
	if (unknown.length > 0) {
		console.error(`no suite or tag is called ${unknown.join(", ")}; npm test -- --list shows them`);
		process.exit(2);
	}
	return suites.filter((suite) => [suite.name, ...suite.tags].some((name) => wanted.includes(name)));
}

/** Tests find the programs under test in their environment, so that they never guess a folder. */
async function environment() {
	const folder = join(await targetFolder(), "debug");
	const suffix = process.platform === "win32" ? ".exe" : "";
	return {
		HITHER_RELAY_BIN: join(folder, `hither-relay${suffix}`),
		HITHER_CLI_BIN: join(folder, `hither${suffix}`),
		FORCE_COLOR: "0",
		CARGO_TERM_COLOR: "never",
		TERM: "dumb",
	};
}

/** Prepares and runs one suite; never throws. */
async function attempt(suite, env) {
	const started = Date.now();
	try {
		await ensure(suite.needs);
	} catch (error) {
		const output = `${error.output ?? ""}\n${error.message}`;
		return {
			suite,
			passed: 0,
			failed: 1,
			notes: ["could not be prepared"],
			seconds: secondsSince(started),
			output,
		};
	}
	const progress = begin(bold(suite.name));
	const argv = typeof suite.run === "function" ? suite.run() : suite.run;
	const limitSeconds = suite.minutes * 60;
	const result = await run(argv, { env, limitSeconds, onLine: (line) => progress.note(line) });
	const verdict = judge(suite.reads, result);
	const notes = verdict.notes.length > 0 ? ` (${verdict.notes.join(", ")})` : "";
	progress.end(verdict.failed === 0, `${verdict.passed} passed, ${verdict.failed} failed${notes}`);
	return { suite, ...verdict, seconds: result.seconds, output: result.output, argv };
}

function showFailures(results) {
	const shown = new Set();
	for (const { suite, output, argv, notes } of results.filter((result) => result.failed > 0)) {
		console.log(
			`\n${red("━━━")} ${bold(suite.name)} ${dim(argv ? argv.join(" ") : "")} ${notes.join(", ")}\n`,
		);
		// One broken build step fails every suite behind it, with the same words.
		console.log(shown.has(output) ? "the same as above" : output.trimEnd());
		shown.add(output);
	}
}

function showTable(results) {
	const width = Math.max(...results.map((result) => result.suite.name.length), 5);
	console.log(`\n${"suite".padEnd(width)}  passed  failed  seconds`);
	for (const { suite, passed, failed, seconds, notes } of results) {
		const row = `${suite.name.padEnd(width)}  ${String(passed).padStart(6)}  ${String(failed).padStart(6)}  ${seconds.toFixed(1).padStart(7)}`;
		console.log(failed > 0 ? red(`${row}  ${notes.join(", ")}`) : row);
	}
}

const secondsSince = (started) => (Date.now() - started) / 1000;

const chosen = choose();
leaveOnSignals();
const started = Date.now();
let env;
const results = [];
for (const suite of chosen) {
	env ??= await environment();
	results.push(await attempt(suite, env));
}
const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
showFailures(results);
showTable(results);
console.log(dim(`in ${secondsSince(started).toFixed(0)} s\n`));
const failed = total("failed");
process.exitCode = failed > 0 ? 1 : 0;
console.log(`${total("passed")} passed, ${failed} failed`);
