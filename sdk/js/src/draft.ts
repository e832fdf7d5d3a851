/**
 * What the function given to `room.change()` writes to: it looks like the state, mutable, and records what is done.
 *
 * ```text
 *   mirror node ◄──source── draft node ──proxy──► what the app's function holds
 *        (read)              │ changes
 *                            ▼
 *                     one packet of operations
 * ```
 *
 * Draft nodes exist for the containers that the function touches, and only they have proxies. A node is *live* if it is
 * a container of the room and still hangs in it; only live nodes write operations. What is new or was taken out is
 * changed in place and costs nothing until it is put somewhere, which copies it. Each node keeps its own operations: those
 * of different containers do not depend on each other, so the order between containers is free.
 *
 * This file is the part that all kinds share: the session, the node, and copying values in.
 */
import { HitherError } from "./error.js";
import { isMirrorNode, type MirrorNode, wasText } from "./mirror.js";
import { MAX_DEPTH, PacketWriter, VALUE, wellFormed } from "./packet.js";
import { markerContent } from "./text.js";

/** In a draft node: a scalar, frozen plain JSON, a container nobody touched yet, or one with a draft. */
export type Entry = unknown;

/** The handle of a container that the room does not have. */
export const FRESH = -1;

/** Where a value goes, for messages: `todos[3].due`. */
export type Path = () => string;

/** The key under which a proxy gives its node. */
export const NODE: unique symbol = Symbol("node");

/** The node behind a proxy or a draft text; undefined for anything else. */
export function nodeOf(value: unknown): DraftNode | undefined {
	if (typeof value !== "object" || value === null) return undefined;
	return value instanceof DraftNode ? value : (value as { [NODE]?: DraftNode })[NODE];
}

/** One run of an app's draft function. */
export class Session {
	#open = true;
	readonly #touched: DraftNode[] = [];
	readonly make: NodeMaker;

	constructor(make: NodeMaker) {
		this.make = make;
	}

	check(): void {
		if (this.#open) return;
		throw new HitherError(
			"bad-draft",
			"a draft can be used only inside its change() call; start another change() for later edits",
		);
	}

	/** Once for each node. */
	touched(node: DraftNode): void {
		this.#touched.push(node);
	}

	close(): void {
		this.#open = false;
	}

	/** All operations as one packet (see {@link PacketWriter.finish}); undefined if there are none. */
	packet(): Uint8Array | undefined {
		if (this.#touched.length === 0) return undefined;
		const writer = new PacketWriter();
		for (const node of this.#touched) if (node.isLive) node.write(writer);
		return writer.isEmpty ? undefined : writer.finish();
	}
}

/** Makes nodes of the right kind: kept apart so that the kinds need not know each other. */
export interface NodeMaker {
	/** A draft of a container of the room. */
	of(session: Session, node: MirrorNode): DraftNode;
	map(session: Session): DraftNode & { add(key: string, entry: Entry): void };
	list(session: Session): DraftNode & { add(entry: Entry): void };
	text(session: Session, content: string): DraftNode;
	/** A read-only view of plain JSON that another client stored. */
	plain(session: Session, value: object, path: Path): object;
}

export abstract class DraftNode {
	parent: DraftNode | undefined;

	constructor(
		readonly session: Session,
		readonly id: number,
	) {}

	/** What the app's function gets. */
	abstract readonly facade: object;
	/** A new node with the same content, unconnected. */
	abstract copy(): DraftNode;
	/** Appends this node's operations. */
	abstract write(writer: PacketWriter): void;
	/** Appends this node as a new value. */
	abstract writeValue(writer: PacketWriter): void;
	/** The piece of state that this is a draft of. */
	get original(): unknown {
		return undefined;
	}

	/** Where in this node a child is, as it stands in a path. */
	protected abstract step(child: DraftNode): string;

	get isLive(): boolean {
		if (this.id === FRESH) return false;
		let node: DraftNode = this;
		while (node.parent !== undefined) node = node.parent;
		return node.id === 0;
	}

	get path(): string {
		return this.parent === undefined ? "" : this.parent.path + this.parent.step(this);
	}

	/** Puts an error at a place inside this node. */
	fail(code: string, step: string, problem: string): HitherError {
		return errorAt(code, this.path + step, problem);
	}

	protected adopt(entry: Entry): void {
		if (entry instanceof DraftNode) entry.parent = this;
	}

	protected release(entry: Entry): void {
		if (entry instanceof DraftNode) entry.parent = undefined;
	}

	/** A draft node for an untouched container; anything else as it is. */
	protected opened(entry: Entry): Entry {
		if (!isMirrorNode(entry) || entry.kind === "opaque") return entry;
		const node = this.session.make.of(this.session, entry);
		node.parent = this;
		return node;
	}

	/** What the app's function gets to see of an (opened) entry. */
	protected shown(entry: Entry, step: Path): unknown {
		if (entry instanceof DraftNode) return entry.facade;
		if (typeof entry !== "object" || entry === null) return entry;
		if (isMirrorNode(entry)) return entry.value;
		// Typed arrays cannot be frozen: whoever writes into this copy changes nothing.
		if (entry instanceof Uint8Array) return new Uint8Array(entry);
		return this.session.make.plain(this.session, entry, () => this.path + step());
	}
}

/** Copies what an app puts in. Throws with the path of what cannot be stored. */
export function copyIn(session: Session, value: unknown, path: Path): Entry {
	return copyValue(session, value, path, []);
}

function copyValue(session: Session, value: unknown, path: Path, above: readonly object[]): Entry {
	switch (typeof value) {
		case "boolean":
		case "number":
			return value;
		case "string":
			return wellFormed(value);
		case "object":
			return value === null ? null : copyObject(session, value, path, above);
		case "undefined":
			throw bad(path, "undefined cannot be stored; use null, or leave it out");
		default:
			throw bad(path, `a ${typeof value} cannot be stored`);
	}
}

function copyObject(session: Session, value: object, path: Path, above: readonly object[]): Entry {
	const node = nodeOf(value);
	if (node !== undefined) return node.copy();
	const content = markerContent(value);
	if (content !== undefined) return session.make.text(session, wellFormed(content));
	if (value instanceof Uint8Array) return new Uint8Array(value);
	if (above.includes(value)) throw bad(path, "it contains itself; a shared value is a tree");
	if (above.length >= MAX_DEPTH) throw bad(path, `values can be nested ${MAX_DEPTH} deep`);
	const within = [...above, value];

	if (Array.isArray(value)) {
		const list = session.make.list(session);
		for (let index = 0; index < value.length; index++) {
			const item: unknown = value[index];
			const isText = typeof item === "string" && wasText(value, index);
			const here: Path = () => `${path()}[${index}]`;
			list.add(isText ? session.make.text(session, item) : copyValue(session, item, here, within));
		}
		return list;
	}
	if (!isPlain(value)) throw bad(path, describe(value));
	const map = session.make.map(session);
	for (const [key, item] of Object.entries(value) as [string, unknown][]) {
		if (item === undefined) continue;
		const isText = typeof item === "string" && wasText(value, key);
		const here: Path = () => path() + stepTo(key);
		map.add(
			wellFormed(key),
			isText ? session.make.text(session, item) : copyValue(session, item, here, within),
		);
	}
	return map;
}

/** A container of the mirror as new draft nodes, texts staying texts. */
export function copyEntry(session: Session, entry: Entry): Entry {
	if (entry instanceof DraftNode) return entry.copy();
	if (isMirrorNode(entry)) {
		if (entry.kind === "opaque") return entry.value;
		return session.make.of(session, entry).copy();
	}
	if (typeof entry !== "object" || entry === null) return entry;
	return copyForeign(session, entry);
}

/** Plain JSON of another client, where undefined may stand, as new shared containers. */
function copyForeign(session: Session, value: unknown): Entry {
	if (value === undefined) return null;
	if (typeof value !== "object" || value === null) return value;
	if (value instanceof Uint8Array) return new Uint8Array(value);
	if (Array.isArray(value)) {
		const list = session.make.list(session);
		for (const item of value as unknown[]) list.add(copyForeign(session, item));
		return list;
	}
	const map = session.make.map(session);
	for (const [key, item] of Object.entries(value)) map.add(key, copyForeign(session, item));
	return map;
}

/** Appends an entry as a value. */
export function writeEntry(writer: PacketWriter, entry: Entry): void {
	if (entry instanceof DraftNode) entry.writeValue(writer);
	else if (entry === null || entry === undefined) writer.byte(VALUE.null);
	else if (typeof entry === "boolean") writer.byte(entry ? VALUE.true : VALUE.false);
	else if (typeof entry === "number") writer.numeric(entry);
	else if (entry instanceof Uint8Array) writer.bytes(entry);
	else if (typeof entry === "string") {
		writer.byte(VALUE.string);
		writer.string(entry);
	}
	// An integer of another client that is past what a number holds, in something that is copied.
	else throw new HitherError("bad-value", `a ${typeof entry} cannot be stored`);
}

/** Whether writing one scalar over the other would change nothing. */
export function isSame(one: Entry, other: Entry): boolean {
	if (Object.is(one, other)) return true;
	if (!(one instanceof Uint8Array && other instanceof Uint8Array) || one.length !== other.length)
		return false;
	return one.every((byte, index) => byte === other[index]);
}

/** The string in a value that may stand for a text's new content. */
export function textIn(value: unknown): string | undefined {
	if (typeof value === "string") return value;
	if (typeof value !== "object" || value === null) return undefined;
	const node = nodeOf(value);
	return node === undefined ? markerContent(value) : node.facade === node ? String(node) : undefined;
}

/** A key as it stands in a path. */
export function stepTo(key: string): string {
	return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** An error at a place, as {@link stepTo} names it; the root has no name. */
export function errorAt(code: string, path: string, problem: string): HitherError {
	const where = path.replace(/^\./, "");
	return new HitherError(code, where === "" ? problem : `${where}: ${problem}`);
}

function bad(path: Path, problem: string): HitherError {
	return errorAt("bad-value", path(), problem);
}

// Objects of another realm (an iframe) have another Object.prototype, whose own prototype is null too.
function isPlain(value: object): boolean {
	const prototype: unknown = Object.getPrototypeOf(value);
	return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function describe(value: object): string {
	if (value instanceof Date) return "a Date cannot be stored; use date.toISOString() or date.getTime()";
	if (value instanceof Map || value instanceof Set) {
		return "a Map or Set cannot be stored; use an object with an entry for each key";
	}
	if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
		return "binary data is stored as Uint8Array; wrap the buffer in one";
	}
	if (value instanceof Promise) return "a Promise cannot be stored; await it before the change()";
	const name: unknown = value.constructor?.name;
	const what = typeof name === "string" && name !== "" ? name : "a class";
	return `an instance of ${what} cannot be stored; store a plain object with its data`;
}
