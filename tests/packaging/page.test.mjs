// The package in pages: through Vite without any configuration, and without a bundler on servers good and bad.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { APP, PAGE, stopBrowser, visit } from "./support/app.mjs";
import { command, newProject, run, serve } from "./support/project.mjs";
import { serveFiles } from "./support/static.mjs";

after(stopBrowser);

const vite = command("vite", "bin/vite.js");
const viteProject = () =>
	newProject({ "index.html": PAGE('<script type="module" src="/main.js"></script>'), "main.js": APP }, [
		"vite",
	]);

/** A page without a bundler. */
const plainProject = () =>
	newProject({
		"index.html": PAGE(
			'<script type="importmap">{"imports":{"hither":"/node_modules/hither/dist/index.js"}}</script><script type="module" src="/main.js"></script>',
		),
		"main.js": APP,
	});

const isInlined = (path) => /inlined/.test(path);
const isWasm = (path) => /\.wasm$/.test(path);

test("a page built by Vite fetches the engine and does not load the inlined one", async (t) => {
	const folder = viteProject();
	run(folder, vite, "build");
	const server = await serveFiles(`${folder}/dist`);
	t.after(server.stop);
	const loaded = await visit(server.origin);
	assert.equal(loaded.filter(isWasm).length, 1);
	assert.equal(loaded.filter(isInlined).length, 0);
});

test("a page built by Vite below a path works there", async (t) => {
	const folder = viteProject();
	run(folder, vite, "build", "--base", "./", "--outDir", "out/deep/path");
	const server = await serveFiles(`${folder}/out`);
	t.after(server.stop);
	await visit(`${server.origin}/deep/path/index.html`);
});

test("Vite's development server runs it", async (t) => {
	const { origin, stop } = await serve(viteProject(), vite, "--port", "0", "--host", "127.0.0.1");
	t.after(stop);
	await visit(origin);
});

test("a page without a bundler runs it", async (t) => {
	const server = await serveFiles(plainProject());
	t.after(server.stop);
	const loaded = await visit(server.origin);
	assert.equal(loaded.filter(isInlined).length, 0);
});

for (const [name, options] of [
	["calls WebAssembly something else", { types: { ".wasm": "application/octet-stream" } }],
	["answers HTML for what it does not know", { missing: PAGE("not here"), types: { ".wasm": "text/html" } }],
]) {
	test(`a server that ${name} gets the inlined engine asked for`, async (t) => {
		const server = await serveFiles(plainProject(), options);
		t.after(server.stop);
		const loaded = await visit(server.origin);
		assert.equal(loaded.filter(isInlined).length, 1);
	});
}
