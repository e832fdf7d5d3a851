// Pages come, edit and leave, for as long as one likes; relay and page take no more memory at the end than early on.
//
//   HITHER_CHURN_MINUTES=30 node --test tests/e2e/churn.test.mjs     half an hour; npm test does 20 seconds
//
// One page stays in a room all the time. Visitors come to this room, each also opens one of its own, both are edited in
// place (the content stays the same size), and the visitor leaves. What is measured after each visit: the resident
// set of the relay (/proc, so only on Linux), the JavaScript heap of the page that stays after a collection, the
// memory of its WebAssembly.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { startBrowser } from "./support/browser.mjs";
import { startRelay } from "./support/relay.mjs";
import { makeSite } from "./support/site.mjs";

const MINUTES = Number(process.env.HITHER_CHURN_MINUTES ?? 1 / 3);
const EDITS = 200;
/** 400 updates of about 150 bytes with their keys. */
const WRITTEN_PER_VISIT = 64 * 1024;
const MIB = 1024 * 1024;

let site;
let relay;
let browser;

before(async () => {
	site = makeSite();
	relay = await startRelay({ serve: site.folder });
	browser = await startBrowser();
});

after(async () => {
	await browser?.close();
	await relay?.remove();
	site?.remove();
});

test(`pages come and go for ${Math.round(MINUTES * 60)} s, memory stays where it was`, async (t) => {
	const resident = await visit("shared");
	const devtools = await resident.context().newCDPSession(resident);
	const measures = [];
	const end = Date.now() + MINUTES * 60_000;
	for (let number = 1; Date.now() < end || measures.length < 12; number++) {
		await comeAndGo(number);
		await resident.waitForFunction((title) => window.app.seen().title === title, titleOf(number));
		measures.push(await measure(resident, devtools));
	}
	assert.deepEqual(await resident.evaluate(() => window.app.failures), []);
	await resident.context().close();

	// The first quarter warms up: caches fill, code is compiled, the relay compacts for the first time.
	const quarter = measures.length >> 2;
	// What was written also stays in the store's table in memory, until that has 64 MiB and goes to the disk.
	const written = Math.min(64 * MIB, (measures.length - 2 * quarter) * WRITTEN_PER_VISIT);
	for (const [what, allowed] of [
		["relay", 8 * MIB + written],
		["heap", 2 * MIB],
		// It grows ahead of what is needed, in steps of 16 MiB: one at most.
		["wasm", 16 * MIB],
	]) {
		const highest = (from, to) => Math.max(...measures.slice(from, to).map((measure) => measure[what]));
		const [early, late] = [highest(quarter, 2 * quarter), highest(-quarter)];
		const shown = [early, late].map((bytes) => `${(bytes / MIB).toFixed(2)} MiB`).join(" → ");
		t.diagnostic(`${what}: ${shown} over ${measures.length} visits`);
		assert.ok(late - early <= allowed, `${what} grew: ${shown}`);
	}
});

/** A page with a room of its own, in a new context: a device that was never here. */
async function visit(room) {
	const context = await browser.newContext();
	await context.addInitScript(keepWasmMemory);
	const page = await context.newPage();
	await page.goto(`${relay.origin}/?room=${room}`);
	// Who writes before the room has come writes beside what is in it.
	await page.waitForFunction(() => window.app?.seen().connection === "online");
	return page;
}

/** A visitor edits the room of all and one of its own, and leaves. */
async function comeAndGo(number) {
	const page = await visit("shared");
	await page.evaluate(
		async ({ number, edits, title }) => {
			const own = await app.client.open(`own-${number}`, { initial: { field: {} } });
			for (let edit = 0; edit < edits; edit++) {
				app.room.change((draft) => draft.title.set(`${edit} of ${number}`));
				own.change((draft) => {
					draft.field[edit % 10] = `${edit}`.padEnd(100);
				});
				// Not all in one task: each edit is an update of its own on the wire and on the disk.
				if (edit % 10 === 0) await new Promise((resolve) => setTimeout(resolve));
			}
			await own.change((draft) => {
				draft.field.last = true;
			}).server;
			await app.room.change((draft) => draft.title.set(title)).server;
		},
		{ number, edits: EDITS, title: titleOf(number) },
	);
	assert.deepEqual(await page.evaluate(() => window.app.failures), []);
	await page.context().close();
}

const titleOf = (number) => `visit ${number} is over`;

/** Bytes that are held: by the relay's process, by JavaScript in the page after a collection, by its WebAssembly. */
async function measure(page, devtools) {
	await devtools.send("HeapProfiler.collectGarbage");
	const { usedSize } = await devtools.send("Runtime.getHeapUsage");
	const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${relay.pid()}/status`, "utf8"))[1];
	return {
		relay: Number(resident) * 1024,
		heap: usedSize,
		wasm: await page.evaluate(() => window.wasmMemory.buffer.byteLength),
	};
}

/** Runs before the page's own scripts: the package gives its WebAssembly to nobody. */
function keepWasmMemory() {
	for (const name of ["instantiate", "instantiateStreaming"]) {
		const original = WebAssembly[name];
		WebAssembly[name] = async (...given) => {
			const result = await original.apply(WebAssembly, given);
			window.wasmMemory = (result.instance ?? result).exports.memory;
			return result;
		};
	}
}
