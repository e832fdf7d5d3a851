// Stock clients keep working, unmodified, beside Hither clients.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { text } from "hither";
import * as Y from "yjs";
import { startRelay } from "../e2e/support/relay.mjs";
import { eventually, everybodyLeaves, hither, stock } from "./people.mjs";

const IDLE_MS = 125_000;

let relay;
let idle;
let idleSince;
let rooms = 0;

before(async () => {
	relay = await startRelay();
	// Idle from the start; looked at by the last test, two minutes later.
	idle = await startRelay();
	idle.people = [stock(idle, "idle"), stock(idle, "idle")];
	// One without awareness: nothing of its own renews the connection.
	idle.people[1].awareness.setLocalState(null);
	idleSince = Date.now();
});

after(async () => {
	await everybodyLeaves();
	await relay?.remove();
	await idle?.remove();
});

const newRoom = () => `interop-${++rooms}`;

/** A room with two stock clients and a Hither client, all in sync. */
async function trio(initial = { note: text(""), todos: [] }) {
	const name = newRoom();
	const [ada, ben] = [stock(relay, name), stock(relay, name)];
	const cho = await hither(relay, name, { initial });
	await eventually(
		() => [ada.provider.synced, ben.provider.synced, cho.room.status.connection.state],
		[true, true, "online"],
	);
	return { name, ada, ben, cho };
}

describe("stock Yjs clients", () => {
	test("[Y1] [Y3] edits travel between two of them and a Hither client, in all directions", async () => {
		const { ada, ben, cho } = await trio();
		ada.doc.getText("note").insert(0, "from ada");
		ben.doc.getArray("todos").push([new Y.Map([["title", "from ben"]])]);
		await eventually(
			() => [`${cho.room.state.note}`, cho.room.state.todos],
			["from ada", [{ title: "from ben" }]],
		);
		const { server } = cho.room.change((draft) => {
			draft.note.insert(0, "😀 ");
			draft.todos[0].done = true;
			draft.todos.push({ title: "from cho", tags: ["a", 1, null, true] });
		});
		await server;
		const expected = [
			{ title: "from ben", done: true },
			{ title: "from cho", tags: ["a", 1, null, true] },
		];
		for (const person of [ada, ben]) {
			await eventually(() => person.doc.getText("note").toString(), "😀 from ada");
			await eventually(() => person.doc.getArray("todos").toJSON(), expected);
		}
	});

	test("[Y1] one that joins later has everything when it says that it is synced", async () => {
		const { name, ada, cho } = await trio();
		for (let line = 0; line < 50; line++) ada.doc.getText("note").insert(0, `${line}\n`);
		cho.room.change((draft) => draft.todos.push("x"));
		await eventually(() => cho.room.state.todos.length, 1);
		await eventually(() => `${cho.room.state.note}`, ada.doc.getText("note").toString());
		await cho.room.change((draft) => draft.todos.push("y")).server;
		const late = stock(relay, name);
		await new Promise((resolve) => late.provider.once("sync", resolve));
		assert.equal(late.doc.getText("note").toString(), ada.doc.getText("note").toString());
		assert.deepEqual(late.doc.getArray("todos").toJSON(), ["x", "y"]);
	});

	test("[Y4] awareness travels between two of them and a Hither client, and ends with the socket", async () => {
		const { ada, ben, cho } = await trio();
		ada.awareness.setLocalState({ name: "ada" });
		ben.awareness.setLocalState({ name: "ben" });
		cho.room.presence.set({ name: "cho" });
		const seenBy = (person) => [...person.awareness.getStates().values()].map(({ name }) => name).sort();
		const seenByCho = () => cho.room.presence.others.map(({ state }) => state.name).sort();
		for (const person of [ada, ben]) await eventually(() => seenBy(person), ["ada", "ben", "cho"]);
		await eventually(seenByCho, ["ada", "ben"]);
		ada.provider.disconnect();
		// Before anybody would forget her by themselves, which they do after 15 to 30 seconds without a word.
		await eventually(seenByCho, ["ben"], 10_000);
		await eventually(() => seenBy(ben), ["ben", "cho"], 10_000);
		await cho.client.close();
		await eventually(() => seenBy(ben), ["ben"], 10_000);
	});

	test("what was written apart meets after a reconnect and after a restart of the relay", async () => {
		const { ada, ben, cho } = await trio();
		ada.doc.getText("note").insert(0, "begin");
		await eventually(() => `${cho.room.state.note}`, "begin");
		await eventually(() => ben.doc.getText("note").toString(), "begin");
		ada.provider.disconnect();
		cho.client.disconnect();
		ada.doc.getText("note").insert(5, " ada");
		ben.doc.getText("note").insert(0, "ben ");
		cho.room.change((draft) => draft.todos.push("offline"));
		ada.provider.connect();
		cho.client.connect();
		const all = () =>
			[ada, ben].map(({ doc }) => [doc.getText("note").toString(), doc.getArray("todos").toJSON()]);
		await eventually(all, [
			["ben begin ada", ["offline"]],
			["ben begin ada", ["offline"]],
		]);
		await relay.kill();
		ada.doc.getText("note").insert(0, "1 ");
		cho.room.change((draft) => draft.note.append(" 2"));
		await relay.start();
		const expected = "1 ben begin ada 2";
		await eventually(() => all().map(([note]) => note), [expected, expected]);
		await eventually(() => `${cho.room.state.note}`, expected);
	});

	test("[Y2] a reconnect writes nothing: the log does not grow by it", async () => {
		const { name, ada, cho } = await trio();
		ada.doc.getText("note").insert(0, "some text");
		ada.doc.getText("note").delete(0, 5);
		await eventually(() => `${cho.room.state.note}`, "text");
		const before = await entries(name);
		for (let times = 0; times < 10; times++) {
			ada.provider.disconnect();
			ada.provider.connect();
			await eventually(() => ada.provider.synced, true);
		}
		await cho.room.change((draft) => draft.note.append("!")).server;
		assert.equal(await entries(name), before + 1);
	});

	test("[Y5] they stay connected when idle for two minutes", async () => {
		await new Promise((resolve) => setTimeout(resolve, Math.max(0, idleSince + IDLE_MS - Date.now())));
		for (const { provider, drops } of idle.people) {
			assert.equal(provider.wsconnected, true);
			assert.deepEqual(drops, []);
		}
		const [ada, ben] = idle.people;
		ada.doc.getText("note").insert(0, "still here");
		await eventually(() => ben.doc.getText("note").toString(), "still here");
	});
});

/** The head of a room's log, as a new reader is told it. */
async function entries(name) {
	const { WebSocket } = await import("ws");
	const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/sync`, "hither.v1");
	await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
	const room = new TextEncoder().encode(name);
	const frame = (...bytes) => [bytes.length, ...bytes];
	socket.send(Uint8Array.from([...frame(0x01, 1, 0), ...frame(0x02, room.length, ...room, 0, 0)]));
	return new Promise((resolve, reject) => {
		socket.once("close", () => reject(new Error("closed before Joined")));
		socket.on("message", (message) => {
			const bytes = new Uint8Array(message);
			let at = 0;
			const number = () => {
				let value = 0;
				for (let scale = 1; ; scale *= 128) {
					const byte = bytes[at++];
					value += (byte & 127) * scale;
					if (byte < 128) return value;
				}
			};
			while (at < bytes.length) {
				const length = number();
				const end = at + length;
				if (bytes[at++] === 0x42) {
					const name = number();
					at += name;
					number(); // channel
					number(); // peer
					at += 1 + 16; // access, epoch
					resolve(number());
					socket.removeAllListeners("close");
					socket.close();
					return;
				}
				at = end;
			}
		});
	});
}
