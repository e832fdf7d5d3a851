// What a page does with automerge-repo and its store in IndexedDB.
import { splice } from "@automerge/automerge/slim";
import { initializeWasm, Repo } from "@automerge/automerge-repo/slim";
import { IndexedDBStorageAdapter } from "@automerge/automerge-repo-storage-indexeddb";

await initializeWasm(fetch("/automerge.wasm"));
const room = new URLSearchParams(location.search).get("room");
const repo = new Repo({ storage: new IndexedDBStorageAdapter(`automerge-${room}`), network: [] });
const known = localStorage.getItem(room);
const handle = known === null ? repo.create({ note: "" }) : await repo.find(known);
if (known === null) {
	// A document that is not stored yet is looked for without end by the page that comes next.
	await repo.flush();
	localStorage.setItem(room, handle.url);
}

globalThis.bench = {
	usable: performance.now(),
	length: () => handle.doc().note.length,
	/** Types words of four letters; resolves when all of them are on the disk. */
	async write(count) {
		let length = handle.doc().note.length;
		for (let index = 0; index < count; index++) {
			handle.change((doc) => splice(doc, ["note"], length, 0, "word"));
			length += 4;
			if (index % 1_000 === 999) await repo.flush();
		}
		await repo.flush();
	},
	edit: (index) => handle.change((doc) => splice(doc, ["note"], index, 0, "k")),
};
