// People of every kind behind one face: { kind, act(), leave(), back(), mark(), marks(), isSettled(), shown(), reread(), wire }.
//
//   act     edits at random        leave, back   the network        mark, marks   what barriers are made of
//   shown   what the document is to this kind: pictures and ids for stock clients, the state for Hither
//   reread  what a stock client's document is to somebody of its kind who has it from nobody else
//   wire    what a stock client said to the relay and heard from it

import * as Y14 from "@y/y";
import { text } from "hither";
import * as Y from "yjs";
import { hither, stock, stock14 } from "./people.mjs";
import { picture } from "./pictures.mjs";
import { writer13, writer14, writerHither } from "./writers.mjs";

export const KINDS = { "yjs 13": person13, "yjs 14": person14, hither: personHither };

const ROOTS = ["note", "list", "map", "page"];

async function person13(relay, room, name, random) {
	// Ids of 32 bits, as its own would be, but of the seed.
	const person = stock(relay, room, random.below(2 ** 32));
	const { doc } = person;
	const marks = doc.getMap("marks");
	return {
		...stockFace("yjs 13", person),
		act: writer13(doc, random),
		mark: (round) => marks.set(name, round),
		marks: () => marks.toJSON(),
		shown: () => shownIn(Y, doc),
		reread: () => shownIn(Y, copyOf(Y, doc)),
	};
}

async function person14(relay, room, name, random, options) {
	// Ids of 53 bits.
	const person = stock14(relay, room, random.below(2 ** 21) * 2 ** 32 + random.below(2 ** 32));
	const { doc } = person;
	const marks = doc.get("marks");
	return {
		...stockFace("yjs 14", person),
		act: writer14(Y14, doc, random, options),
		mark: (round) => marks.setAttr(name, round),
		marks: () => ({ ...marks.getAttrs() }),
		shown: () => shownIn(Y14, doc),
		reread: () => shownIn(Y14, copyOf(Y14, doc)),
	};
}

function stockFace(kind, { provider, drops, read, wire }) {
	let isAway = false;
	return {
		kind,
		wire,
		leave() {
			isAway = true;
			provider.disconnect();
		},
		back() {
			if (isAway) provider.connect();
			isAway = false;
		},
		isSettled: () => provider.synced,
		messagesRead: () => read.messages,
		/** Closings that were not ours: a relay that refuses says a code from 4400. */
		troubles: () =>
			drops.filter((event) => event?.code >= 4400).map(({ code, reason }) => `${code} ${reason}`),
	};
}

async function personHither(relay, roomName, name, random) {
	const initial = { note: text(""), list: [], map: {}, marks: {} };
	const { client, room } = await hither(relay, roomName, { initial });
	const errors = [];
	room.onError((error) => errors.push(`${error.code}: ${error.message}`));
	return {
		kind: "hither",
		act: writerHither(room, random),
		leave: () => client.disconnect(),
		back: () => client.connect(),
		mark: (round) =>
			room.change((draft) => {
				draft.marks[name] = round;
			}),
		marks: () => room.state.marks,
		isSettled: () => room.status.connection.state === "online" && room.status.server.state === "saved",
		troubles: () => errors,
		// The page is declared by nobody, and shown when it has something.
		shown: () => Object.fromEntries(ROOTS.map((root) => [root, room.state[root] ?? ""])),
	};
}

function shownIn(yjs, doc) {
	const pictures = ROOTS.map((root) => [root, picture(doc.get(root))]);
	return { ...Object.fromEntries(pictures), ...ids(yjs, doc) };
}

function copyOf(yjs, doc) {
	const copy = new yjs.Doc();
	yjs.applyUpdate(copy, yjs.encodeStateAsUpdate(doc));
	return copy;
}

/** The state vector and the deletions of a document, sorted. */
function ids(yjs, doc) {
	const { sv, ds } = yjs.snapshot(doc);
	const ranges = (of) => {
		const merged = [];
		for (const { clock, len } of of.getIds?.() ?? of) {
			const last = merged.at(-1);
			if (last && last[1] >= clock) last[1] = Math.max(last[1], clock + len);
			else merged.push([clock, clock + len]);
		}
		return merged;
	};
	const byClient = (map, of) =>
		Object.fromEntries([...map].sort(([a], [b]) => a - b).map(([id, value]) => [id, of(value)]));
	return { vector: byClient(sv, (clock) => clock), deletes: byClient(ds.clients, ranges) };
}
