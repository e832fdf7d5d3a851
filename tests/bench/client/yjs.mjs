// yjs 13 as its users have it: an observer takes the updates, one transaction is one `transact`.
import * as Y from "yjs";
import { history } from "./history.mjs";
import { clock, equal, INITIAL_ITEM, median, nextTurn, REMOTE_KEYSTROKES, turns } from "./work.mjs";

function start() {
	const doc = new Y.Doc();
	const out = { updates: 0, bytes: 0 };
	doc.on("update", (update) => {
		out.updates += 1;
		out.bytes += update.length;
	});
	return { doc, out };
}

function push(items, index) {
	const item = new Y.Map();
	items.push([item]);
	for (const [key, value] of Object.entries(INITIAL_ITEM(index))) item.set(key, value);
}

function withItems(count) {
	const { doc, out } = start();
	const items = doc.getArray("items");
	doc.transact(() => {
		for (let index = 0; index < count; index++) push(items, index);
	});
	return { doc, out, items };
}

function splice(note, [at, deleted, inserted]) {
	if (deleted > 0) note.delete(at, deleted);
	if (inserted !== "") note.insert(at, inserted);
}

export const works = {
	async typed({ keystrokes }) {
		const { edits: patches, end } = history(keystrokes);
		const { doc, out } = start();
		const note = doc.getText("note");
		const ms = await turns(patches.length, (index) => doc.transact(() => splice(note, patches[index])));
		equal(note.toString(), end);
		equal(out.updates, patches.length);
		return ms;
	},

	async remote({ base, updates, end }) {
		const doc = new Y.Doc();
		const note = doc.getText("note");
		Y.applyUpdate(doc, base);
		let seen = 0;
		note.observe((event) => {
			seen += event.changes.delta.length > 0 ? 1 : 0;
		});
		const ms = await turns(updates.length, (index) => Y.applyUpdate(doc, updates[index]));
		equal(note.toString(), end);
		equal(seen, updates.length);
		return ms / updates.length;
	},

	async createEach({ items: count }) {
		const { doc, out } = start();
		const items = doc.getArray("items");
		const ms = await turns(count, (index) => doc.transact(() => push(items, index)));
		equal([items.length, out.updates], [count, count]);
		return ms;
	},

	async createOnce({ items: count }) {
		const { doc, out } = start();
		const items = doc.getArray("items");
		const ms = await turns(1, () =>
			doc.transact(() => {
				for (let index = 0; index < count; index++) push(items, index);
			}),
		);
		equal([items.length, out.updates], [count, 1]);
		return ms;
	},

	async setEach({ items: count, sets }) {
		const { doc, out, items } = withItems(count);
		const ms = await turns(sets, (index) => doc.transact(() => items.get(index % count).set("count", index)));
		equal([items.get((sets - 1) % count).get("count"), out.updates], [sets - 1, sets + 1]);
		return ms;
	},

	async setOnce({ items: count, sets }) {
		const { doc, items } = withItems(count);
		const ms = await turns(1, () =>
			doc.transact(() => {
				for (let index = 0; index < sets; index++) items.get(index % count).set("count", index);
			}),
		);
		equal(items.get((sets - 1) % count).get("count"), sets - 1);
		return ms;
	},

	async plain({ items: count, reads }) {
		const { items } = withItems(count);
		const times = [];
		for (let index = 0; index < reads; index++) {
			items.get(index).set("count", -1 - index);
			const begin = performance.now();
			const state = items.toJSON();
			times.push(performance.now() - begin);
			equal(state[index].count, -1 - index);
			await nextTurn();
		}
		return median(times);
	},

	async changeAndPlain({ items: count, reads }) {
		const { items } = withItems(count);
		const times = [];
		for (let index = 0; index < reads; index++) {
			const begin = performance.now();
			items.get(index).set("count", -1 - index);
			const state = items.toJSON();
			times.push(performance.now() - begin);
			equal(state[index].count, -1 - index);
			await nextTurn();
		}
		return median(times);
	},

	loadText: ({ text: { update, end } }) => load(update, (doc) => doc.getText("note").toString(), end),
	loadItems: ({ nested: { update }, items }) => load(update, (doc) => doc.getArray("items").length, items),
};

async function load(update, read, expected) {
	const begin = clock();
	const doc = new Y.Doc();
	Y.applyUpdate(doc, update);
	const found = read(doc);
	const ms = clock() - begin;
	equal(found, expected);
	return ms;
}

/** What others wrote, for the works that receive: the last keystrokes as updates, and documents as one update each. */
export function recordings({ keystrokes, items }) {
	const { edits: patches, end } = history(keystrokes);
	const doc = new Y.Doc();
	const note = doc.getText("note");
	const begin = Math.max(0, patches.length - REMOTE_KEYSTROKES);
	for (const patch of patches.slice(0, begin)) doc.transact(() => splice(note, patch));
	const base = Y.encodeStateAsUpdate(doc);
	const updates = [];
	doc.on("update", (update) => updates.push(update));
	for (const patch of patches.slice(begin)) doc.transact(() => splice(note, patch));
	return {
		base,
		updates,
		end,
		text: { update: Y.encodeStateAsUpdate(doc), end },
		nested: { update: Y.encodeStateAsUpdate(withItems(items).doc) },
	};
}
