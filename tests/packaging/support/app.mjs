// A small app on the package, as a new user writes it, and what must be true of a page that runs it.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

/** Opens a room, edits it, waits for this device's disk, opens it again with another client, and says what it found. */
export const APP = `
import { createClient, text } from "hither";

async function main() {
	const initial = { title: text("Plans"), todos: [] };
	const client = createClient({ connect: false, url: "ws://127.0.0.1:9/sync" });
	const room = await client.open("board", { initial });
	room.change((d) => {
		d.todos.push({ title: "Milk", done: false });
		d.title.append("!");
	});
	const shown = JSON.stringify(room.state);
	await room.change((d) => { d.todos[0].done = true; }).local;
	await client.close();

	const again = createClient({ connect: false, url: "ws://127.0.0.1:9/sync" });
	const reopened = await again.open("board", { initial });
	return { shown, kept: JSON.stringify(reopened.state) };
}

main().then(
	(result) => { document.title = "done"; document.body.textContent = JSON.stringify(result); },
	(error) => { document.title = "failed"; document.body.textContent = String(error.stack ?? error); },
);
`;

export const PAGE = (script) =>
	`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>…</title></head><body>${script}</body></html>`;

let browser;

export async function stopBrowser() {
	await browser?.close();
}

/** Opens a page and checks that the app did its work there; gives the paths that the page loaded. */
export async function visit(address) {
	const executablePath =
		process.env.CHROMIUM_BIN ?? ["/usr/bin/chromium", "/usr/bin/google-chrome"].find(existsSync);
	browser ??= await chromium.launch({
		executablePath,
		args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
	});
	const context = await browser.newContext();
	// A development server prepares much before it answers.
	context.setDefaultTimeout(90_000);
	const page = await context.newPage();
	const loaded = [];
	const errors = [];
	page.on("response", (response) => loaded.push(new URL(response.url()).pathname));
	page.on("pageerror", (error) => errors.push(error.message));
	await page.goto(address);
	// Title and body at once: a development server may load the page again in between.
	const said = await page.waitForFunction(
		() => /^(done|failed)$/.test(document.title) && [document.title, document.body.textContent],
		undefined,
		{ timeout: 90_000 },
	);
	const [title, body] = await said.jsonValue();
	assert.equal(title, "done", body);
	assert.deepEqual(errors, []);
	const { shown, kept } = JSON.parse(body);
	// The order of keys is the engine's.
	assert.deepEqual(JSON.parse(shown), { title: "Plans!", todos: [{ title: "Milk", done: false }] });
	assert.deepEqual(JSON.parse(kept), { title: "Plans!", todos: [{ title: "Milk", done: true }] });
	await context.close();
	return loaded;
}
