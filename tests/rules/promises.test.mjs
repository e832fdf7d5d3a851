// Every promise has its proof: docs/promises.md names tests that exist, and leaves out no promise of the README.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { test } from "node:test";
import { root } from "./files.mjs";

const read = (path) => readFileSync(join(root, path), "utf8");
/** Lines are wrapped, sentences are not. */
const flat = (text) => text.replaceAll(/\s+/g, " ");
const proofs = (page) =>
	[...read(page).matchAll(/\[`([^`]+)`\]\(([^)#]+\.(?:rs|mjs|tsx?))\)/g)].map(([, name, target]) => ({
		name,
		path: normalize(join(page, "..", target)),
	}));

for (const page of ["docs/promises.md", "SECURITY.md"]) {
	test(`every test that ${page} names exists`, () => {
		const named = proofs(page);
		assert.ok(named.length >= 20, `${page} names tests`);
		const missing = named.filter(
			({ name, path }) => !existsSync(join(root, path)) || !holds(read(path), name),
		);
		assert.deepEqual(missing, []);
	});
}

test("every promise of the README is on the page of promises", () => {
	const section = /## What is promised\n([\s\S]*?)\n## /.exec(read("README.md"))?.[1] ?? "";
	const promised = [...section.matchAll(/^\| ([^|]+) \|[^|]*\|$/gm)].map(([, text]) => text.trim());
	const promises = promised.filter((text) => text !== "promise" && !/^-+$/.test(text));
	const refusals = [...section.matchAll(/^- \*\*([^*]+)\*\*/gm)].map(([, text]) => text);
	assert.ok(promises.length >= 9 && refusals.length >= 6, "the README promises something");
	const page = flat(read("docs/promises.md"));
	assert.deepEqual(
		[...promises, ...refusals].filter((text) => !page.includes(`**${flat(text)}`)),
		[],
	);
});

test("every promise has a proof", () => {
	const [promised] = read("docs/promises.md").split("## Not promised");
	const paragraphs = promised.split(/\n(?=\*\*)/).slice(1);
	assert.ok(paragraphs.length >= 15);
	assert.deepEqual(
		paragraphs.filter((text) => !/^- .*\[`/m.test(text)).map((text) => text.slice(0, 80)),
		[],
	);
});

/** Whether a source has a test of that name. */
function holds(source, name) {
	if (/^\w+$/.test(name) && source.includes(`fn ${name}(`)) return true;
	return ["test", "it"].some((word) =>
		['"', "'", "`"].some((quote) => source.includes(`${word}(${quote}${name}${quote}`)),
	);
}
