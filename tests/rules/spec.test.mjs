// The rules of sdk/protocol/SPEC.md and the tests that prove them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { texts } from "./files.mjs";

const RULE = /\[([A-Z]{1,2}\d{1,2})\]/g;
const spec = texts(/^sdk\/protocol\/SPEC\.md$/)[0]?.text ?? "";
const defined = [...spec.matchAll(/\*\*\[([A-Z]{1,2}\d{1,2})\]\*\*/g)].map(([, rule]) => rule);
const sources = texts(/\.(rs|ts|tsx|mjs)$/).filter(({ path }) => !path.startsWith("tests/rules/"));

test("every rule has its own number", () => {
	assert.ok(defined.length >= 20, "SPEC.md has numbered rules");
	const twice = defined.filter((rule, index) => defined.indexOf(rule) !== index);
	assert.deepEqual(twice, []);
});

test("every rule that the code or the specification cites exists", () => {
	const known = new Set(defined);
	const wrong = [{ path: "sdk/protocol/SPEC.md", text: spec }, ...sources].flatMap(({ path, text }) =>
		[...text.matchAll(RULE)].filter(([, rule]) => !known.has(rule)).map(([, rule]) => `${path}: [${rule}]`),
	);
	assert.deepEqual(wrong, []);
});

test("every rule is proved by a test that cites it", () => {
	const cited = new Set(
		sources.flatMap((source) => [...tested(source).matchAll(RULE)].map(([, rule]) => rule)),
	);
	assert.deepEqual(
		defined.filter((rule) => !cited.has(rule)),
		[],
	);
});

/** The part of a source that is tests: all of it in a folder or file of tests, else what `#[cfg(test)]` begins. */
function tested({ path, text }) {
	if (/(^|\/)tests?\//.test(path) || /(^|[./_])(tests?|contract)\.(rs|ts|tsx|mjs)$/.test(path)) return text;
	const start = text.indexOf("#[cfg(test)]");
	return start < 0 ? "" : text.slice(start);
}
