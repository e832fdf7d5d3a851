// npm run bench: everything that Hither is measured by, side by side with its peers, and the page about it.
//
//   npm run bench -- [--quick] [--write] [--only server,client,browser,size] [--out FOLDER]
//
//   --quick   minutes instead of an hour: shorter and fewer runs of the same shapes
//   --write   also writes docs/benchmarks.md and its plots
//   --only    some of the parts; the figures of the others are those of the last run in FOLDER
//   --out     where figures go as JSON (default target/bench)
//
// The peers are installed from their registries at the versions that tests/bench/peers fixes. The server under load has
// processor 0 to itself, the generator processor 1.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { leaveOnSignals, root, run } from "./command.mjs";
import { ensureOrExit, targetFolder } from "./steps.mjs";

const Y_SWEET = "0.9.1";

const { values } = parseArgs({
	options: {
		quick: { type: "boolean" },
		write: { type: "boolean" },
		only: { type: "string", default: "server,client,browser,size" },
		out: { type: "string" },
	},
});
const amount = values.quick ? "quick" : "full";
const parts = values.only.split(",");

leaveOnSignals();
await ensureOrExit(["package", "relay", "chromium"]);
const target = await targetFolder();
const out = values.out ?? join(target, "bench");
mkdirSync(out, { recursive: true });
const bench = join(root, "tests", "bench");
const peers = join(bench, "peers");
const json = (name) => join(out, `${name}.json`);

await must(["npm", "ci"], peers);
const { versions } = await import("../tests/bench/report/versions.mjs");
const started = new Date().toISOString().slice(0, 10);

const peersTarget = join(target, "peers");
const plainYrs = parts.includes("client") || parts.includes("size") ? await buildPlainYrs() : [];

if (parts.includes("server")) {
	await must(["cargo", "build", "--release", "--locked", "-p", "hither-bench"]);
	const programs = [
		...(await optional("yrs-axum", join(peersTarget, "release", "hither-bench-yrs-axum"), crate("yrs-axum"))),
		...(await optional("y-sweet", join(peersTarget, "y-sweet", "bin", "y-sweet"), [
			...["cargo", "install", "y-sweet", "--version", Y_SWEET, "--locked", "--target-dir", peersTarget],
			...["--root", join(peersTarget, "y-sweet")],
		])),
	];
	const release = (name) => join(target, "release", name);
	const pinned = process.platform === "linux" ? ["taskset", "-c", "1"] : [];
	// 10,000 idle connections are 10,000 open files on each side.
	const script = 'ulimit -n "$(ulimit -Hn)" && exec "$@"';
	const args = ["--relay", release("hither-relay"), "--peers", peers, ...programs, "--amount", amount];
	await must([
		...["sh", "-c", script, "sh", ...pinned, release("hither-bench"), "run", ...args],
		...["--json", json("server")],
	]);
}
if (parts.includes("client")) {
	const built = plainYrs.length > 0 ? ",plainYrs,nativeYrs" : "";
	const subjects = `hither,yjs,ywasm,loro,automerge${built}`;
	const runs = values.quick ? "3" : "5";
	const node = [process.execPath, join(bench, "client", "node.mjs"), ...plainYrs];
	await must([...node, "--subjects", subjects, "--runs", runs, "--json", json("client")]);
}
if (parts.includes("browser")) {
	const pages = [process.execPath, join(bench, "browser", "pages.mjs"), "--amount", amount];
	await must([...pages, "--json", json("browser")]);
}
if (parts.includes("size")) {
	const border = plainYrs.slice(0, 2);
	await must([process.execPath, join(bench, "browser", "weight.mjs"), ...border, "--json", json("size")]);
}
writeFileSync(json("about"), `${JSON.stringify({ date: started, amount, ...versions() }, null, "\t")}\n`);
if (values.write) {
	await must([process.execPath, join(bench, "report", "page.mjs"), out, join(root, "docs")]);
}

/** How a peer is built that is a crate beside its packages. */
function crate(name) {
	return [
		...["cargo", "build", "--release", "--locked", "--target-dir", peersTarget],
		...["--manifest-path", join(peers, name, "Cargo.toml")],
	];
}

/** The options with which the CRDT alone takes part: its border to JavaScript, and its program. None where it cannot be built. */
async function buildPlainYrs() {
	const program = join(peersTarget, "release", "hither-bench-plain-yrs");
	const options = await optional("native-yrs", program, crate("plain-yrs"));
	if (options.length === 0) return [];
	const wasm = "wasm32-unknown-unknown";
	await must([...crate("plain-yrs"), "--lib", "--target", wasm]);
	const folder = join(peersTarget, "plain-yrs");
	await must([program, "bind", join(peersTarget, wasm, "release", "hither_bench_plain_yrs.wasm"), folder]);
	return ["--plain-yrs", folder, ...options];
}

/** The option with which the generator takes a peer that has to be built, or nothing where it cannot be. */
async function optional(name, program, build) {
	if (!existsSync(program)) {
		const built = await run(build, { limitSeconds: 3_600 });
		if (built.code !== 0) {
			console.log(`${name} could not be built and is left out:\n${built.output.slice(-2_000)}`);
			return [];
		}
	}
	return [`--${name}`, program];
}

async function must(argv, cwd = root) {
	const result = await run(argv, { cwd, limitSeconds: 4 * 3_600, onLine: (line) => console.log(line) });
	if (result.code !== 0) process.exit(result.code ?? 1);
}
