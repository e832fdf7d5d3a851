// What people of each kind do at random: one transaction per call, somewhere in the document.
//
// The document has five roots: `note` (text), `list`, `map`, `page` (XML, which Hither only shows) and `marks`, which
// the writers leave alone. Below them they nest texts, lists, maps and elements as they like.
import assert from "node:assert/strict";
import { text } from "hither";
import * as Y from "yjs";
import { picture, typeOf } from "./pictures.mjs";

const DEEP_ENOUGH = 4;

/** Plain values of every sort that Yjs carries. */
export function plain(random, depth = 0) {
	return random.weighted({
		string: [4, () => random.word()],
		number: [4, () => random.pick([0, 1, -1, 63, 64, 1.5, 2 ** 31, -(2 ** 31), 2 ** 53 - 1, 1e300])],
		constant: [2, () => random.pick([true, false, null])],
		bytes: [1, () => Uint8Array.from({ length: random.below(4) }, () => random.below(256))],
		list: [depth < 2 ? 1 : 0, () => Array.from({ length: random.below(3) }, () => plain(random, depth + 1))],
		object: [depth < 2 ? 1 : 0, () => ({ [random.pick(KEYS)]: plain(random, depth + 1) })],
	});
}

const KEYS = ["a", "b", "c", "d"];
const TAGS = ["p", "h1", "li"];

const formatting = (random) =>
	random.pick([
		{ bold: true },
		{ bold: null },
		{ em: true },
		{ em: null },
		{ link: { href: random.word() } },
		{ link: null },
		{ size: random.below(3) },
	]);

/** A place and a length in something of `length`, short enough that documents grow. */
function span(random, length) {
	const from = random.below(length);
	return [from, 1 + random.below(Math.min(6, length - from))];
}

/**
 * A place in a text of Yjs, never inside of a character of two units. Where somebody cuts one, Yjs puts U+FFFD for both
 * halves into that person's document and leaves the character to those who had not taken it apart: 13 and 14
 * differ among themselves then, without anybody else.
 */
function place(random, it) {
	return whole(it, random.below(it.length + 1));
}

function stretch(random, it) {
	const [from, length] = span(random, it.length);
	const start = whole(it, from);
	return [start, Math.max(0, whole(it, from + length) - start)];
}

/** `index`, or the next one if a character lies around it. */
function whole(it, index) {
	const units = picture(it)
		.content.map(({ text }) => text ?? " ")
		.join("");
	return /[\ud800-\udbff]/.test(units[index - 1] ?? "") && /[\udc00-\udfff]/.test(units[index] ?? "")
		? index + 1
		: index;
}

/**
 * Undo of both Yjs can trip over a neighbour that has been collected meanwhile, with a TypeError. What it did until then
 * is done and told.
 */
const tripping = (undo) => () => {
	try {
		undo();
	} catch (error) {
		if (!(error instanceof TypeError)) throw error;
	}
};

/** Somebody with yjs 13. */
export function writer13(doc, random) {
	const roots = [doc.getText("note"), doc.getArray("list"), doc.getMap("map"), doc.getXmlFragment("page")];
	const undo = new Y.UndoManager(roots, { captureTimeout: 0 });
	const nested = (depth) =>
		random.weighted({
			map: [2, () => new Y.Map([[random.pick(KEYS), depth < 2 ? value(depth + 1) : 1]])],
			list: [2, () => Y.Array.from([plain(random)])],
			text: [2, () => new Y.Text(random.word())],
			element: [1, () => new Y.XmlElement(random.pick(TAGS))],
			xmltext: [1, () => new Y.XmlText(random.word())],
		});
	const value = (depth) => (random.chance(30) ? nested(depth) : plain(random));
	const acts = {
		text: (it) =>
			random.weighted({
				insert: [6, () => it.insert(place(random, it), random.word())],
				styled: [2, () => it.insert(place(random, it), random.word(), formatting(random))],
				embed: [1, () => it.insertEmbed(place(random, it), { image: random.word() })],
				shared: [1, () => it.insertEmbed(place(random, it), new Y.Map([["a", 1]]))],
				attribute: [1, () => it.setAttribute(random.pick(KEYS), plain(random))],
				delete: [it.length && 4, () => it.delete(...stretch(random, it))],
				format: [it.length && 4, () => it.format(...stretch(random, it), formatting(random))],
			}),
		list: (it) =>
			random.weighted({
				insert: [5, () => it.insert(random.below(it.length + 1), [value(1)])],
				several: [2, () => it.insert(random.below(it.length + 1), [plain(random), plain(random)])],
				delete: [it.length && 3, () => it.delete(...span(random, it.length))],
			}),
		map: (it) =>
			random.weighted({
				set: [6, () => it.set(random.pick(KEYS), value(1))],
				delete: [2, () => it.delete(random.pick(KEYS))],
				clear: [random.chance(10) ? 1 : 0, () => it.clear()],
			}),
		fragment: (it) =>
			random.weighted({
				element: [3, () => it.insert(random.below(it.length + 1), [new Y.XmlElement(random.pick(TAGS))])],
				text: [3, () => it.insert(random.below(it.length + 1), [new Y.XmlText(random.word())])],
				delete: [it.length && 2, () => it.delete(...span(random, it.length))],
			}),
		element: (it) =>
			random.weighted({
				children: [3, () => acts.fragment(it)],
				attribute: [2, () => it.setAttribute(random.pick(KEYS), random.word())],
				remove: [1, () => it.removeAttribute(random.pick(KEYS))],
			}),
	};
	acts.xmltext = acts.text;
	const step = () => {
		const target = descend(random, random.pick(roots));
		acts[kindOf(target)](target);
	};
	return () =>
		random.weighted({
			edit: [12, () => doc.transact(() => repeat(random, step))],
			undo: [2, tripping(() => undo.undo())],
			redo: [1, tripping(() => undo.redo())],
		});
}

/** Somebody with yjs 14: what it nests is exchanged as XML, named (an element) or not (a fragment). */
export function writer14(modern, doc, random, { embeds }) {
	const roots = ["note", "list", "map", "page"].map((name) => doc.get(name));
	const undo = new modern.UndoManager(roots, { captureTimeout: 0 });
	const nested = (depth) => {
		const made = random.chance(50) ? new modern.Type(random.pick(TAGS)) : new modern.Type();
		if (random.chance(50)) made.insert(0, random.word());
		if (random.chance(50)) made.setAttr(random.pick(KEYS), plain(random));
		if (depth < 2 && random.chance(30)) made.insert(0, [nested(depth + 1)]);
		return made;
	};
	const value = () => (random.chance(30) ? nested(1) : plain(random));
	const acts = {
		text: (it) =>
			random.weighted({
				insert: [6, () => it.insert(place(random, it), random.word())],
				styled: [2, () => it.insert(place(random, it), random.word(), formatting(random))],
				// Its embeds are plain values on the wire. yrs and yjs 13 count them and do not show them.
				value: [embeds && 1, () => it.insert(place(random, it), [{ image: random.word() }])],
				shared: [1, () => it.insert(place(random, it), [nested(1)])],
				attribute: [1, () => it.setAttr(random.pick(KEYS), plain(random))],
				delete: [it.length && 4, () => it.delete(...stretch(random, it))],
				format: [it.length && 4, () => it.format(...stretch(random, it), formatting(random))],
			}),
		list: (it) =>
			random.weighted({
				insert: [5, () => it.insert(random.below(it.length + 1), [value()])],
				several: [2, () => it.insert(random.below(it.length + 1), [plain(random), plain(random)])],
				delete: [it.length && 3, () => it.delete(...span(random, it.length))],
			}),
		map: (it) =>
			random.weighted({
				set: [6, () => it.setAttr(random.pick(KEYS), value())],
				delete: [it.attrSize && 2, () => it.deleteAttr(random.pick([...it.attrKeys()]))],
			}),
		element: (it) =>
			random.weighted({
				child: [3, () => it.insert(place(random, it), [nested(1)])],
				// A root of yjs 14 can have everything at once, for others it is what its content looks like: this one XML.
				text: [it.parent && 2, () => it.insert(place(random, it), random.word())],
				attribute: [it.parent && 2, () => it.setAttr(random.pick(KEYS), random.word())],
				remove: [it.attrSize && 1, () => it.deleteAttr(random.pick([...it.attrKeys()]))],
				delete: [it.length && 2, () => it.delete(...stretch(random, it))],
				format: [it.length && 1, () => it.format(...stretch(random, it), formatting(random))],
			}),
	};
	acts.fragment = acts.element;
	acts.xmltext = acts.text;
	// A root does not say what it is: who shares a document knows.
	const kinds = new Map(roots.map((root, index) => [root, ["text", "list", "map", "fragment"][index]]));
	const step = () => {
		const target = descend(random, random.pick(roots));
		acts[kinds.get(target) ?? typeOf(target)](target);
	};
	return () =>
		random.weighted({
			edit: [12, () => doc.transact(() => repeat(random, step))],
			undo: [2, tripping(() => undo.undo())],
			redo: [1, tripping(() => undo.redo())],
		});
}

/** Somebody with Hither. */
export function writerHither(room, random) {
	const nested = (depth) =>
		random.weighted({
			map: [2, () => ({ [random.pick(KEYS)]: depth < 2 ? value(depth + 1) : 1, z: text("") })],
			list: [2, () => [plain(random), text(random.word())]],
			text: [2, () => text(random.word())],
		});
	const value = (depth) => (random.chance(30) ? nested(depth) : plain(random));
	const acts = {
		text: (it) =>
			random.weighted({
				insert: [6, () => it.insert(random.below(it.length + 1), random.word())],
				delete: [it.length && 4, () => it.delete(...span(random, it.length))],
				replace: [it.length && 2, () => it.replace(...span(random, it.length), random.word())],
			}),
		list: (it) =>
			random.weighted({
				insert: [5, () => it.splice(random.below(it.length + 1), 0, value(1))],
				assign: [
					it.length && 2,
					() => {
						it[random.below(it.length)] = value(1);
					},
				],
				delete: [it.length && 3, () => it.splice(...span(random, it.length))],
			}),
		map: (it) =>
			random.weighted({
				set: [
					6,
					() => {
						it[random.pick(KEYS)] = value(1);
					},
				],
				delete: [2, () => delete it[random.pick(KEYS)]],
			}),
	};
	const edit = (draft) =>
		repeat(random, () => {
			let target = draft[random.pick(["note", "list", "map"])];
			for (let depth = 0; depth < DEEP_ENOUGH; depth++) {
				const inner = draftsIn(target);
				if (inner.length === 0 || random.chance(40)) break;
				target = random.pick(inner);
			}
			// XML of others is a string here.
			acts[draftKind(target)]?.(target);
		});
	return () => {
		const before = room.state;
		try {
			room.change(edit);
		} catch (error) {
			// Plain objects and XML of others are replaced or deleted as a whole. A refused edit leaves nothing.
			if (!/another client (?:stored|keeps)/.test(error.message)) throw error;
			assert.equal(room.state, before);
		}
	};
}

function draftKind(it) {
	if (typeof it !== "object" || it === null || it instanceof Uint8Array) return undefined;
	if (Array.isArray(it)) return "list";
	return typeof it.insert === "function" ? "text" : "map";
}

function draftsIn(it) {
	const kind = draftKind(it);
	const inner = kind === "list" ? [...it] : kind === "map" ? Object.values(it) : [];
	return inner.filter((value) => draftKind(value) !== undefined);
}

function repeat(random, step) {
	for (let left = 1 + random.below(3); left > 0; left--) step();
}

/** A container somewhere at or below `from`, for both Yjs: their trees look alike inside. */
function descend(random, from) {
	let target = from;
	for (let depth = 0; depth < DEEP_ENOUGH; depth++) {
		const inner = [];
		const add = (item) => {
			if (!item.deleted && item.content.type) inner.push(item.content.type);
		};
		for (let item = target._start; item; item = item.right) add(item);
		for (const item of target._map.values()) add(item);
		if (inner.length === 0 || random.chance(40)) break;
		target = random.pick(inner);
	}
	return target;
}

function kindOf(it) {
	if (it instanceof Y.XmlText) return "xmltext";
	if (it instanceof Y.Text) return "text";
	if (it instanceof Y.Array) return "list";
	if (it instanceof Y.Map) return "map";
	if (it instanceof Y.XmlElement) return "element";
	return "fragment";
}
