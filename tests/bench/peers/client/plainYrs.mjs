// A binding of yrs that does nothing else, compiled for speed: what the CRDT itself takes in WebAssembly.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { history } from "../../client/history.mjs";
import { clock, equal, median, nextTurn, turns } from "../../client/work.mjs";

/** What its program has written. */
const folder = process.env.HITHER_BENCH_PLAIN_YRS;
const { initSync, Plain } = await import(pathToFileURL(join(folder, "plain_yrs.js")).href);
initSync({ module: readFileSync(join(folder, "plain_yrs_bg.wasm")) });

function withItems(count) {
	const document = new Plain();
	document.push(0, count);
	return document;
}

export const works = {
	async typed({ keystrokes }) {
		const { edits, end } = history(keystrokes);
		const document = new Plain();
		let bytes = 0;
		const ms = await turns(edits.length, (index) => {
			bytes += document.splice(...edits[index]).length;
		});
		equal([document.text(), bytes > edits.length], [end, true]);
		return ms;
	},

	async remote({ base, updates, end }) {
		const document = new Plain();
		document.apply(base);
		document.listen();
		const ms = await turns(updates.length, (index) => document.apply(updates[index]));
		equal([document.text(), document.heard()], [end, updates.length]);
		return ms / updates.length;
	},

	async createEach({ items }) {
		const document = new Plain();
		const ms = await turns(items, (index) => document.push(index, 1));
		equal(document.len(), items);
		return ms;
	},

	async createOnce({ items }) {
		const document = new Plain();
		const ms = await turns(1, () => document.push(0, items));
		equal(document.len(), items);
		return ms;
	},

	async setEach({ items, sets }) {
		const document = withItems(items);
		const ms = await turns(sets, (value) => document.set(value, 1));
		equal(document.has_count((sets - 1) % items, sets - 1), true);
		return ms;
	},

	async setOnce({ items, sets }) {
		const document = withItems(items);
		const ms = await turns(1, () => document.set(0, sets));
		equal(document.has_count((sets - 1) % items, sets - 1), true);
		return ms;
	},

	plain: (amounts) => read(amounts, false),
	changeAndPlain: (amounts) => read(amounts, true),

	loadText: ({ text: { update, end } }) => load(update, (document) => document.text(), end),
	loadItems: ({ nested: { update }, items }) => load(update, (document) => document.len(), items),
};

async function read({ items, reads }, withChange) {
	const document = withItems(items);
	const times = [];
	for (let index = 0; index < reads; index++) {
		if (!withChange) document.set(index, 1);
		const begin = performance.now();
		if (withChange) document.set(index, 1);
		const state = JSON.parse(document.json());
		times.push(performance.now() - begin);
		equal(state[index].count, index);
		await nextTurn();
	}
	return median(times);
}

function load(update, read, expected) {
	const begin = clock();
	const document = new Plain();
	document.apply(update);
	const found = read(document);
	const ms = clock() - begin;
	equal(found, expected);
	return ms;
}
