// The package as `npm install hither` gives it, through drafts, with a receipt for each edit and its updates sent.
import { createClient, text } from "hither";
import { history } from "./history.mjs";
import { Loopback } from "./loopback.mjs";
import { clock, equal, INITIAL_ITEM, median, nextTurn, TURN } from "./work.mjs";

async function join(initial, snapshot) {
	const relay = new Loopback(snapshot);
	const client = createClient({ url: "ws://loopback.test/sync", storage: "memory" });
	const room = await client.open("bench", { initial });
	while (room.status.connection.state !== "online") await nextTurn();
	return { relay, client, room };
}

/** Runs `edit(index)` for each index, some in a turn; everything is acknowledged in the end. */
async function edits(room, count, edit) {
	let receipt;
	const begin = clock();
	for (let index = 0; index < count; index++) {
		receipt = edit(index);
		if (index % TURN === TURN - 1) await nextTurn();
	}
	await receipt.server;
	const ms = clock() - begin;
	equal(room.status.server.state, "saved");
	return ms;
}

async function withItems(count) {
	const joined = await join({ items: [] });
	await joined.room.change(({ items }) => {
		for (let index = 0; index < count; index++) items.push(INITIAL_ITEM(index));
	}).server;
	return joined;
}

export const works = {
	async typed({ keystrokes }) {
		const { edits: patches, end } = history(keystrokes);
		const { client, room } = await join({ note: text("") });
		const ms = await edits(room, patches.length, (index) => {
			const [at, deleted, inserted] = patches[index];
			return room.change((draft) => draft.note.replace(at, deleted, inserted));
		});
		equal(`${room.state.note}`, end);
		await client.close();
		return ms;
	},

	async remote({ base, updates, end }) {
		const { client, relay, room } = await join({ note: text("") }, base);
		// An empty document is two bytes.
		while (base.length > 2 && room.state.note === "") await nextTurn();
		let seen = 0;
		room.subscribe(
			(state) => state.note,
			() => seen++,
		);
		const begin = clock();
		for (const [index, update] of updates.entries()) {
			relay.deliver(update);
			// The patch and the listeners come in the microtasks behind the message.
			for (let hops = 0; seen === index && hops < 100; hops++) await undefined;
			if (index % TURN === TURN - 1) await nextTurn();
		}
		const ms = clock() - begin;
		equal(`${room.state.note}`, end);
		equal(seen, updates.length);
		await client.close();
		return ms / updates.length;
	},

	async createEach({ items }) {
		const { client, room } = await join({ items: [] });
		const ms = await edits(room, items, (index) =>
			room.change((draft) => draft.items.push(INITIAL_ITEM(index))),
		);
		equal(room.state.items.length, items);
		await client.close();
		return ms;
	},

	async createOnce({ items }) {
		const { client, room } = await join({ items: [] });
		const ms = await edits(room, 1, () =>
			room.change((draft) => {
				for (let index = 0; index < items; index++) draft.items.push(INITIAL_ITEM(index));
			}),
		);
		equal(room.state.items.length, items);
		await client.close();
		return ms;
	},

	async setEach({ items, sets }) {
		const { client, room } = await withItems(items);
		const ms = await edits(room, sets, (index) =>
			room.change((draft) => {
				draft.items[index % items].count = index;
			}),
		);
		equal(room.state.items[(sets - 1) % items].count, sets - 1);
		await client.close();
		return ms;
	},

	async setOnce({ items, sets }) {
		const { client, room } = await withItems(items);
		const ms = await edits(room, 1, () =>
			room.change((draft) => {
				for (let index = 0; index < sets; index++) draft.items[index % items].count = index;
			}),
		);
		equal(room.state.items[(sets - 1) % items].count, sets - 1);
		await client.close();
		return ms;
	},

	/** The change is not counted: what is asked is what a render pays to have all of the state. */
	async plain({ items, reads }) {
		const { client, room } = await withItems(items);
		const times = [];
		for (let index = 0; index < reads; index++) {
			room.change((draft) => {
				draft.items[index].count = -1 - index;
			});
			const begin = performance.now();
			const state = room.state;
			times.push(performance.now() - begin);
			equal(state.items[index].count, -1 - index);
			await nextTurn();
		}
		await client.close();
		return median(times);
	},

	async changeAndPlain({ items, reads }) {
		const { client, room } = await withItems(items);
		const times = [];
		for (let index = 0; index < reads; index++) {
			const begin = performance.now();
			room.change((draft) => {
				draft.items[index].count = -1 - index;
			});
			const state = room.state;
			times.push(performance.now() - begin);
			equal(state.items[index].count, -1 - index);
			await nextTurn();
		}
		await client.close();
		return median(times);
	},

	loadText: ({ text: { update, end } }) => load({ note: text("") }, update, (state) => `${state.note}`, end),
	loadItems: ({ nested: { update }, items }) =>
		load({ items: [] }, update, (state) => state.items.length, items),
};

/** From a client that knows nothing to the state in the page; the engine is there, as it is in the page of the others. */
async function load(initial, update, read, expected) {
	const warm = await join(initial);
	await warm.client.close();
	const begin = clock();
	const { client, room } = await join(initial, update);
	while (read(room.state) !== expected) await nextTurn();
	const ms = clock() - begin;
	await client.close();
	return ms;
}
