// The engine without the package above it, in a real browser with a profile on disk: what IndexedDB keeps, what
// happens when it goes away, and what the page's life and the network do to an engine.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { root, startRelay } from "./support/relay.mjs";

const dist = process.env.HITHER_DIST ?? join(root, "sdk", "js", "dist");
const executablePath =
	process.env.CHROMIUM_BIN ?? ["/usr/bin/chromium", "/usr/bin/google-chrome"].find(existsSync);
const profile = mkdtempSync(join(tmpdir(), "hither-shell-"));
let relay;
let context;
let names = 0;

/** Room and database names that no other test of this file uses. */
const fresh = (what) => `${what}-${++names}`;

before(async () => {
	relay = await startRelay({ serve: dist });
	context = await launch();
});

after(async () => {
	await context?.close();
	await relay?.remove();
	// A process of the browser may still write there.
	rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
});

// A profile on disk: contexts of a shared browser keep IndexedDB in memory.
function launch() {
	return chromium.launchPersistentContext(profile, {
		executablePath,
		args: ["--disable-quic", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])],
	});
}

/** A page with the engine loaded and a few helpers; playwright's evaluate runs inside it. */
async function newPage() {
	const page = await context.newPage();
	page.crashes = [];
	page.on("pageerror", (error) => page.crashes.push(error.message));
	await load(page);
	return page;
}

async function load(page) {
	await page.goto(`${relay.origin}/healthz`);
	await page.evaluate(helpers, `ws://127.0.0.1:${relay.port}/sync`);
}

/** Runs in the page. */
async function helpers(url) {
	const glue = await import("/wasm/hither.js");
	const { instantiate } = await import("/instance.js");
	await instantiate(await fetch("/wasm/hither_bg.wasm"));
	const varuint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varuint(n >>> 7)]);
	Object.assign(window, {
		events: [],
		/** An engine whose sink collects; offline unless told otherwise. */
		start(options, sink) {
			const collect = (room, kind, payload) => {
				window.events.push({ room, kind, payload });
				sink?.(room, kind, payload);
			};
			window.engine = new glue.Engine({ url, connect: false, ...options }, collect);
		},
		/** Opens a room and waits for its state, as the text of the packet. */
		async open(name) {
			window.room = window.engine.open(name, new Uint8Array());
			await window.until(() => window.last("ready") !== undefined);
			return window.textOf(window.last("ready"));
		},
		/** The packet of one map-set of a string at the root. */
		set(key, value) {
			const text = new TextEncoder().encode(key + value);
			const length = new Uint8Array(new Uint32Array([text.length]).buffer);
			const body = [1, 0, ...varuint(key.length), 7, ...varuint(value.length)];
			return new Uint8Array([...length, ...text, ...body]);
		},
		/** Changes and returns the number of the edit, which stands before the patch. */
		edit(key, value, room = window.room) {
			const done = window.engine.change(room, window.set(key, value));
			return new DataView(done.buffer, done.byteOffset).getFloat64(0, true);
		},
		/** Changes and waits until it is on the disk. */
		async save(key, value) {
			const number = window.edit(key, value);
			await window.until(() => (window.last("saved") ?? 0) >= number);
		},
		textOf(packet) {
			const length = new DataView(packet.buffer, packet.byteOffset).getUint32(0, true);
			return new TextDecoder().decode(packet.subarray(4, 4 + length));
		},
		last: (kind) => window.events.findLast((event) => event.kind === kind)?.payload,
		async until(test, limit = 60_000) {
			const deadline = performance.now() + limit;
			while (!test()) {
				if (performance.now() > deadline) {
					throw new Error(`not within ${limit} ms: ${test}\n${JSON.stringify(window.events)}`);
				}
				await new Promise((resolve) => setTimeout(resolve, 5));
			}
		},
		deleted(name) {
			return new Promise((resolve, reject) => {
				const request = indexedDB.deleteDatabase(name);
				request.onsuccess = () => resolve();
				request.onerror = () => reject(request.error);
				request.onblocked = () => reject(new Error("blocked by an open handle"));
			});
		},
	});
}

/** What a new page finds in a room, offline. */
async function found(database, name) {
	const page = await newPage();
	const text = await page.evaluate(
		([database, name]) => {
			start({ database });
			return open(name);
		},
		[database, name],
	);
	await page.close();
	return text;
}

/** A page with an open room. */
async function pageIn(database, name, options = {}) {
	const page = await newPage();
	await page.evaluate(
		([options, name]) => {
			start(options);
			return open(name);
		},
		[{ database, ...options }, name],
	);
	return page;
}

describe("what is saved here", () => {
	test("survives a reload and a restart of the browser", async () => {
		const database = fresh("kept");
		const page = await pageIn(database, "room");
		await page.evaluate(() => save("title", "Plans"));
		await page.close();
		assert.match(await found(database, "room"), /Plans/);
		await context.close();
		context = await launch();
		assert.match(await found(database, "room"), /Plans/);
	});

	test("survives the renderer killed the moment it was said to be saved, five times", async () => {
		const database = fresh("killed");
		for (let round = 0; round < 5; round++) {
			const page = await newPage();
			const devtools = await context.newCDPSession(page);
			const crashed = new Promise((resolve) => page.once("crash", resolve));
			page.on("console", (message) => {
				if (message.text() === "saved") devtools.send("Page.crash").catch(() => {});
			});
			// Never answers: the page dies first.
			page
				.evaluate(
					async ([database, round]) => {
						start({ database }, (_, kind) => kind === "saved" && console.log("saved"));
						await open("room");
						engine.change(room, set(`key${round}`, `round${round}`));
					},
					[database, round],
				)
				.catch(() => {});
			await crashed;
			await page.close();
		}
		const text = await found(database, "room");
		for (let round = 0; round < 5; round++) assert.match(text, new RegExp(`round${round}`));
	});

	test("writes nothing when a room is only opened", async () => {
		const database = fresh("untouched");
		const page = await pageIn(database, "room");
		const rows = await page.evaluate(async (name) => {
			await engine.close();
			const handle = await new Promise((resolve) => {
				const request = indexedDB.open(name);
				request.onsuccess = () => resolve(request.result);
			});
			const counts = ["meta", "updates", "outbox"].map(
				(store) =>
					new Promise((resolve) => {
						const request = handle.transaction(store).objectStore(store).count();
						request.onsuccess = () => resolve(request.result);
					}),
			);
			return Promise.all(counts);
		}, database);
		assert.deepEqual(rows, [0, 0, 0]);
		await page.close();
	});
});

describe("a database that goes away", () => {
	test("does not stop the saving when another page deletes it, and what was there is written again", async () => {
		const database = fresh("deleted");
		const page = await pageIn(database, "room");
		await page.evaluate(() => save("one", "before"));
		const other = await newPage();
		await other.evaluate((name) => deleted(name), database);
		await other.close();
		await page.evaluate(() => save("two", "after"));
		await page.close();
		const text = await found(database, "room");
		assert.match(text, /after/);
		assert.match(text, /before/);
	});

	test("does not stop the saving when the user clears the site's data", async () => {
		const database = fresh("cleared");
		const page = await pageIn(database, "room");
		await page.evaluate(() => save("one", "before"));
		const devtools = await context.newCDPSession(page);
		await devtools.send("Storage.clearDataForOrigin", { origin: relay.origin, storageTypes: "indexeddb" });
		await page.evaluate(() => save("two", "after"));
		await page.close();
		const text = await found(database, "room");
		assert.match(text, /after/);
		assert.match(text, /before/);
	});

	test("is reported while it is blocked, and taken up when it is there", async () => {
		const page = await newPage();
		const [cause, local] = await page.evaluate(async (database) => {
			// A deletion that waits for a handle that does not let go holds up every open behind it.
			const stubborn = await new Promise((resolve) => {
				const request = indexedDB.open(database, 1);
				request.onsuccess = () => resolve(request.result);
			});
			indexedDB.deleteDatabase(database);
			start({ database });
			await open("room");
			const degraded = last("status").local;
			engine.change(room, set("key", "kept"));
			stubborn.close();
			await until(() => last("saved") >= 1);
			await until(() => last("status").local.state === "saved");
			return [degraded, last("status").local];
		}, fresh("blocked"));
		assert.equal(cause.state, "degraded");
		assert.deepEqual(local, { state: "saved" });
		await page.close();
	});

	test("is left alone when it is of a newer version or of somebody else", async () => {
		const page = await newPage();
		for (const version of [1, 2]) {
			const local = await page.evaluate(
				async ([database, version]) => {
					await new Promise((resolve) => {
						const request = indexedDB.open(database, version);
						request.onsuccess = () => resolve(request.result.close());
					});
					events.length = 0;
					start({ database });
					await open("room");
					engine.change(room, set("key", "in memory"));
					return last("status").local;
				},
				[fresh("foreign"), version],
			);
			assert.equal(local.state, "degraded");
			assert.match(local.cause, /less than the existing version|something else/);
		}
		await page.close();
	});

	test("may not exist at all: the room works from memory and says so", async () => {
		for (const options of [{}, { storage: "memory" }]) {
			const page = await newPage();
			const local = await page.evaluate(async (options) => {
				// As in a sandboxed frame, where touching it throws.
				Object.defineProperty(window, "indexedDB", {
					get() {
						throw new DOMException("not here", "SecurityError");
					},
				});
				start(options);
				await open("room");
				engine.change(room, set("key", "value"));
				const { local } = last("status");
				await engine.close();
				return local;
			}, options);
			assert.equal(local.state, "absent");
			assert.deepEqual(page.crashes, []);
			await page.close();
		}
	});
});

describe("the engine", () => {
	test("takes changes from inside its own sink, in order", async () => {
		const page = await newPage();
		const order = await page.evaluate(async (database) => {
			const order = [];
			start({ database }, (room, kind) => {
				if (kind !== "ready" && kind !== "saved") return;
				order.push(kind);
				if (order.length < 6) order.push(edit("key", `${order.length}`, room));
			});
			await open("room");
			await until(() => last("saved") >= 3);
			return order;
		}, fresh("nested"));
		assert.deepEqual(order, ["ready", 1, "saved", 2, "saved", 3, "saved"]);
		await page.close();
	});

	test("goes on when its sink throws", async () => {
		const page = await newPage();
		await page.evaluate(async (database) => {
			start({ database }, () => {
				throw new Error("the app's own");
			});
			await open("room");
			await save("key", "value");
		}, fresh("throwing"));
		await page.close();
	});

	test("throws errors with codes", async () => {
		const page = await newPage();
		const codes = await page.evaluate(async (database) => {
			const code = (act) => {
				try {
					act();
				} catch (error) {
					return error instanceof Error ? error.code : error;
				}
			};
			const wrong = code(() => start({ url: 5 }));
			start({ database });
			const handle = engine.open("room", new Uint8Array());
			const early = code(() => engine.change(handle, set("key", "value")));
			await until(() => last("ready"));
			return [
				wrong,
				early,
				code(() => engine.open("room", new Uint8Array())),
				code(() => engine.open("", new Uint8Array())),
				code(() => engine.change(handle, new Uint8Array([9, 9]))),
				code(() => engine.change(handle + 1, set("key", "value"))),
			];
		}, fresh("codes"));
		assert.deepEqual(codes, ["bad-option", "not-ready", "already-open", "bad-option", "bad-edit", "closed"]);
		await page.close();
	});

	test("leaves nothing behind when it is closed, twice, and freed", async () => {
		const page = await newPage();
		const left = await page.evaluate(async (database) => {
			let listeners = 0;
			for (const target of [window, document]) {
				const { addEventListener, removeEventListener } = target;
				target.addEventListener = (...rest) => {
					listeners += 1;
					addEventListener.apply(target, rest);
				};
				target.removeEventListener = (...rest) => {
					listeners -= 1;
					removeEventListener.apply(target, rest);
				};
			}
			start({ database, connect: true });
			const before = listeners;
			await open("room");
			engine.change(room, set("key", "value"));
			await Promise.all([engine.close(), engine.close()]);
			engine.free();
			const told = events.length;
			await deleted(database); // refuses if a handle is still open
			await new Promise((resolve) => setTimeout(resolve, 500));
			return { before, listeners, late: events.length - told, last: events.at(-1).kind };
		}, fresh("closed"));
		assert.ok(left.before > 0);
		assert.deepEqual({ ...left, before: 0 }, { before: 0, listeners: 0, late: 0, last: "closed" });
		await page.close();
	});

	test("runs in a worker", async () => {
		const page = await newPage();
		const kinds = await page.evaluate((database) => {
			const source = `
				import { instantiate } from "${location.origin}/instance.js";
				import { Engine } from "${location.origin}/wasm/hither.js";
				await instantiate(await fetch("${location.origin}/wasm/hither_bg.wasm"));
				const kinds = [];
				const options = { url: "${location.origin.replace("http", "ws")}/sync", database: "${database}" };
				const engine = new Engine(options, (room, kind) => {
					kinds.push(kind);
					if (kind === "ready") engine.close().then(() => postMessage(kinds));
				});
				engine.open("room", new Uint8Array());`;
			const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), {
				type: "module",
			});
			return new Promise((resolve, reject) => {
				worker.onmessage = (message) => resolve(message.data);
				worker.onerror = (error) => reject(new Error(error.message));
			});
		}, fresh("worker"));
		assert.ok(kinds.includes("ready"));
		assert.equal(kinds.at(-1), "closed");
		await page.close();
	});
});

describe("the network", () => {
	test("brings an edit to another page, and presence with it", async () => {
		const name = fresh("shared");
		const [alice, bob] = await Promise.all(
			["alice", "bob"].map((who) => pageIn(fresh(who), name, { connect: true })),
		);
		for (const page of [alice, bob]) {
			await page.evaluate(() => until(() => last("status").connection.state === "online"));
		}
		await alice.evaluate(async () => {
			const number = edit("greeting", "hello bob");
			await until(() => last("acked") >= number);
			engine.presence(room, '{"name":"Alice"}');
		});
		const others = await bob.evaluate(async () => {
			await until(() =>
				events.some(({ kind, payload }) => kind === "patch" && /hello bob/.test(textOf(payload))),
			);
			await until(() => last("presence")?.others.length === 1);
			return last("presence").others;
		});
		assert.deepEqual(others[0].state, { name: "Alice" });
		await alice.close();
		await bob.evaluate(() => until(() => last("presence").others.length === 0));
		await bob.close();
	});

	test("may be missing or unreachable: the status says why", async () => {
		const page = await newPage();
		const reasons = await page.evaluate(async () => {
			const reason = async (url) => {
				events.length = 0;
				start({ url, connect: true, storage: "memory" });
				await open("room");
				await until(() => last("status").connection.state === "waiting");
				engine.disconnect();
				return last("status").connection.reason;
			};
			const reasons = [await reason("nonsense://here"), await reason("ws://127.0.0.1:1/sync")];
			delete window.WebSocket;
			return [...reasons, await reason("ws://127.0.0.1:1/sync")];
		});
		assert.equal(reasons.length, 3);
		for (const reason of reasons) assert.ok(reason.length > 0);
		assert.deepEqual(page.crashes, []);
		await page.close();
	});
});
