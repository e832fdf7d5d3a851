// A table of 1,000 rows in React, and one change of somebody else: which rows render again, and how long it takes
// from the message to the painted document.

import { createClient } from "hither";
import { HitherProvider, useRoom, useShared } from "hither/react";
import { createElement as h, memo, useLayoutEffect, useReducer, useState } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";
import * as Y from "yjs";
import { Loopback } from "../client/loopback.mjs";

const ROWS = 1_000;

let renders = 0;
const Row = memo(function Row({ item }) {
	renders++;
	return h("li", null, `${item.title} ${item.count}`);
});

/** The document of somebody else, and what it changes. */
const other = new Y.Doc();
const items = other.getArray("items");
other.transact(() => {
	for (let index = 0; index < ROWS; index++) {
		const item = new Y.Map();
		items.push([item]);
		item.set("title", `row ${index}`);
		item.set("count", 0);
	}
});
const snapshot = Y.encodeStateAsUpdate(other);

function change(index, count) {
	let made;
	other.once("update", (update) => {
		made = update;
	});
	items.get(index).set("count", count);
	return made;
}

const subjects = {
	hither() {
		const relay = new Loopback(snapshot);
		const client = createClient({ url: "ws://loopback.test/sync", storage: "memory", database: "rows" });
		function List() {
			const room = useRoom("rows", { initial: { items: [] } });
			const rows = useShared(room, (state) => state.items);
			return h(
				"ul",
				null,
				rows?.map((item, index) => h(Row, { key: index, item })),
			);
		}
		mount(h(HitherProvider, { client }, h(List)));
		return (update) => relay.deliver(update);
	},

	/** A hook that gives the document as plain objects, as most bindings of Yjs do. */
	yjsPlain() {
		const doc = new Y.Doc();
		Y.applyUpdate(doc, snapshot);
		const shared = doc.getArray("items");
		function List() {
			const [rows, setRows] = useState(() => shared.toJSON());
			useLayoutEffect(() => {
				const told = () => setRows(shared.toJSON());
				shared.observeDeep(told);
				return () => shared.unobserveDeep(told);
			}, []);
			return h(
				"ul",
				null,
				rows.map((item, index) => h(Row, { key: index, item })),
			);
		}
		mount(h(List));
		return (update) => Y.applyUpdate(doc, update);
	},

	/** Rows that each observe their own map, written by hand. */
	yjsRows() {
		const doc = new Y.Doc();
		Y.applyUpdate(doc, snapshot);
		function Watching({ map }) {
			const [, again] = useReducer((count) => count + 1, 0);
			useLayoutEffect(() => {
				map.observe(again);
				return () => map.unobserve(again);
			}, [map]);
			renders++;
			return h("li", null, `${map.get("title")} ${map.get("count")}`);
		}
		const List = () =>
			h(
				"ul",
				null,
				doc.getArray("items").map((map, index) => h(Watching, { key: index, map })),
			);
		mount(h(List));
		return (update) => Y.applyUpdate(doc, update);
	},
};

function mount(element) {
	const place = document.createElement("div");
	document.body.replaceChildren(place);
	createRoot(place).render(element);
}

async function until(isSo) {
	for (let tries = 0; !isSo(); tries++) {
		if (tries > 12_000) throw new Error("the rows did not come");
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

globalThis.bench = {
	async rows(subject, changes) {
		const deliver = subjects[subject]();
		await until(() => document.querySelectorAll("li").length === ROWS);
		const times = [];
		const rendered = [];
		for (let count = 1; count <= changes; count++) {
			const row = (count * 37) % ROWS;
			const update = change(row, count);
			renders = 0;
			const shown = new Promise((resolve) => {
				const observer = new MutationObserver(() => {
					observer.disconnect();
					resolve();
				});
				observer.observe(document.body, { subtree: true, characterData: true, childList: true });
			});
			const begin = performance.now();
			deliver(update);
			flushSync(() => {});
			await shown;
			times.push(performance.now() - begin);
			rendered.push(renders);
			const expected = `row ${row} ${count}`;
			if (document.querySelectorAll("li")[row].textContent !== expected) throw new Error("another row");
			await new Promise((resolve) => setTimeout(resolve, 10));
		}
		return { times, rendered };
	},
};
