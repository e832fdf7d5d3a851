// Why a goal is not reached, as far as known; shown only where that is so. Keys are beginnings of the works' titles.

export const REASONS = {
	"fan-out 1×50×5":
		"the same relay without a disk does better than the file store in the table below: the difference is the store's commits, hundreds a second with an update or two in each.",
	"fan-out 200×5×1":
		"an update is five messages here and four from a broadcast: its author is told that it is stored. The store takes a fourth of the CPU, two thirds of that its syncs, some 230 a second. yrs-axum and y-sweet spend less than a bare broadcast because they leave small packets to the system, which gathers them until the last ones are acknowledged: their 44 ms a round in the closed loop are what that costs.",
	"fan-out 1×500×1":
		"p99 is time on the wall and includes the sync of a disk that others write to; the relay in memory shows the rest.",
	"closed loop":
		"a client's socket is read once and written once a round, by the bare coalescing broadcast too, which stores nothing and itself reached seven times @y/websocket-server. Every round waits for one commit of twenty updates and pays for it; the relay in memory, in the same table, shows what the commits cost.",
	"join of":
		"the relay keeps no document: it reads the snapshot and what came after it from the store, and sends both; a room at rest is one snapshot.",
	acknowledgement:
		"of 0.38 ms the disk's own sync takes 0.22, the relay's way from the socket to it 0.03 and back 0.01; sockets and the generator take the rest.",
	"durable updates":
		"generator and relay have a processor each; where the generator's share is near 1, it is what limits.",
	"idle joined connection":
		"Node's heap has free room before the first connection comes, which hides a part of what its servers take: with 100 connections they show 31 KB each.",
	"100,000 fields set, one transaction each":
		"half of a change is the CRDT's own insertion, commit and encoding, built for size, which alone take as long as all of yjs (plain yrs in the table is built for speed); a fourth is the draft and its checks, the rest frames and receipts. Built for speed (opt-level 3 for yrs) changes take a fifth less time, and a page loads 45 KiB more. It does not depend on how many items there are.",
	"10,000 items created, one transaction each":
		"as for fields. Plain and native yrs in the table walk to the end of the list for each item, which is spared here.",
	"10,000 items created in one":
		"a fourth are the draft's copies, two fifths what the CRDT decodes, integrates and encodes, a tenth the objects of the state, all of it code that runs for the first time. Plain and native yrs walk to the end of the list for each item.",
	"100,000 fields set in one":
		"this is little more than the CRDT alone takes, compiled for speed; without a page, too, it is several times above the goal.",
	"whole state":
		"an immutable list of 10,000 is copied once after a change, which takes these 15 microseconds whoever does it; whether that is a hundredth moves with yjs' figure.",
	"load of":
		"of the load of 10,000 items two fifths are the CRDT's decoding and integration, a seventh the validation, a seventh the first patch and its observers, a fifth the objects of the state, all of it code that runs for the first time: the CRDT alone, compiled for speed, is twice as far as the goal in WebAssembly (plain yrs in the table), and there without a page (native yrs).",
	"B4 typed":
		"the CRDT alone takes twice yjs' time, without a page too: it walks to each position. Here, of each keystroke a fourth is the text's own order and the update (the CRDT, which takes in typing by batches and in runs, is a fiftieth), a fifth the draft and its checks, a fourth the outbox, the frame and the status, a tenth the receipt; the rest is the border to WebAssembly and the state.",
	"one remote keystroke": "not profiled yet in this form, with a socket's message around each keystroke.",
	"open a page":
		"a page that does nothing but ask the database needs about as long as the goal allows in all. On top of it come fetching, compiling and starting the engine; what is stored is one merged row, so that their number costs nothing.",
	"what a page loads":
		"the document (yrs), the client's logic and IndexedDB are one WebAssembly of this size; JavaScript is the smaller part.",
};
