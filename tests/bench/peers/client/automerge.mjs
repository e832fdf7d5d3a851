// @automerge/automerge: one `change` per edit, whose binary form is taken.
import * as Automerge from "@automerge/automerge";
import { history } from "../../client/history.mjs";
import { clock, equal, INITIAL_ITEM, median, nextTurn, turns } from "../../client/work.mjs";

/** Fields set one by one are so slow that a hundredth of them stands for all. */
const SHARE = 100;

function withItems(count) {
	return Automerge.from({ items: Array.from({ length: count }, (_, index) => INITIAL_ITEM(index)) });
}

export const works = {
	async typed({ keystrokes }) {
		const { edits, end } = history(keystrokes);
		let doc = Automerge.from({ note: "" });
		let bytes = 0;
		const ms = await turns(edits.length, (index) => {
			doc = Automerge.change(doc, (draft) => Automerge.splice(draft, ["note"], ...edits[index]));
			bytes += Automerge.getLastLocalChange(doc).length;
		});
		equal([doc.note, bytes > 0], [end, true]);
		return ms;
	},

	async createEach({ items: count }) {
		const few = Math.ceil(count / 10);
		let doc = Automerge.from({ items: [] });
		const ms = await turns(few, (index) => {
			doc = Automerge.change(doc, ({ items }) => items.push(INITIAL_ITEM(index)));
			Automerge.getLastLocalChange(doc);
		});
		equal(doc.items.length, few);
		return (ms * count) / few;
	},

	createOnce: ({ items }) =>
		turns(1, () =>
			Automerge.change(Automerge.from({ items: [] }), (draft) => {
				for (let index = 0; index < items; index++) draft.items.push(INITIAL_ITEM(index));
			}),
		),

	async setEach({ items: count, sets }) {
		const few = Math.ceil(sets / SHARE);
		let doc = withItems(count);
		const ms = await turns(few, (index) => {
			doc = Automerge.change(doc, ({ items }) => {
				items[index % count].count = index;
			});
			Automerge.getLastLocalChange(doc);
		});
		equal(doc.items[(few - 1) % count].count, few - 1);
		return (ms * sets) / few;
	},

	async setOnce({ items: count, sets }) {
		const doc = withItems(count);
		return turns(1, () =>
			Automerge.change(doc, ({ items }) => {
				for (let index = 0; index < sets; index++) items[index % count].count = index;
			}),
		);
	},

	/** Its documents are plain objects already: what is paid is the change. */
	async changeAndPlain({ items: count, reads }) {
		let doc = withItems(count);
		const times = [];
		for (let index = 0; index < reads; index++) {
			const begin = performance.now();
			doc = Automerge.change(doc, ({ items }) => {
				items[index].count = -1 - index;
			});
			times.push(performance.now() - begin);
			equal(doc.items[index].count, -1 - index);
			await nextTurn();
		}
		return median(times);
	},

	loadItems({ items }) {
		const bytes = Automerge.save(withItems(items));
		const begin = clock();
		const doc = Automerge.load(bytes);
		const found = doc.items.length;
		const ms = clock() - begin;
		equal(found, items);
		return ms;
	},
};
