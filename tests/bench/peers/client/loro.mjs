// loro-crdt: one commit per edit, updates out through its local subscription.
import { LoroDoc, LoroMap } from "loro-crdt";
import { history } from "../../client/history.mjs";
import { clock, equal, INITIAL_ITEM, median, nextTurn, turns } from "../../client/work.mjs";

function start() {
	const doc = new LoroDoc();
	const out = { updates: 0 };
	doc.subscribeLocalUpdates(() => {
		out.updates += 1;
	});
	return { doc, out };
}

function push(items, index) {
	const item = items.insertContainer(items.length, new LoroMap());
	for (const [key, value] of Object.entries(INITIAL_ITEM(index))) item.set(key, value);
}

function withItems(count) {
	const { doc, out } = start();
	const items = doc.getList("items");
	for (let index = 0; index < count; index++) push(items, index);
	doc.commit();
	return { doc, out, items };
}

function type(doc, patches, edited) {
	const note = doc.getText("note");
	return turns(patches.length, (index) => {
		const [at, deleted, inserted] = patches[index];
		if (deleted > 0) note.delete(at, deleted);
		if (inserted !== "") note.insert(at, inserted);
		edited();
	});
}

export const works = {
	async typed({ keystrokes }) {
		const { edits, end } = history(keystrokes);
		const { doc, out } = start();
		const ms = await type(doc, edits, () => doc.commit());
		equal([doc.getText("note").toString(), out.updates], [end, edits.length]);
		return ms;
	},

	async createEach({ items: count }) {
		const { doc } = start();
		const items = doc.getList("items");
		const ms = await turns(count, (index) => {
			push(items, index);
			doc.commit();
		});
		equal(items.length, count);
		return ms;
	},

	createOnce: ({ items }) => turns(1, () => withItems(items)),

	async setEach({ items: count, sets }) {
		const { doc, items } = withItems(count);
		const ms = await turns(sets, (index) => {
			items.get(index % count).set("count", index);
			doc.commit();
		});
		equal(items.get((sets - 1) % count).get("count"), sets - 1);
		return ms;
	},

	async setOnce({ items: count, sets }) {
		const { doc, items } = withItems(count);
		return turns(1, () => {
			for (let index = 0; index < sets; index++) items.get(index % count).set("count", index);
			doc.commit();
		});
	},

	async plain({ items: count, reads }) {
		const { doc, items } = withItems(count);
		const times = [];
		for (let index = 0; index < reads; index++) {
			items.get(index).set("count", -1 - index);
			doc.commit();
			const begin = performance.now();
			const state = items.toJSON();
			times.push(performance.now() - begin);
			equal(state[index].count, -1 - index);
			await nextTurn();
		}
		return median(times);
	},

	async loadText({ keystrokes }) {
		const { edits, end } = history(keystrokes);
		const { doc: written } = start();
		await type(written, edits, () => {});
		written.commit();
		return load(written, (doc) => doc.getText("note").toString(), end);
	},

	loadItems: ({ items }) => load(withItems(items).doc, (doc) => doc.getList("items").length, items),
};

function load(written, read, expected) {
	const snapshot = written.export({ mode: "snapshot" });
	const begin = clock();
	const doc = new LoroDoc();
	doc.import(snapshot);
	const found = read(doc);
	const ms = clock() - begin;
	equal(found, expected);
	return ms;
}
