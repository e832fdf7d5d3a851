import { afterEach, describe, expect, test, vi } from "vitest";
import { FakeEngine, fakeClient, ONLINE, turn } from "./support/engine.js";

async function open() {
	const client = fakeClient();
	const room = await client.open("board");
	await turn();
	return { client, room, engine: FakeEngine.latest, remote: FakeEngine.latest.room("board") };
}

afterEach(() => {
	vi.useRealTimers();
});

describe("status", () => {
	test("keeps the identity of every part that says the same", async () => {
		const { room, remote } = await open();
		const listener = vi.fn();
		room.onStatus(listener);
		const before = room.status;
		expect(before).toEqual(ONLINE);
		remote.tell("status", structuredClone(ONLINE));
		await turn();
		expect(room.status).toBe(before);
		expect(listener).not.toHaveBeenCalled();

		remote.tell("status", {
			...structuredClone(ONLINE),
			server: { state: "pending", count: 1, oldestAt: 5 },
		});
		await turn();
		expect(room.status.connection).toBe(before.connection);
		expect(room.status.local).toBe(before.local);
		expect(room.status.server).toEqual({ state: "pending", count: 1, oldestAt: 5 });
		expect(listener).toHaveBeenCalledExactlyOnceWith(room.status, before);
	});

	test("of the client is the connection that the rooms share", async () => {
		const client = fakeClient();
		expect(client.status.connection.state).toBe("offline");
		const listener = vi.fn();
		client.onStatus(listener);
		await client.open("board");
		await turn();
		expect(client.status).toEqual({ connection: { state: "online" } });
		expect(listener).toHaveBeenCalledTimes(1);
		await client.close();
		await turn();
		expect(client.status.connection.state).toBe("offline");
	});

	test("of the client is not what the relay says of one room", async () => {
		const { client, engine, remote } = await open();
		engine.link = { state: "online" };
		remote.tell("status", { ...ONLINE, connection: { state: "denied", reason: "not you" } });
		await turn();
		expect(client.status).toEqual({ connection: { state: "online" } });
	});

	test("says at once that an edit is not saved yet, and leaves the rest to the engine", async () => {
		const { room, remote } = await open();
		const listener = vi.fn();
		room.onStatus(listener);
		vi.useFakeTimers({ now: 5_000, toFake: ["Date"] });
		let edits = 0;
		const edit = () => room.change((draft) => Object.assign(draft, { edits: ++edits }));
		edit();
		const waiting = {
			...ONLINE,
			local: { state: "saving" },
			server: { state: "pending", count: 1, oldestAt: 5_000 },
		};
		expect(room.status).toEqual(waiting);
		expect(listener).toHaveBeenCalledTimes(1);
		remote.tell("status", structuredClone(waiting));
		await turn();
		expect(listener).toHaveBeenCalledTimes(1);

		const refused = { state: "refused", code: 4400, message: "no" };
		const degraded = { state: "degraded", cause: "no space" };
		remote.tell("status", { ...ONLINE, local: degraded, server: refused });
		edit();
		expect(room.status).toEqual({ ...ONLINE, local: degraded, server: refused });
	});

	test("stays as it is when an edit changes nothing", async () => {
		const { room } = await open();
		room.change(() => undefined);
		expect(room.status).toEqual(ONLINE);
	});
});
