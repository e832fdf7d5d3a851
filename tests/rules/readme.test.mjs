// Numbers in the README are those of the code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./files.mjs";

const read = (path) => readFileSync(join(root, path), "utf8");

test("the limits in the README are those of the code", () => {
	const rows = [...read("README.md").matchAll(/^\| [^|]+ \| ([^|]+) \| `([A-Z_]+)` \|$/gm)];
	assert.ok(rows.length >= 8, "the README has a table of limits");
	const source = read("sdk/protocol/src/limits.rs") + read("sdk/core/src/packet.rs");
	for (const [, shown, name] of rows)
		assert.equal(bytes(shown), constant(source, name), `${name}: the README says ${shown}`);
});

test("the versions of Node and Rust in the README and the packages agree", () => {
	const needed = JSON.parse(read("package.json")).engines.node.replace(">=", "");
	assert.ok(read("README.md").includes(`Node](https://nodejs.org) ${needed} or newer`));
	assert.ok(read("scripts/tools.mjs").includes(`const NODE = [${needed.split(".").join(", ")}]`));
});

/** `pub const NAME: usize = 8 * 1024;` as a number. */
function constant(source, name) {
	const value = new RegExp(`const ${name}: \\w+ = ([\\d_ *]+);`).exec(source)?.[1];
	assert.ok(value, `${name} is a product of numbers`);
	return value.split("*").reduce((product, factor) => product * Number(factor.replaceAll("_", "").trim()), 1);
}

/** "8 MiB", "1,000" or "256 bytes" as a number. */
function bytes(shown) {
	const [number, unit] = shown.trim().split(" ");
	return Number(number.replaceAll(",", "")) * ({ KiB: 1024, MiB: 1024 ** 2 }[unit] ?? 1);
}
