// Rules about the repository itself that no compiler and no linter checks.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { findings, paths, root, texts } from "./files.mjs";

const MAX_LINES = 700;
const SOURCE = /\.(rs|ts|tsx|mjs|js|css)$/;
/** The patterns below stand in this folder; everywhere else they are findings. */
const elsewhere = (files) => files.filter(({ path }) => !path.startsWith("tests/rules/"));
const none = (found) => assert.deepEqual(found, []);

test("the rules look at a repository and not at nothing", () => {
	assert.ok(paths.includes("Cargo.toml"));
	assert.ok(texts(SOURCE).length > 50);
});

test("no file names a path of one machine", () => {
	const machine = /(?:^|[^\w.~-])\/(?:root|work|home\/\w+|Users\/\w+|tmp\/\w+)\/|[A-Z]:\\Users\\/;
	none(findings(elsewhere(texts()), (line) => machine.test(line)));
});

test("no file names the host of a package registry or mirror", () => {
	const hosts =
		/registry\.(?:npmjs|yarnpkg)|npmmirror|(?:index|static)\.crates\.io|deb\.debian\.org|proxy\.golang/;
	none(findings(elsewhere(texts()), (line) => hosts.test(line)));
});

test("lock files record versions and hashes, no addresses", () => {
	const npm = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
	const remote = Object.entries(npm.packages).filter(([, entry]) => /:\/\//.test(entry.resolved ?? ""));
	none(remote.map(([name, entry]) => `${name}: ${entry.resolved}`));
	const cargo = texts(/^Cargo\.lock$/);
	assert.equal(cargo.length, 1, "Cargo.lock is part of the repository");
	const usual = 'source = "registry+https://github.com/rust-lang/crates.io-index"';
	none(findings(cargo, (line) => line.startsWith("source = ") && line !== usual));
});

test("nothing is left for later in the code", () => {
	const later = /\b(?:todo|unimplemented)!|\b(?:TODO|FIXME|XXX)\b|\bdbg!/;
	none(findings(elsewhere(texts(SOURCE)), (line) => later.test(line)));
});

test("no test is skipped, ignored, postponed or alone", () => {
	const rust = /#\[ignore\b|#\[cfg_attr\([^\]]*\bignore\b/;
	none(findings(texts(/\.rs$/), (line) => rust.test(line)));
	const script =
		/\b(?:test|it|describe|suite)\.(?:skip|only|todo|fails|skipIf|runIf)\b|\b(?:skip|todo|only)\s*:\s*(?:true|["'`])|\bt\.(?:skip|todo)\(|\bx(?:it|describe)\(/;
	none(findings(elsewhere(texts(/\.(?:test|spec)\.(?:ts|tsx|mjs|js)$/)), (line) => script.test(line)));
});

test(`no source file is longer than ${MAX_LINES} lines`, () => {
	const long = texts(SOURCE).filter(({ lines }) => lines.length > MAX_LINES + 1);
	none(long.map(({ path, lines }) => `${path}: ${lines.length - 1} lines`));
});

test("every crate forbids unsafe code, without exception", () => {
	const manifests = texts(/(^|\/)Cargo\.toml$/).filter(({ text }) => text.includes("[package]"));
	assert.ok(manifests.length >= 8);
	const workspace = readFileSync(join(root, "Cargo.toml"), "utf8");
	assert.match(workspace, /\[workspace\.lints\.rust\][^[]*^unsafe_code = "forbid"$/m);
	const apart = manifests.filter(({ text }) => !/^\[lints\]\s*\nworkspace = true$/m.test(text));
	none(apart.map(({ path }) => `${path}: does not take the workspace's lints`));
	none(findings(texts(/\.rs$/), (line) => /\b(?:allow|expect)\([^)]*unsafe_code/.test(line)));
});

test("every dependency of a crate has its reason beside it", () => {
	const wrong = texts(/(^|\/)Cargo\.toml$/).flatMap(({ path, lines }) =>
		withoutReason(lines).map((line) => `${path}: ${line}`),
	);
	none(wrong);
});

test("every package and crate carries the version of the workspace", () => {
	const version = /^version = "([^"]+)"/m.exec(readFileSync(join(root, "Cargo.toml"), "utf8"))?.[1];
	assert.ok(version);
	const wrong = texts(/(^|\/)package\.json$/)
		.filter(({ path }) => !path.includes("fixtures/"))
		.map(({ path, text }) => ({ path, found: JSON.parse(text).version }))
		.filter(({ found }) => found !== undefined && found !== version);
	none(wrong.map(({ path, found }) => `${path}: ${found}, not ${version}`));
});

test("links between the documents lead somewhere", () => {
	const wrong = texts(/\.md$/).flatMap(({ path, text }) =>
		[...text.matchAll(/\]\((?!https?:|mailto:|#)([^)\s]+?)(?:#[^)]*)?\)/g)]
			.map(([, target]) => normalize(join(dirname(path), target)))
			.filter((target) => !existsSync(join(root, target)))
			.map((target) => `${path}: ${target}`),
	);
	none(wrong);
});

test("continuous integration runs what a developer runs", () => {
	const script = readFileSync(join(root, ".ci/run"), "utf8");
	assert.match(script, /npm test/);
	assert.doesNotMatch(script, /cargo|vitest|node /);
});

/** Dependency lines that are followed by no comment and stand in no group that a comment heads. */
function withoutReason(lines) {
	const wrong = [];
	let section = "";
	let reason = false;
	for (const line of lines) {
		const table = /^\[.*dependencies\.([\w-]+)\]/.exec(line);
		if (table) {
			// [dependencies.web-sys]: the reason stands above, what follows are its settings.
			if (!reason) wrong.push(line);
			section = "";
		} else if (line.startsWith("[")) {
			section = line;
			reason = false;
		} else if (line.trim() === "") reason = false;
		else if (line.trimStart().startsWith("#")) reason = true;
		else if (/dependencies/.test(section) && /^[\w-]+(?:\.\w+)? *=/.test(line)) {
			// Members of this workspace and what the workspace table has already explained.
			const known = /^hither-/.test(line) || /workspace = true/.test(line);
			if (!reason && !known && !line.includes("#")) wrong.push(line);
		}
	}
	return wrong;
}
