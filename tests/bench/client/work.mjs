// What every subject of the client's benchmark shares: the works, how they take turns, how they check themselves.
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

/** Edits in one turn of the event loop. What they cause for later (sockets, promises) happens between the turns. */
export const TURN = 32;

export const INITIAL_ITEM = (index) => ({ title: `item ${index}`, done: false, count: 0 });

/** The last keystrokes of the history come one by one, into a document that has the others. */
export const REMOTE_KEYSTROKES = 10_000;

/** How much of everything. */
export const FULL = { keystrokes: 259_778, items: 10_000, sets: 100_000, reads: 20 };
export const SMALL = { keystrokes: 2_000, items: 300, sets: 1_000, reads: 3 };

/**
 * name → what is measured.
 *
 *   title  for the table
 *   unit   of what a subject returns
 *   goal   at most this share of yjs' figure
 */
export const WORKS = {
	typed: { title: "B4 typed, updates out", unit: "ms", goal: 0.8 },
	remote: { title: "one remote keystroke in B4, patch delivered", unit: "ms", goal: 0.2 },
	createEach: { title: "10,000 items created, one transaction each", unit: "ms", goal: 0.6 },
	createOnce: { title: "10,000 items created in one transaction", unit: "ms", goal: 0.1 },
	setEach: { title: "100,000 fields set, one transaction each", unit: "ms", goal: 0.6 },
	setOnce: { title: "100,000 fields set in one transaction", unit: "ms", goal: 0.1 },
	plain: { title: "whole state as plain objects after a change", unit: "ms", goal: 0.01 },
	changeAndPlain: { title: "the same with the change itself", unit: "ms" },
	loadText: { title: "load of B4", unit: "ms", goal: 0.25 },
	loadItems: { title: "load of 10,000 nested items", unit: "ms", goal: 0.25 },
};

export function nextTurn() {
	return new Promise((resolve) => setImmediate(resolve));
}

/** Runs `edit(index)` for each index, some in a turn; the milliseconds of all. */
export async function turns(count, edit) {
	const begin = clock();
	for (let index = 0; index < count; index++) {
		edit(index);
		if (index % TURN === TURN - 1) await nextTurn();
	}
	return clock() - begin;
}

/** A figure of work that was not done is no figure. */
export function equal(found, expected) {
	if (isDeepStrictEqual(found, expected)) return;
	const [shown, wanted] = [found, expected].map((value) => String(value).slice(0, 60));
	throw new Error(`found ${shown}, expected ${wanted}`);
}

const cell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Milliseconds that this thread has computed, not those that it has waited for a processor that others had. Garbage
 * collection and compilation beside it are not counted. Where the system does not tell, the time on the wall.
 */
export function clock() {
	if (process.platform !== "linux") return performance.now();
	// The system brings the count up to date when the thread gives its processor up.
	Atomics.wait(cell, 0, 0, 0.05);
	return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[0]) / 1e6;
}

export function median(values) {
	return [...values].sort((one, other) => one - other)[values.length >> 1];
}
