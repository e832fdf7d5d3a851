// The README's examples as they stand: type-checked, and the first one run in a browser against a relay.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { transformSync } from "esbuild";
import { newPerson, startBrowser } from "./support/browser.mjs";
import { root, startRelay } from "./support/relay.mjs";

const examples = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^```(tsx?)\n(.*?)^```/gms)];
const [first, react] = examples.map(([, , code]) => code);
// Inside this package, so that `hither` and React are found as an application finds them.
const folder = mkdtempSync(join(dirname(fileURLToPath(import.meta.url)), ".readme-"));

let relay;
let browser;

before(async () => {
	relay = await startRelay({ serve: folder });
	browser = await startBrowser();
});

after(async () => {
	await browser?.close();
	await relay?.remove();
	rmSync(folder, { recursive: true, force: true });
});

test("the README has an example without a framework and one with React", () => {
	assert.deepEqual(
		examples.map(([, language]) => language),
		["ts", "tsx"],
	);
});

test("the examples satisfy the strict type checker", () => {
	writeFileSync(join(folder, "first.ts"), first);
	const kitchen = /^type Kitchen = .*$/m.exec(first)[0];
	writeFileSync(join(folder, "react.tsx"), `import type { Text } from "hither";\n${kitchen}\n${react}`);
	const options = {
		strict: true,
		noEmit: true,
		target: "ES2022",
		module: "ESNext",
		moduleResolution: "bundler",
		jsx: "react-jsx",
	};
	writeFileSync(
		join(folder, "tsconfig.json"),
		JSON.stringify({ compilerOptions: { ...options, types: [] } }),
	);
	const tsc = join(root, "node_modules", ".bin", "tsc");
	try {
		execFileSync(tsc, ["-p", folder], { encoding: "utf8", stdio: "pipe" });
	} catch (error) {
		assert.fail(error.stdout);
	}
});

test("the first example runs: the list is printed, both receipts resolve", async () => {
	cpSync(join(root, "sdk", "js", "dist"), join(folder, "hither"), { recursive: true });
	const script = transformSync(first.replace("127.0.0.1:4455", `127.0.0.1:${relay.port}`), {
		loader: "ts",
	}).code;
	writeFileSync(join(folder, "example.js"), `${script}\ndocument.title = "done";\n`);
	const imports = JSON.stringify({ imports: { hither: "/hither/index.js" } });
	writeFileSync(
		join(folder, "index.html"),
		`<!doctype html><link rel="icon" href="data:,"><script type="importmap">${imports}</script><script type="module" src="/example.js"></script>`,
	);
	const page = await newPerson(browser);
	const printed = [];
	// Kept as promises: a value is fetched from the page, which may answer after the title has changed.
	page.on("console", (message) => {
		for (const argument of message.args()) printed.push(argument.jsonValue());
	});
	await page.goto(relay.origin);
	await page.waitForFunction(() => document.title === "done");
	assert.deepEqual(await Promise.all(printed), [[{ title: "Milk", done: false }]]);
	assert.deepEqual(page.errors, []);
	await page.context().close();
});
