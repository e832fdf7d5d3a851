// What is in a document, in one form for yjs 13, yjs 14 and Hither, so that they can be compared.
//
// A picture is { kind, name, content, attributes }: `content` is what stands in a row, characters as runs with their
// formatting, everything else one by one; `attributes` is what stands under keys. It is read from the linked items,
// which both versions of Yjs have, so it also shows what an API hides (the attributes of a fragment, for one).

const KINDS = ["list", "map", "text", "element", "fragment", "hook", "xmltext"];
const ANY = 8;
const BINARY = 3;
const EMBED = 5;
const FORMAT = 6;
const STRING = 4;
const TYPE = 7;

/** What kind of container it is on the wire. A root has none there. */
export function typeOf(type) {
	let kind;
	type._write({
		writeTypeRef: (ref) => {
			kind = KINDS[ref];
		},
		writeKey() {},
	});
	return kind;
}

/** The picture of one container of a Yjs document, of either version. */
export function picture(type) {
	const content = [];
	let format = {};
	const add = (piece) =>
		content.push({ ...piece, ...(Object.keys(format).length > 0 && { format: { ...format } }) });
	for (let item = type._start; item; item = item.right) {
		if (item.deleted) continue;
		const inner = item.content;
		switch (inner.getRef()) {
			case STRING: {
				const last = content.at(-1);
				const piece = { text: inner.str, ...(Object.keys(format).length > 0 && { format: { ...format } }) };
				if (last?.text !== undefined && same(last.format, piece.format)) last.text += piece.text;
				else content.push(piece);
				break;
			}
			case FORMAT:
				format = { ...format, [inner.key]: inner.value };
				if (inner.value === null) delete format[inner.key];
				break;
			case ANY:
				for (const value of inner.arr) add({ value });
				break;
			case EMBED:
				add({ embed: inner.embed });
				break;
			default:
				add(single(inner));
		}
	}
	const attributes = {};
	for (const key of [...type._map.keys()].sort()) {
		const item = type._map.get(key);
		if (item.deleted) continue;
		attributes[key] =
			item.content.getRef() === ANY ? { value: item.content.arr.at(-1) } : single(item.content);
	}
	return { content, attributes };
}

function single(inner) {
	switch (inner.getRef()) {
		case BINARY:
			return { bytes: [...inner.content] };
		case TYPE: {
			const { type } = inner;
			let name;
			type._write({
				writeTypeRef() {},
				writeKey: (key) => {
					name = key;
				},
			});
			return { kind: typeOf(type), ...(name !== undefined && { name }), ...picture(type) };
		}
		default:
			throw new Error(`content ${inner.getRef()} in a document of these tests`);
	}
}

const same = (one, other) => JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
const sorted = (format) => Object.entries(format ?? {}).sort(([one], [other]) => (one < other ? -1 : 1));

/** What Hither's state shows of a container, given its picture and what it is (a root does not say so itself). */
export function stateOf(kind, picture) {
	const { content, attributes } = picture;
	switch (kind) {
		case "map":
			return Object.fromEntries(Object.entries(attributes).map(([key, piece]) => [key, stateOfPiece(piece)]));
		case "list":
			return content.map(stateOfPiece);
		case "element":
			return element(picture);
		case "fragment":
			return children(content);
		default:
			return content.map(({ text }) => text ?? FOREIGN).join("");
	}
}

/** What is not a character of a text counts as one. */
const FOREIGN = "\ufffc";

function stateOfPiece(piece) {
	if (piece.kind !== undefined) return stateOf(piece.kind, piece);
	return piece.bytes === undefined ? piece.value : Uint8Array.from(piece.bytes);
}

function element({ name, content, attributes }) {
	const written = Object.entries(attributes).map(([key, { value }]) => {
		return ` ${key}="${typeof value === "string" ? value : ""}"`;
	});
	return `<${name}${written.join("")}>${children(content)}</${name}>`;
}

/** XML has elements and characters; other values have no place in it. */
function children(content) {
	return content.map((piece) => piece.text ?? (isXml(piece) ? stateOf(piece.kind, piece) : "")).join("");
}

const isXml = (piece) => ["element", "fragment", "xmltext"].includes(piece.kind);
