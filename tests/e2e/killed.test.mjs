// Chromium's renderer is killed while a page writes, again and again, each time the moment the page was told that an edit
// is on the disk. What it was told is there afterwards. No relay is connected: nothing else could bring it back.
//
//   HITHER_KILLS=500 node --test tests/e2e/killed.test.mjs     500 kills; npm test does 10
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { launchOptions } from "./support/browser.mjs";
import { startRelay } from "./support/relay.mjs";
import { makeSite } from "./support/site.mjs";

const KILLS = Number(process.env.HITHER_KILLS ?? 10);

let site;
let relay;
let profile;
let context;
let devtools;

before(async () => {
	site = makeSite();
	relay = await startRelay({ store: "memory", serve: site.folder });
	profile = mkdtempSync(join(tmpdir(), "hither-killed-"));
	context = await chromium.launchPersistentContext(profile, launchOptions);
	devtools = await context.browser().newBrowserCDPSession();
});

after(async () => {
	await context?.close();
	await relay?.remove();
	site?.remove();
	// A process of the browser may still write there.
	if (profile) rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
});

test(`nothing is lost when the renderer is killed the moment an edit was said to be saved, ${KILLS} times`, async (t) => {
	const promised = [];
	let killed = 0;
	for (let round = 0; round < KILLS; round++) {
		const page = await context.newPage();
		const crashed = new Promise((resolve) => page.once("crash", resolve));
		await page.goto(`${relay.origin}/?room=killed&apart`);
		await page.waitForFunction(() => window.app);
		const renderers = await pids("renderer");
		// Not always the first of its edits: later ones have more under way.
		let saved = 0;
		const enough = new Promise((resolve) => {
			page.on("console", (message) => {
				const [word, name] = message.text().split(" ");
				if (word !== "saved") return;
				promised.push(name);
				if (++saved > round % 5) resolve(renderers.forEach(kill));
			});
		});
		// Never answers: the page dies first.
		page.evaluate(keepWriting, round).catch(() => {});
		await enough;
		await crashed;
		for (const pid of renderers) await gone(pid);
		killed += 1;
		await page.close();
	}
	const page = await context.newPage();
	await page.goto(`${relay.origin}/?room=killed&apart`);
	await page.waitForFunction(() => window.app);
	const items = await page.evaluate(() => window.app.seen().items);
	const there = new Set(items);
	assert.deepEqual(
		promised.filter((name) => !there.has(name)),
		[],
	);
	// Edits that nobody promised may be there as well, in order and without a hole.
	const asMade = items.every((name, index) => {
		const [round, number] = name.split("-").map(Number);
		return number === 0
			? !items.slice(0, index).includes(name)
			: items[index - 1] === `${round}-${number - 1}`;
	});
	assert.ok(asMade, `${items}`);
	assert.equal(killed, KILLS);
	assert.ok(promised.length >= KILLS);
	t.diagnostic(`${killed} renderers killed, ${promised.length} edits promised, ${items.length} there`);
});

/** Runs in the page: several edits under way at any time, and says which are on the disk. */
async function keepWriting(round) {
	for (let number = 0; ; number++) {
		const name = `${round}-${number}`;
		const { local } = window.app.add(name);
		local.then(() => console.log(`saved ${name}`));
		if (number % 3 === 2) await local;
	}
}

/** The processes of this browser that are of `type`. */
async function pids(type) {
	const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
	return processInfo.filter((process) => process.type === type).map(({ id }) => id);
}

function kill(pid) {
	try {
		process.kill(pid, "SIGKILL");
	} catch (error) {
		// A spare renderer may have ended by itself; the page's own has not.
		if (error.code !== "ESRCH") throw error;
	}
}

/** Waits until no process has this id. */
async function gone(pid) {
	const deadline = Date.now() + 60_000;
	for (;;) {
		try {
			process.kill(pid, 0);
		} catch (error) {
			assert.equal(error.code, "ESRCH");
			return;
		}
		assert.ok(Date.now() < deadline, `process ${pid} is still there`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}
