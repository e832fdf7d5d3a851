// What a page does with Hither. No relay: what is measured is this device alone.
import { createClient, text } from "hither";

const client = createClient({ url: "ws://127.0.0.1:9/sync", connect: false });
const room = await client.open(new URLSearchParams(location.search).get("room"), {
	initial: { note: text("") },
});

globalThis.bench = {
	usable: performance.now(),
	length: () => room.state.note.length,
	/** Types words of four letters; resolves when all of them are on the disk. */
	async write(count) {
		let receipt;
		for (let index = 0; index < count; index++) {
			receipt = room.change((draft) => draft.note.append("word"));
			if (index % 1_000 === 999) await receipt.local;
		}
		await receipt.local;
	},
	edit: (index) => room.change((draft) => draft.note.insert(index, "k")),
};
