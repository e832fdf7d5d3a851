// ywasm, the binding of yrs to JavaScript by its authors: one transaction per edit, an observer takes the updates.
import { applyUpdate, YDoc, YMap } from "ywasm";
import { history } from "../../client/history.mjs";
import { clock, equal, INITIAL_ITEM, median, nextTurn, turns } from "../../client/work.mjs";

function start() {
	const doc = new YDoc();
	const out = { updates: 0 };
	doc.onUpdate(() => {
		out.updates += 1;
	});
	return { doc, out };
}

function transact(doc, edit) {
	const transaction = doc.beginTransaction();
	edit(transaction);
	transaction.commit();
	transaction.free();
}

function withItems(count) {
	const { doc, out } = start();
	const items = doc.getArray("items");
	transact(doc, (transaction) => {
		for (let index = 0; index < count; index++) items.push([new YMap(INITIAL_ITEM(index))], transaction);
	});
	return { doc, out, items };
}

function set(items, index, value, transaction) {
	const item = items.get(index, transaction);
	item.set("count", value, transaction);
	item.free();
}

export const works = {
	async typed({ keystrokes }) {
		const { edits, end } = history(keystrokes);
		const { doc, out } = start();
		const note = doc.getText("note");
		const ms = await turns(edits.length, (index) =>
			transact(doc, (transaction) => {
				const [at, deleted, inserted] = edits[index];
				if (deleted > 0) note.delete(at, deleted, transaction);
				if (inserted !== "") note.insert(at, inserted, undefined, transaction);
			}),
		);
		equal([note.toString(), out.updates], [end, edits.length]);
		return ms;
	},

	async createEach({ items: count }) {
		const { doc, out } = start();
		const items = doc.getArray("items");
		const ms = await turns(count, (index) =>
			transact(doc, (transaction) => items.push([new YMap(INITIAL_ITEM(index))], transaction)),
		);
		equal([items.length(), out.updates], [count, count]);
		return ms;
	},

	createOnce: ({ items }) => turns(1, () => withItems(items)),

	async setEach({ items: count, sets }) {
		const { doc, items } = withItems(count);
		return turns(sets, (index) =>
			transact(doc, (transaction) => set(items, index % count, index, transaction)),
		);
	},

	async setOnce({ items: count, sets }) {
		const { doc, items } = withItems(count);
		return turns(1, () =>
			transact(doc, (transaction) => {
				for (let index = 0; index < sets; index++) set(items, index % count, index, transaction);
			}),
		);
	},

	async plain({ items: count, reads }) {
		const { doc, items } = withItems(count);
		const times = [];
		for (let index = 0; index < reads; index++) {
			transact(doc, (transaction) => set(items, index, -1 - index, transaction));
			const begin = performance.now();
			const state = items.toJson();
			times.push(performance.now() - begin);
			equal(state[index].count, -1 - index);
			await nextTurn();
		}
		return median(times);
	},

	loadText: ({ text: { update, end } }) => load(update, (doc) => doc.getText("note").toString(), end),
	loadItems: ({ nested: { update }, items }) => load(update, (doc) => doc.getArray("items").length(), items),
};

function load(update, read, expected) {
	const begin = clock();
	const doc = new YDoc();
	applyUpdate(doc, update);
	const found = read(doc);
	const ms = clock() - begin;
	equal(found, expected);
	return ms;
}
