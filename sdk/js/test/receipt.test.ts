import { afterEach, describe, expect, test, vi } from "vitest";
import { ONLINE, turn } from "./support/engine.js";
import { open } from "./support/todos.js";

afterEach(() => {
	vi.restoreAllMocks();
	vi.useRealTimers();
});

describe("receipts", () => {
	test("resolve in their order, and asking late is no disadvantage", async () => {
		const { room, remote } = await open();
		const receipts = ["a", "b", "c"].map((note) =>
			room.change((d) => {
				d.note = note;
			}),
		);
		const done: string[] = [];
		for (const [index, receipt] of [...receipts.entries()].reverse()) {
			void receipt.local.then(() => done.push(`local ${index}`));
			void receipt.server.then(() => done.push(`server ${index}`));
		}
		await turn();
		expect(done).toEqual([]);
		remote.isSaved(2);
		await turn();
		expect(done).toEqual(["local 0", "local 1"]);
		remote.isSaved(3);
		remote.isAcked(3);
		await turn();
		expect(done).toEqual(["local 0", "local 1", "local 2", "server 0", "server 1", "server 2"]);
		const late = room.change((d) => {
			d.note = "d";
		});
		remote.isSaved();
		remote.isAcked();
		await Promise.all([late.local, late.server]);
		expect(late.local).toBe(late.local);
	});

	test("of refused edits reject, those around them resolve", async () => {
		const { room, remote } = await open();
		vi.spyOn(console, "error").mockImplementation(() => undefined);
		const [first, second, third] = [1, 2, 3].map((n) =>
			room.change((d) => {
				d.other.deep.n = 10 * n;
			}),
		);
		const waiting = second?.server;
		remote.refuses(2, 2);
		remote.isAcked(3);
		await expect(waiting).rejects.toMatchObject({ name: "HitherError", code: "refused" });
		await expect(second?.server).rejects.toThrow(/read only \(4403\)/);
		await first?.server;
		await third?.server;
	});

	test("that nobody handles are no unhandled rejections", async () => {
		const unhandled = vi.fn();
		process.on("unhandledRejection", unhandled);
		const { room, remote } = await open();
		vi.spyOn(console, "error").mockImplementation(() => undefined);
		const receipt = room.change((d) => {
			d.note = "x";
		});
		const { local, server } = receipt;
		expect(local).not.toBe(server);
		remote.refuses(1, 1);
		room.change((d) => {
			d.note = "y";
		});
		await turn();
		await turn();
		process.off("unhandledRejection", unhandled);
		expect(unhandled).not.toHaveBeenCalled();
	});

	test("where nothing is stored say so, and the relay's part goes on", async () => {
		const { room, remote } = await open();
		const early = room.change((d) => d.todos.pop());
		const waiting = expect(early.local).rejects.toThrow("nothing is stored here: none");
		remote.tell("status", { ...ONLINE, local: { state: "absent", cause: "none" } });
		await waiting;
		const late = room.change((d) => d.todos.pop());
		await expect(late.local).rejects.toMatchObject({ code: "no-storage" });
		remote.isAcked();
		await late.server;
	});

	test("of an edit that changed nothing stand for what was edited before", async () => {
		const { room, remote } = await open();
		const nothing = room.change(() => undefined);
		await nothing.local;
		await nothing.server;
		room.change((d) => {
			d.note = "x";
		});
		const done = vi.fn();
		void room.change(() => undefined).server.then(done);
		await turn();
		expect(done).not.toHaveBeenCalled();
		remote.isAcked();
		await turn();
		expect(done).toHaveBeenCalled();
		expect(remote.packets).toHaveLength(1);
	});

	test("that are still open when the room closes say so", async () => {
		const { client, room } = await open();
		const receipt = room.change((d) => {
			d.note = "x";
		});
		const server = receipt.server;
		await client.close();
		await receipt.local;
		await expect(server).rejects.toMatchObject({ code: "closed" });
	});

	test("ten thousand of them are settled at once", async () => {
		const { room, remote } = await open();
		const promises = Array.from({ length: 10_000 }, (_, n) =>
			room.change((d) => {
				d.other.deep.n = n + 2;
			}),
		).map((receipt) => receipt.server);
		for (let edit = 1; edit <= 10_000; edit++) remote.isAcked(edit);
		await Promise.all(promises);
	});
});
