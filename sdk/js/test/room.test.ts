import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { isHitherError } from "../src/error.js";
import { text } from "../src/text.js";
import { FakeEngine, fakeClient, ONLINE, turn } from "./support/engine.js";
import { initial, open, type Todos } from "./support/todos.js";

const reported: unknown[] = [];

beforeEach(() => {
	reported.length = 0;
	vi.stubGlobal("reportError", (error: unknown) => reported.push(error));
});

afterEach(() => {
	vi.unstubAllGlobals();
	vi.restoreAllMocks();
	vi.useRealTimers();
});

describe("a room's state", () => {
	test("is there when the room is open", async () => {
		const { room } = await open();
		expect(room.name).toBe("board");
		expect(room.state).toEqual(initial());
	});

	test("shows an edit when change() returns, and keeps what did not change", async () => {
		const { room } = await open();
		const before = room.state;
		room.change((d) => {
			const first = d.todos[0];
			if (first) first.done = true;
		});
		expect(room.state.todos[0]).toEqual({ title: "milk", done: true });
		expect(before.todos[0]?.done).toBe(false);
		expect(room.state.todos[1]).toBe(before.todos[1]);
		expect(room.state.other).toBe(before.other);
	});

	test("is the same object until something changed", async () => {
		const { room } = await open();
		const before = room.state;
		room.change(() => undefined);
		room.change((d) => {
			d.note = "";
		});
		expect(room.state).toBe(before);
	});

	test("cannot be written to", async () => {
		const { room } = await open();
		expect(() => {
			(room.state as unknown as Todos).todos.push({ title: "x", done: false });
		}).toThrow(TypeError);
		expect(() => {
			(room.state as unknown as Todos).other.deep.n = 2;
		}).toThrow(TypeError);
	});

	test("a draft function that throws changes nothing and the error comes through", async () => {
		const { room, remote } = await open();
		const before = room.state;
		const listener = vi.fn();
		room.subscribe(listener);
		const mine = new Error("mine");
		expect(() =>
			room.change((d) => {
				d.todos.pop();
				throw mine;
			}),
		).toThrow(mine);
		expect(room.state).toBe(before);
		expect(remote.packets).toHaveLength(0);
		expect(listener).not.toHaveBeenCalled();
		room.change((d) => d.todos.pop());
		expect(room.state.todos).toHaveLength(1);
	});

	test("an edit that the engine refuses changes nothing and tells its code", async () => {
		const { room, remote } = await open();
		remote.refusal = Object.assign(new Error("too large"), { code: "too-large" });
		let error: unknown;
		try {
			room.change((d) => d.todos.pop());
		} catch (thrown) {
			error = thrown;
		}
		expect(isHitherError(error) && error.code).toBe("too-large");
		expect((error as Error).cause).toBe(remote.refusal);
		expect(room.state.todos).toHaveLength(2);
	});

	test("the first edit is made on the initial content, which the engine may plant late", async () => {
		const { room, remote } = await open();
		remote.seed = (d) => d.todos.unshift({ title: "planted", done: false });
		room.change((d) => {
			expect(d.todos).toHaveLength(3);
			d.todos.push({ title: "mine", done: false });
		});
		expect(room.state.todos.map(({ title }) => title)).toEqual(["planted", "milk", "tea", "mine"]);
		expect(remote.document.toJS()).toEqual(room.state);
	});

	test("change() inside a change() of the same room is refused", async () => {
		const { room } = await open();
		expect(() => room.change(() => room.change(() => undefined))).toThrow(/inside a change/);
	});
});

describe("subscribers", () => {
	test("hear of own edits at once and of others' in a microtask", async () => {
		const { room, remote } = await open();
		const listener = vi.fn();
		const undo = room.subscribe(listener);
		const before = room.state;
		room.change((d) => {
			d.note = "x";
		});
		expect(listener).toHaveBeenCalledExactlyOnceWith(room.state, before);

		const middle = room.state;
		remote.remote((d) => d.todos.push({ title: "remote", done: false }));
		remote.remote((d) => d.todos.push({ title: "remote too", done: false }));
		expect(room.state.todos).toHaveLength(4);
		expect(listener).toHaveBeenCalledTimes(1);
		await turn();
		// Two patches, one call: there is nothing to see between them any more.
		expect(listener).toHaveBeenCalledTimes(2);
		expect(listener).toHaveBeenLastCalledWith(room.state, middle);

		undo();
		undo();
		room.change((d) => {
			d.note = "y";
		});
		expect(listener).toHaveBeenCalledTimes(2);
	});

	test("with a selector hear of what it picks, and only of that", async () => {
		const { room } = await open();
		const titles = vi.fn();
		const first = vi.fn();
		room.subscribe((state) => state.todos[0], first);
		room.subscribe((state) => state.todos.map((todo) => todo.title), titles, {
			equals: (one, other) => one.join() === other.join(),
		});
		room.change((d) => {
			const second = d.todos[1];
			if (second) second.done = true;
		});
		expect(first).not.toHaveBeenCalled();
		expect(titles).not.toHaveBeenCalled();
		room.change((d) => {
			const todo = d.todos[0];
			if (todo) todo.title = "oat milk";
		});
		expect(first).toHaveBeenCalledTimes(1);
		expect(titles).toHaveBeenCalledExactlyOnceWith(["oat milk", "tea"], ["milk", "tea"]);
	});

	test("may edit: everybody sees every state at most once, never an old one, and the last one in the end", async () => {
		const { room } = await open();
		const seen: string[] = [];
		room.subscribe((state, previous) => {
			seen.push(`a:${previous.note}>${state.note}`);
			expect(state).toBe(room.state);
			if (state.note.length < 3) {
				room.change((d) => {
					d.note += "x";
				});
				expect(room.state.note).toHaveLength(state.note.length + 1);
			}
		});
		room.subscribe((state, previous) => {
			seen.push(`b:${previous.note}>${state.note}`);
			expect(state).toBe(room.state);
		});
		room.change((d) => {
			d.note = "x";
		});
		expect(room.state.note).toBe("xxx");
		expect(seen).toEqual(["a:>x", "b:>xx", "a:x>xx", "b:xx>xxx", "a:xx>xxx"]);
	});

	test("that throw are reported and keep nobody else from hearing", async () => {
		const { room } = await open();
		const mine = new Error("mine");
		const listener = vi.fn();
		room.subscribe(() => {
			throw mine;
		});
		room.subscribe(
			(state) => {
				if (state.note !== "") throw mine;
				return 0;
			},
			() => undefined,
		);
		room.subscribe(listener);
		room.change((d) => {
			d.note = "x";
		});
		expect(listener).toHaveBeenCalledTimes(1);
		expect(reported).toEqual([mine, mine]);
	});

	test("that never come to rest are reported and do not freeze the page", async () => {
		const { room } = await open();
		let isCalm = false;
		room.subscribe((state) => {
			if (!isCalm) {
				room.change((d) => {
					d.other.deep.n = state.other.deep.n + 1;
				});
			}
		});
		room.change((d) => {
			d.other.deep.n = 1000;
		});
		expect(reported).toHaveLength(1);
		expect(String(reported[0])).toMatch(/100 times in a row/);
		isCalm = true;
		await turn();
		expect(room.state.other.deep.n).toBeGreaterThan(1099);
	});

	test("removed by another one are not told any more", async () => {
		const { room } = await open();
		const second = vi.fn();
		const undos: (() => void)[] = [];
		room.subscribe(() => undos[0]?.());
		undos.push(room.subscribe(second));
		room.change((d) => {
			d.note = "x";
		});
		expect(second).not.toHaveBeenCalled();
	});
});

describe("presence", () => {
	test("is sent as JSON and shown back as it was sent", async () => {
		const { room, remote } = await open();
		const listener = vi.fn();
		room.presence.subscribe(listener);
		const mine = { name: "Ada", at: [1, 2] };
		room.presence.set(mine);
		mine.name = "changed later";
		expect(remote.presence).toEqual(['{"name":"Ada","at":[1,2]}']);
		expect(room.presence.self).toEqual({ name: "Ada", at: [1, 2] });
		expect(listener).toHaveBeenCalledTimes(1);
		room.presence.set(undefined);
		expect(remote.presence.at(-1)).toBeUndefined();
		expect(room.presence.self).toBeUndefined();
	});

	test("keeps the identity of those who say the same", async () => {
		const { room, remote } = await open();
		const listener = vi.fn();
		room.presence.subscribe(listener);
		const tell = (...others: unknown[]) => remote.tell("presence", { self: 1, others });
		tell({ id: 2, state: { n: 1 } }, { id: 3, state: { n: 1 } });
		await turn();
		const before = room.presence.others;
		expect(before).toHaveLength(2);
		tell({ id: 2, state: { n: 1 } }, { id: 3, state: { n: 1 } });
		await turn();
		expect(room.presence.others).toBe(before);
		expect(listener).toHaveBeenCalledTimes(1);
		tell({ id: 2, state: { n: 1 } }, { id: 3, state: { n: 2 } });
		await turn();
		expect(room.presence.others).not.toBe(before);
		expect(room.presence.others[0]).toBe(before[0]);
		expect(room.presence.others[1]?.state).toEqual({ n: 2 });
	});

	test("that is no JSON is refused", async () => {
		const { room } = await open();
		const set = (value: unknown) => () => room.presence.set(value as never);
		expect(set(() => 1)).toThrow(/must be JSON/);
		expect(set({ n: 1n })).toThrow(/must be JSON/);
	});
});

describe("errors outside of calls", () => {
	test("go to whoever listens, else to the console", async () => {
		const { room, remote } = await open();
		const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
		remote.tell("error", { code: "bad-update", message: "the relay sent nonsense" });
		await turn();
		expect(log).toHaveBeenCalledTimes(1);
		const listener = vi.fn();
		room.onError(listener);
		remote.tell("error", { code: "bad-update", message: "again" });
		await turn();
		expect(log).toHaveBeenCalledTimes(1);
		expect(listener.mock.calls[0]?.[0]).toMatchObject({
			name: "HitherError",
			code: "bad-update",
			message: "again",
		});
	});

	test("a packet that the mirror cannot read ends the room, which opens anew as the engine has it", async () => {
		const { client, room, remote } = await open();
		const listener = vi.fn();
		room.onError(listener);
		remote.tell("patch", new Uint8Array([1, 2]));
		await turn();
		expect(listener.mock.calls[0]?.[0]).toMatchObject({ code: "bad-packet" });
		expect(() => room.change((d) => d.todos.pop())).toThrow(/packet/);
		expect(remote.isOpen).toBe(false);
		expect(client.status.connection).toEqual({ state: "offline", reason: "no room is open" });

		const again = await client.open<Todos>("board", { initial: initial() });
		again.change((d) => d.todos.pop());
		expect(again.state.todos).toHaveLength(1);
	});

	test("so does the answer to an edit", async () => {
		const { room, remote } = await open();
		remote.change = () => new Uint8Array([0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 1, 2]);
		const receipt = room.change((d) => d.todos.pop());
		await expect(receipt.server).rejects.toMatchObject({ code: "bad-packet" });
		expect(room.state.todos).toHaveLength(2);
		expect(remote.isOpen).toBe(false);
	});

	test("after a crash of the engine every room says so and keeps its last state", async () => {
		const { room, engine } = await open();
		const listener = vi.fn();
		room.onError(listener);
		const server = room.change((d) => {
			d.note = "x";
		}).server;
		engine.crash();
		await turn();
		expect(listener.mock.calls[0]?.[0]).toMatchObject({ code: "crashed" });
		await expect(server).rejects.toMatchObject({ code: "crashed" });
		expect(() => room.change((d) => d.todos.pop())).toThrow(/reload/);
		expect(room.state.note).toBe("x");
	});
});

describe("a crash of the engine", () => {
	const panic = () => Object.assign(new Error("the engine has crashed"), { code: "panic" });

	test("found by a call ends every room", async () => {
		const { client, room, remote } = await open();
		const other = await client.open("other");
		const listener = vi.fn();
		other.onError(listener);
		remote.refusal = new WebAssembly.RuntimeError("unreachable");
		expect(() => room.change((d) => d.todos.pop())).toThrow(/reload it/);
		await turn();
		expect(listener.mock.calls[0]?.[0]).toMatchObject({ code: "crashed" });
		expect(() => other.change(() => undefined)).toThrow(/reload it/);
		expect(client.status.connection.state).toBe("offline");
	});

	test("found by the page's error event ends every room, unless the engine is alive", async () => {
		const events = new EventTarget();
		vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
		vi.stubGlobal("removeEventListener", events.removeEventListener.bind(events));
		const { room, engine } = await open();
		const listener = vi.fn();
		room.onError(listener);
		const happens = (error: unknown) => events.dispatchEvent(Object.assign(new Event("error"), { error }));
		happens(new Error("the app's own"));
		expect(engine.calls).toEqual([]);
		happens(new WebAssembly.RuntimeError("unreachable"));
		await turn();
		expect(listener).not.toHaveBeenCalled();
		engine.connect = () => {
			throw panic();
		};
		happens(new WebAssembly.RuntimeError("unreachable"));
		await turn();
		expect(listener.mock.calls[0]?.[0]).toMatchObject({ code: "crashed" });
	});
});

describe("opening and closing", () => {
	test("a name opened several times is one room of the engine, closed with the last", async () => {
		vi.useFakeTimers();
		const client = fakeClient();
		const one = await client.open<Todos>("board", { initial: initial() });
		const two = await client.open<Todos>("board");
		expect(FakeEngine.latest.rooms).toHaveLength(1);
		expect(two).not.toBe(one);
		expect(two.state).toBe(one.state);

		const closed = one.close();
		expect(one.close()).toBe(closed);
		await closed;
		await vi.advanceTimersByTimeAsync(5_000);
		two.change((d) => {
			d.note = "still open";
		});
		expect(FakeEngine.latest.room("board").isOpen).toBe(true);

		void two.close();
		await vi.advanceTimersByTimeAsync(900);
		expect(FakeEngine.latest.room("board").isOpen).toBe(true);
		await vi.advanceTimersByTimeAsync(200);
		expect(FakeEngine.latest.room("board").isOpen).toBe(false);
	});

	test("a room that is opened again soon after it was closed is still there", async () => {
		vi.useFakeTimers();
		const client = fakeClient();
		const one = await client.open<Todos>("board", { initial: initial() });
		one.presence.set({ name: "Ada" });
		void one.close();
		// To the others it is gone at once.
		expect(FakeEngine.latest.room("board").presence.at(-1)).toBeUndefined();
		const two = await client.open<Todos>("board");
		await vi.advanceTimersByTimeAsync(5_000);
		expect(FakeEngine.latest.rooms).toHaveLength(1);
		expect(FakeEngine.latest.room("board").isOpen).toBe(true);
		expect(two.state).toEqual(initial());
	});

	test("a closed room keeps its state, refuses edits and tells nobody any more", async () => {
		const { client, room, remote } = await open();
		const other = await client.open<Todos>("board");
		const listener = vi.fn();
		room.subscribe(listener);
		room.presence.subscribe(listener);
		room.onStatus(listener);
		void room.close();
		remote.remote((d) => d.todos.pop());
		remote.tell("status", { ...ONLINE, server: { state: "pending", count: 1, oldestAt: 1 } });
		await turn();
		expect(listener).not.toHaveBeenCalled();
		expect(() => room.change(() => undefined)).toThrow(/was closed/);
		expect(() => room.presence.set(null)).toThrow(/was closed/);
		expect(room.subscribe(listener)()).toBeUndefined();
		expect(other.state.todos).toHaveLength(1);
	});

	test("close() waits for the disk", async () => {
		const { room, remote } = await open();
		room.change((d) => {
			d.note = "x";
		});
		const closed = vi.fn();
		void room.close().then(closed);
		await turn();
		expect(closed).not.toHaveBeenCalled();
		remote.isSaved();
		await turn();
		expect(closed).toHaveBeenCalled();
	});

	test("open() waits for the disk and for nothing else", async () => {
		const client = fakeClient();
		FakeEngine.opening = "hangs";
		const opened = vi.fn();
		void client.open("board").then(opened);
		await turn();
		expect(opened).not.toHaveBeenCalled();
		const remote = FakeEngine.latest.room("board");
		remote.tell("status", { ...ONLINE, connection: { state: "waiting", retryAt: 1, reason: "no network" } });
		remote.tell("ready", remote.document.reset());
		await turn();
		expect(opened).toHaveBeenCalled();
	});

	test("a room that cannot be opened rejects, and can be tried again", async () => {
		const client = fakeClient();
		FakeEngine.opening = "fails";
		await expect(client.open("board")).rejects.toMatchObject({ code: "disk", message: "the disk is gone" });
		FakeEngine.opening = "loads";
		const room = await client.open("board");
		expect(room.state).toEqual({});
	});

	test.each<[string, string, RegExp]>([
		["an empty name", "", /needs a name/],
		["a name that is too long", "ü".repeat(129), /at most 256 bytes/],
		["half a character", "\ud83d", /well-formed/],
	])("%s is refused", async (_what, name, message) => {
		await expect(fakeClient().open(name)).rejects.toThrow(message);
	});

	test("a name of exactly 256 bytes is fine", async () => {
		await fakeClient().open("ü".repeat(128));
	});

	test("initial content that cannot be stored is refused with its path", async () => {
		const client = fakeClient();
		await expect(client.open("a", { initial: { when: new Date() } })).rejects.toThrow(
			/initial\.when: a Date/,
		);
		await expect(client.open("a", { initial: [] })).rejects.toThrow(/is an object/);
		const room = await client.open("a", { initial: { note: text("hi") } });
		expect(room.state).toEqual({ note: "hi" });
	});

	test("a client closes everything, once", async () => {
		const { client, room, engine } = await open();
		const closing = client.close();
		expect(client.close()).toBe(closing);
		await closing;
		expect(engine.calls).toEqual(["close", "free"]);
		expect(() => room.change(() => undefined)).toThrow(/closed/);
		await expect(client.open("board")).rejects.toMatchObject({ code: "closed" });
		expect(() => client.connect()).toThrow(/closed/);
		client.disconnect();
	});

	test("a client that never opened anything closes without an engine", async () => {
		await fakeClient().close();
	});

	test("opening while the client closes is refused", async () => {
		const client = fakeClient();
		const opening = client.open("board");
		const closing = client.close();
		await expect(opening).rejects.toMatchObject({ code: "closed" });
		await closing;
	});

	test("the connection can be cut before and after the start", async () => {
		const client = fakeClient();
		client.disconnect();
		await client.open("board");
		expect(FakeEngine.latest.options.connect).toBe(false);
		client.connect();
		client.disconnect();
		expect(FakeEngine.latest.calls).toEqual(["connect", "disconnect"]);
	});
});

describe("the relay's address", () => {
	const urlOf = async (url: string | URL) => {
		await fakeClient({ url }).open("board");
		return FakeEngine.latest.options.url;
	};

	test("may be http, and is passed as a WebSocket address", async () => {
		expect(await urlOf("https://relay.test/sync")).toBe("wss://relay.test/sync");
		expect(await urlOf("http://relay.test:8080/sync?x=1#y")).toBe("ws://relay.test:8080/sync?x=1");
		expect(await urlOf(new URL("wss://relay.test/sync"))).toBe("wss://relay.test/sync");
	});

	test("is relative to the page, /sync by default", async () => {
		vi.stubGlobal("location", { href: "https://app.test/deep/page.html" });
		expect(await urlOf("/relay")).toBe("wss://app.test/relay");
		const client = fakeClient();
		Reflect.deleteProperty(client, "url");
		expect(await urlOf("sync")).toBe("wss://app.test/deep/sync");
	});

	test("that makes no sense is refused at once", () => {
		expect(() => fakeClient({ url: "ftp://relay.test" })).toThrow(/not by ftp/);
		expect(() => fakeClient({ url: "/sync" })).toThrow(/no address of a relay/);
	});
});
