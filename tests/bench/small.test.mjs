// Every benchmark runs small among the tests, so that it does not rot. What it finds is not looked at: times on a shared
// machine prove nothing.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { measurePages } from "./browser/pages.mjs";
import { measureClient } from "./client/node.mjs";
import { WORKS } from "./client/work.mjs";

test("the servers' benchmark runs, and every receiver gets everything", async () => {
	const relay = process.env.HITHER_RELAY_BIN;
	const folder = mkdtempSync(join(tmpdir(), "hither-bench-"));
	const file = join(folder, "figures.json");
	try {
		const program = join(dirname(relay), "hither-bench");
		const args = ["run", "--amount", "small", "--relay", relay, "--json", file];
		await promisify(execFile)(program, args, { timeout: 420_000 });
		const works = JSON.parse(readFileSync(file, "utf8"));
		assert.ok(works.length >= 10);
		for (const { work, servers } of works) {
			assert.ok(servers["Hither, file store"]?.figure !== undefined, work);
			for (const [name, { failed }] of Object.entries(servers))
				assert.equal(failed, undefined, `${work}, ${name}`);
		}
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
});

test("the page's benchmark runs, and every page shows every edit", async () => {
	const figures = await measurePages({ amount: "small" });
	assert.equal(figures["rows-rendered"].hither, 1);
	for (const { hither } of Object.values(figures)) assert.ok(hither >= 0);
});

test("the client's benchmark runs, and every document is as it should be", async () => {
	const figures = await measureClient({ small: true, runs: 1 });
	assert.deepEqual(Object.keys(figures), Object.keys(WORKS));
	for (const { hither, yjs } of Object.values(figures)) assert.ok(hither >= 0 && yjs >= 0);
});
