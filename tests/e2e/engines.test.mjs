// What Hither is for, in each engine that browsers are made of: edit, persist, reload, edit offline, merge, reconnect,
// receipts, presence. Two devices of one engine with a storage each, one relay.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { chromiumEngine } from "./engines/chromium.mjs";
import { firefoxEngine } from "./engines/firefox.mjs";
import { webkitEngine } from "./engines/webkit.mjs";
import { startRelay } from "./support/relay.mjs";
import { makeSite } from "./support/site.mjs";

let site;
let relay;

before(async () => {
	site = makeSite();
	relay = await startRelay({ serve: site.folder });
});

after(async () => {
	await relay?.remove();
	site?.remove();
});

for (const engine of [chromiumEngine, firefoxEngine, webkitEngine]) {
	describe(`${engine.name}:`, () => {
		let alice;
		let bob;
		let rooms = 0;
		const newRoom = () => `${engine.name}-${++rooms}`;

		before(async () => {
			// One after the other: each looks for a free port and a free screen.
			alice = await engine.device();
			bob = await engine.device();
		});
		after(async () => {
			await Promise.all([alice?.close(), bob?.close()]);
		});

		test("an edit is visible at once, and its receipts say when the disk and the relay have it", async () => {
			const page = await visit(alice, newRoom());
			await shows(page, { connection: "online" });
			const [atOnce, afterLocal, afterServer, said] = await page.run(async () => {
				const said = { local: new Set(), server: new Set() };
				app.room.onStatus(({ local, server }) => {
					said.local.add(local.state);
					said.server.add(server.state);
				});
				const { local, server } = app.add("first");
				const atOnce = app.seen();
				await local;
				const afterLocal = app.seen();
				await server;
				const afterServer = app.seen();
				return [atOnce, afterLocal, afterServer, [...said.local, ...said.server]];
			});
			assert.deepEqual(atOnce.items, ["first"]);
			assert.equal(afterLocal.local, "saved");
			assert.equal(afterServer.server, "saved");
			assert.ok(said.includes("saving") && said.includes("pending"), `${said}`);
			await leave(page);
		});

		test("what is on the disk is there after a reload, without a connection", async () => {
			const room = newRoom();
			const page = await visit(alice, room, "&apart");
			await page.run(async () => {
				app.add("kept");
				await app.room.change((draft) => draft.title.insert(0, "Título 😀")).local;
			});
			await page.goto(address(room, "&apart"));
			await shows(page, {
				title: "Título 😀",
				items: ["kept"],
				connection: "offline",
				local: "saved",
				server: "pending",
			});
			await leave(page);
		});

		test("edits made offline are kept over a reload, merge, and reach the relay when it is reached", async () => {
			const room = newRoom();
			const [one, two] = await Promise.all([visit(alice, room), visit(bob, room)]);
			await one.run(() => app.room.change((draft) => draft.title.insert(0, "middle")).server);
			await shows(two, { title: "middle" });
			await one.run(async () => {
				app.client.disconnect();
				app.room.change((draft) => draft.title.insert(0, "left "));
				await app.add("from one").local;
			});
			await one.goto(address(room, "&apart"));
			await shows(one, { title: "left middle", items: ["from one"], server: "pending" });
			await two.run(async () => {
				await app.room.change((draft) => draft.title.append(" right")).server;
				await app.add("from two").server;
			});
			await shows(one, { title: "left middle", items: ["from one"] });
			await one.run(() => app.client.connect());
			const merged = { title: "left middle right", count: 2, server: "saved", connection: "online" };
			await shows(one, merged);
			await shows(two, merged);
			const [{ items }, other] = await Promise.all([one, two].map((page) => page.run(() => app.seen())));
			assert.deepEqual([...items].sort(), ["from one", "from two"]);
			assert.deepEqual(other.items, items);
			await leave(one, two);
		});

		test("both come back to a relay that was killed, with what they wrote meanwhile", async () => {
			const room = newRoom();
			const [one, two] = await Promise.all([visit(alice, room), visit(bob, room)]);
			await one.run(() => app.add("before").server);
			await shows(two, { items: ["before"] });
			await relay.kill();
			try {
				for (const page of [one, two]) await shows(page, { connection: "waiting" });
				await one.run(() => app.add("meanwhile").local);
			} finally {
				await relay.start();
			}
			await shows(one, { items: ["before", "meanwhile"], server: "saved", connection: "online" });
			await one.run(() => app.receipts.at(-1).server);
			await shows(two, { items: ["before", "meanwhile"], connection: "online" });
			await leave(one, two);
		});

		test("presence arrives, and goes with the page", async () => {
			const room = newRoom();
			const [one, two] = await Promise.all([visit(alice, room), visit(bob, room)]);
			await one.run(() => app.room.presence.set({ name: "Alice", at: [1, 2] }));
			await shows(two, { others: [{ name: "Alice", at: [1, 2] }] });
			await leave(one);
			await shows(two, { others: [] });
			await leave(two);
		});

		const afterRestart = engine.keepsProfiles
			? "what is on the disk is there after a restart of the browser"
			: "a new session of its automation keeps nothing, so a restart shows only what the relay has";
		test(afterRestart, async () => {
			const room = newRoom();
			let page = await visit(alice, room);
			await page.run(() => app.add("on the relay").server);
			await page.run(async () => {
				app.client.disconnect();
				await app.add("only here").local;
			});
			await leave(page);
			await alice.restart();
			const kept = engine.keepsProfiles ? ["on the relay", "only here"] : [];
			page = await visit(alice, room, "&apart");
			await shows(page, { items: kept });
			await page.run(() => app.client.connect());
			await shows(page, {
				items: engine.keepsProfiles ? kept : ["on the relay"],
				server: "saved",
				connection: "online",
			});
			await leave(page);
		});
	});
}

const address = (room, rest = "") => `${relay.origin}/?room=${room}${rest}`;

/** A page with the room open. */
async function visit(device, room, rest) {
	const page = await device.page(address(room, rest));
	await shows(page, { failures: [] });
	return page;
}

/** Waits until the page shows `expected`, which names some of `app.seen()`. */
async function shows(page, expected) {
	const deadline = Date.now() + 60_000;
	for (;;) {
		const seen = (await page.run(() => window.app?.seen() ?? null)) ?? {};
		const found = Object.fromEntries(Object.keys(expected).map((key) => [key, seen[key]]));
		if (isDeepStrictEqual(found, expected)) return;
		if (Date.now() > deadline) assert.deepEqual(found, expected);
		await new Promise((resolve) => setTimeout(resolve, 25));
	}
}

async function leave(...pages) {
	for (const page of pages) {
		assert.deepEqual(await page.run(() => app.failures), []);
		await page.close();
	}
}
