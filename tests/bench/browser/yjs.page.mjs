// What a page does with yjs and y-indexeddb.
import { IndexeddbPersistence } from "y-indexeddb";
import * as Y from "yjs";

const doc = new Y.Doc();
const stored = new IndexeddbPersistence(new URLSearchParams(location.search).get("room"), doc);
await stored.whenSynced;
const note = doc.getText("note");

globalThis.bench = {
	usable: performance.now(),
	length: () => note.toString().length,
	/** Types words of four letters; resolves when all of them are on the disk. */
	async write(count) {
		for (let index = 0; index < count; index++) {
			doc.transact(() => note.insert(note.length, "word"));
			if (index % 1_000 === 999) await written();
		}
		await written();
	},
	edit: (index) => doc.transact(() => note.insert(index, "k")),
};

/** A transaction of the same store that comes after those of the edits ends after them. */
function written() {
	return new Promise((resolve, reject) => {
		const transaction = stored.db.transaction(["updates"], "readwrite");
		transaction.objectStore("updates").count();
		transaction.oncomplete = resolve;
		transaction.onabort = () => reject(transaction.error);
	});
}
