import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./command.mjs";
import { judge } from "./counts.mjs";

const ended = (output, code = 0) => ({ code, output, timedOut: false });

test("cargo's results are added up over its binaries", () => {
	const output = [
		"test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
		"test a_name_with_9_passed ... ok",
		"test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
	].join("\n");
	assert.deepEqual(judge("cargo", ended(output, 101)), { passed: 4, failed: 2, notes: [] });
});

test("an ignored, skipped or postponed test counts as failed", () => {
	assert.equal(judge("cargo", ended("test result: ok. 3 passed; 0 failed; 1 ignored;")).failed, 1);
	assert.equal(
		judge("node", ended("ℹ tests 2\nℹ pass 1\nℹ fail 0\nℹ cancelled 0\nℹ skipped 1\nℹ todo 0\n")).failed,
		1,
	);
	assert.equal(judge("vitest", ended("      Tests  3 passed | 1 skipped (4)\n")).failed, 1);
});

test("node's summary is read from both of its reporters", () => {
	const spec = "ℹ tests 5\nℹ pass 3\nℹ fail 1\nℹ cancelled 1\nℹ skipped 0\nℹ todo 0\n";
	assert.deepEqual(judge("node", ended(spec, 1)), { passed: 3, failed: 2, notes: [] });
	assert.equal(judge("node", ended("# pass 7\n# fail 0\n")).passed, 7);
});

test("vitest's summary is read through its colours, files do not count as tests", () => {
	const output =
		" Test Files  2 passed (2)\n\u001b[2m      Tests \u001b[22m \u001b[1m\u001b[32m12 passed\u001b[39m\u001b[22m (12)\n";
	assert.deepEqual(judge("vitest", ended(output)), { passed: 12, failed: 0, notes: [] });
});

test("a suite that ran no test has failed", () => {
	assert.deepEqual(judge("node", ended("")), { passed: 0, failed: 1, notes: ["no test ran"] });
});

test("a suite that crashed after its tests had passed has failed", () => {
	assert.equal(judge("vitest", ended("  Tests  4 passed (4)\nUnhandled Rejection", 1)).failed, 1);
});

test("a command that does not end is ended, with what it has started", async () => {
	const script =
		"require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' }); setInterval(() => {}, 1000)";
	const result = await run([process.execPath, "-e", script], { limitSeconds: 0.5 });
	assert.equal(result.timedOut, true);
	assert.ok(result.seconds < 30);
	assert.equal(judge("check", result).failed, 1);
});

test("a program that does not exist is a result, not an exception", async () => {
	const result = await run(["hither-no-such-program"]);
	assert.equal(result.missing, true);
	assert.equal(judge("check", result).failed, 1);
});
