// What is in the tarball, and whether tools that read packages find it in order.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { newProject, tarball } from "./support/project.mjs";

/** The wasm file twice (once inlined) and this much for everything else. */
const MAX_BYTES = 700_000;

test("the tarball holds what is built and nothing else", () => {
	const files = execFileSync("tar", ["-tzf", tarball()], { encoding: "utf8" }).trim().split("\n");
	const strange = files.filter(
		(name) =>
			!/^package\/(package\.json|README\.md|dist\/LICENSE-(MIT|APACHE))$/.test(name) &&
			!/^package\/dist\/(react\/)?[a-z-]+(\.d)?\.(js|ts)$/.test(name) &&
			!/^package\/dist\/wasm\/(hither\.js|hither_bg\.wasm|inlined\.js)$/.test(name),
	);
	assert.deepEqual(strange, []);
	for (const name of [
		"README.md",
		"dist/index.js",
		"dist/node.js",
		"dist/react/index.d.ts",
		"dist/wasm/hither.js",
	]) {
		assert.ok(files.includes(`package/${name}`), name);
	}
	const size = statSync(tarball()).size;
	assert.ok(size < MAX_BYTES, `${size} bytes`);
});

test("publint has nothing to say", async () => {
	const { messages } = await publint({ pkgDir: `${newProject({})}/node_modules/hither`, strict: true });
	assert.deepEqual(messages, []);
});

test("every way of resolving modules finds the types that fit", async () => {
	const data = createPackageFromTarballData(new Uint8Array(readFileSync(tarball())));
	const { problems } = await checkPackage(data, { excludeEntrypoints: ["./wasm", "./package.json"] });
	// node10 knows no exports, and CommonJS gets an ES module, which Node can require since 20.19.
	const known = ["node10", "node16-cjs"];
	const real = problems.filter(
		(problem) => !known.includes(problem.resolutionKind) && problem.kind !== "CJSResolvesToESM",
	);
	assert.deepEqual(real, []);
});
