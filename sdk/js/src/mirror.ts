/**
 * The document as plain immutable JavaScript, patched from what the engine reports.
 *
 * ```text
 *   packet ──apply──► nodes (one per shared container, mutable, found by handle)
 *                        │ value
 *                        ▼
 *                     frozen objects, arrays and strings: what the app holds
 * ```
 *
 * What the app has seen is never written again. A container is copied at its first change after that and changed in
 * place from then on; when the app looks again, the copies are hung into their (also copied) parents and frozen. So a
 * loop of edits that nobody watches costs what it changes, not what the containers weigh. Whatever did not change keeps
 * its identity.
 *
 * Freezing costs nothing measurable as long as arrays are copied by spreading: V8 keeps frozen elements fast there,
 * while `slice()` of a frozen array takes 60 ns an item.
 */
import { LongText } from "./long-text.js";
import { broken, OP, PacketReader, VALUE } from "./packet.js";

/** A shared object. */
export class MapNode {
	readonly kind = "map";
	parent: MapNode | ListNode | null = null;
	/** The key in a parent map; in a parent list the index where it was last seen. */
	slot: string | number = "";
	/** The look behind which the value was made: it may be written until the next one. */
	stamp = 0;
	value: Record<string, unknown>;
	/** The shared containers among the entries. */
	children: Map<string, MirrorNode> | undefined;
	/** Whether a text was ever directly in it. */
	holdsTexts = false;

	constructor(
		readonly id: number,
		value: Record<string, unknown>,
	) {
		this.value = value;
	}

	childAt(key: string): MirrorNode | undefined {
		return this.children?.get(key);
	}
}

/** A shared array. */
export class ListNode {
	readonly kind = "list";
	parent: MapNode | ListNode | null = null;
	slot: string | number = "";
	stamp = 0;
	value: readonly unknown[];
	/** Runs beside `value`; absent while all items are plain. */
	children: (MirrorNode | undefined)[] | undefined;
	holdsTexts = false;

	constructor(
		readonly id: number,
		value: readonly unknown[],
	) {
		this.value = value;
	}

	childAt(index: number): MirrorNode | undefined {
		return this.children?.[index];
	}

	/** Where a child is: where it was, or near, or searched for. Splices update nothing. */
	indexOf(child: MirrorNode): number {
		const children = this.children ?? [];
		const hint = child.slot as number;
		for (let near = 0; near <= 2; near++) {
			if (children[hint + near] === child) return hint + near;
			if (children[hint - near] === child) return hint - near;
		}
		return children.indexOf(child);
	}
}

/** A shared text, or something of another client that Hither only shows (opaque). */
export class LeafNode {
	parent: MapNode | ListNode | null = null;
	slot: string | number = "";
	stamp = 0;
	text: LongText;

	constructor(
		readonly kind: "text" | "opaque",
		readonly id: number,
		value: string,
	) {
		this.text = new LongText(value);
	}

	get value(): string {
		return this.text.toString();
	}
}

export type MirrorNode = MapNode | ListNode | LeafNode;

export function isMirrorNode(value: unknown): value is MirrorNode {
	return value instanceof MapNode || value instanceof ListNode || value instanceof LeafNode;
}

// A text is a plain string in the state, so a copy of a piece of state would lose which strings are texts.
// For every container of ours that holds texts directly, this remembers at which keys or indexes.
const textSlots = new WeakMap<object, ReadonlySet<string | number>>();

/** Whether the string at a key or index of a piece of state, of whatever age, is a collaborative text. */
export function wasText(container: object, slot: string | number): boolean {
	return textSlots.get(container)?.has(slot) ?? false;
}

export class Mirror {
	readonly root: MapNode = new MapNode(0, Object.freeze({}));
	readonly #nodes = new Map<number, MirrorNode>([[0, this.root]]);
	/** Counts the looks of the app. */
	#stamp = 1;
	/** Containers that were copied and leaves that changed since the last look. */
	#dirty: MirrorNode[] = [];
	/** Containers that came since then: their values are in their parents already. */
	#fresh: (MapNode | ListNode)[] = [];

	/** The root's value: the same object until something changed. */
	get state(): Readonly<Record<string, unknown>> {
		if (this.#dirty.length > 0 || this.#fresh.length > 0) this.#seal();
		return this.root.value;
	}

	/** How many containers are known: those in the state and the root. */
	get size(): number {
		return this.#nodes.size;
	}

	/** Applies one packet of the engine, which begins at an offset. */
	apply(packet: Uint8Array, offset: number = 0): void {
		if (packet.length === offset) return;
		const reader = new PacketReader(packet, offset);
		while (reader.hasMore) this.#operation(reader);
	}

	#operation(reader: PacketReader): void {
		const op = reader.byte();
		if (op === OP.reset) {
			this.#drop(this.root);
			this.#nodes.set(0, this.root);
			this.root.children = undefined;
			this.root.value = {};
			this.#own(this.root);
			for (let left = reader.number(); left > 0; left--) this.#mapSet(this.root, reader);
			return;
		}
		const id = reader.number();
		const node = this.#nodes.get(id);
		if (node === undefined) throw broken(`operation ${op} on container ${id}, which is not there`);
		if (op === OP.mapSet && node.kind === "map") {
			this.#mapSet(node, reader);
		} else if (op === OP.mapDelete && node.kind === "map") {
			const key = reader.string();
			this.#own(node);
			this.#removeChild(node, key);
			delete node.value[key];
		} else if (op === OP.listSplice && node.kind === "list") {
			this.#listSplice(node, reader);
		} else if (op === OP.textSplice && node.kind === "text") {
			const index = reader.number();
			const deleted = reader.number();
			if (index + deleted > node.text.length) throw broken("a splice past the end of a text");
			node.text.splice(index, deleted, reader.string());
			this.#mark(node);
		} else if (op === OP.opaqueSet && node.kind === "opaque") {
			node.text = new LongText(reader.string());
			this.#mark(node);
		} else {
			throw broken(`operation ${op} on a ${node.kind}`);
		}
	}

	#mapSet(node: MapNode, reader: PacketReader): void {
		const key = reader.string();
		this.#own(node);
		this.#removeChild(node, key);
		this.#readEntry(node, key, reader);
	}

	/** Puts a value under a key that has no container. */
	#readEntry(node: MapNode, key: string, reader: PacketReader): void {
		const read = this.#read(reader, node, key);
		if (isMirrorNode(read)) {
			node.children ??= new Map();
			node.children.set(key, read);
			put(node.value, key, read.value);
		} else {
			put(node.value, key, read);
		}
	}

	#listSplice(node: ListNode, reader: PacketReader): void {
		const index = reader.number();
		const deleted = reader.number();
		const count = reader.number();
		if (index + deleted > node.value.length) throw broken("a splice past the end of a list");
		this.#own(node);
		const values: unknown[] = [];
		const children: (MirrorNode | undefined)[] = [];
		let hasChild = false;
		for (let at = 0; at < count; at++) {
			const read = this.#read(reader, node, index + at);
			const isChild = isMirrorNode(read);
			values.push(isChild ? read.value : read);
			children.push(isChild ? read : undefined);
			hasChild ||= isChild;
		}
		if (hasChild) node.children ??= new Array<undefined>(node.value.length).fill(undefined);
		if (node.children !== undefined) {
			for (let at = index; at < index + deleted; at++) {
				const child = node.children[at];
				if (child !== undefined) this.#drop(child);
			}
			spliceInto(node.children, index, deleted, children);
		}
		spliceInto(node.value as unknown[], index, deleted, values);
	}

	/** A node for what is shared, a frozen value for what is not. */
	#read(reader: PacketReader, parent: MapNode | ListNode, slot: string | number): unknown {
		const tag = reader.byte();
		switch (tag) {
			case VALUE.null:
				return null;
			case VALUE.undefined:
				return undefined;
			case VALUE.false:
				return false;
			case VALUE.true:
				return true;
			case VALUE.float:
				return reader.float();
			case VALUE.integer:
				return reader.integer();
			case VALUE.bigint:
				return reader.bigint();
			case VALUE.string:
				return reader.string();
			case VALUE.bytes:
				return reader.bytes();
			case VALUE.list: {
				const id = reader.number();
				return id === 0 ? this.#readPlainList(reader) : this.#readList(id, reader, parent, slot);
			}
			case VALUE.map: {
				const id = reader.number();
				return id === 0 ? this.#readPlainMap(reader) : this.#readMap(id, reader, parent, slot);
			}
			case VALUE.text:
			case VALUE.opaque: {
				const node = new LeafNode(tag === VALUE.text ? "text" : "opaque", reader.number(), reader.string());
				return this.#register(node, parent, slot);
			}
			default:
				throw broken(`no value has the tag ${tag}`);
		}
	}

	#readList(id: number, reader: PacketReader, parent: MapNode | ListNode, slot: string | number): ListNode {
		const values: unknown[] = [];
		const node = this.#register(new ListNode(id, values), parent, slot);
		const count = reader.number();
		let children: (MirrorNode | undefined)[] | undefined;
		for (let at = 0; at < count; at++) {
			const read = this.#read(reader, node, at);
			if (isMirrorNode(read)) {
				children ??= new Array<undefined>(at).fill(undefined);
				children.push(read);
				values.push(read.value);
			} else {
				children?.push(undefined);
				values.push(read);
			}
		}
		node.children = children;
		return node;
	}

	#readMap(id: number, reader: PacketReader, parent: MapNode | ListNode, slot: string | number): MapNode {
		const node = this.#register(new MapNode(id, {}), parent, slot);
		for (let left = reader.number(); left > 0; left--) this.#readEntry(node, reader.string(), reader);
		return node;
	}

	#readPlainList(reader: PacketReader): readonly unknown[] {
		const values: unknown[] = [];
		for (let left = reader.number(); left > 0; left--) values.push(this.#readPlain(reader));
		return Object.freeze(values);
	}

	#readPlainMap(reader: PacketReader): Readonly<Record<string, unknown>> {
		const value: Record<string, unknown> = {};
		for (let left = reader.number(); left > 0; left--) put(value, reader.string(), this.#readPlain(reader));
		return Object.freeze(value);
	}

	#readPlain(reader: PacketReader): unknown {
		const read = this.#read(reader, this.root, "");
		if (isMirrorNode(read)) throw broken("a shared container inside a plain value");
		return read;
	}

	#register<Node extends MirrorNode>(node: Node, parent: MapNode | ListNode, slot: string | number): Node {
		if (node.id === 0 || this.#nodes.has(node.id)) throw broken(`container ${node.id} comes twice`);
		node.parent = parent;
		node.slot = slot;
		this.#nodes.set(node.id, node);
		if (node.kind === "map" || node.kind === "list") {
			node.stamp = this.#stamp;
			this.#fresh.push(node);
		} else if (node.kind === "text") {
			parent.holdsTexts = true;
		}
		return node;
	}

	#removeChild(node: MapNode, key: string): void {
		const child = node.children?.get(key);
		if (child === undefined) return;
		node.children?.delete(key);
		this.#drop(child);
	}

	/** Forgets a container and all in it. */
	#drop(top: MirrorNode): void {
		const doomed = [top];
		for (let node = doomed.pop(); node !== undefined; node = doomed.pop()) {
			this.#nodes.delete(node.id);
			node.parent = null;
			if (node.kind !== "map" && node.kind !== "list") continue;
			if (node.children === undefined) continue;
			for (const child of node.children.values()) if (child !== undefined) doomed.push(child);
		}
	}

	/** Makes sure that the app has not seen a container's value, so that it may be written. */
	#own(node: MapNode | ListNode): void {
		if (node.stamp === this.#stamp) return;
		if (node.kind === "map") node.value = { ...node.value };
		else node.value = [...node.value];
		this.#mark(node);
	}

	#mark(node: MirrorNode): void {
		if (node.stamp === this.#stamp) return;
		node.stamp = this.#stamp;
		this.#dirty.push(node);
	}

	#seal(): void {
		const dirty = this.#dirty;
		// The list grows while it is walked: hanging a value into its parent copies the parent.
		for (const node of dirty) {
			const parent = node.parent;
			if (parent === null) continue;
			this.#own(parent);
			if (parent.kind === "map") {
				put(parent.value, node.slot as string, node.value);
			} else {
				const index = parent.indexOf(node);
				node.slot = index;
				(parent.value as unknown[])[index] = node.value;
			}
		}
		for (const node of dirty) if (node.kind === "map" || node.kind === "list") freeze(node);
		for (const node of this.#fresh) freeze(node);
		this.#dirty = [];
		this.#fresh = [];
		this.#stamp += 1;
	}
}

function freeze(node: MapNode | ListNode): void {
	Object.freeze(node.value);
	if (node.holdsTexts) rememberTexts(node);
}

function rememberTexts(node: MapNode | ListNode): void {
	let slots: Set<string | number> | undefined;
	for (const [slot, child] of node.children?.entries() ?? []) {
		if (child?.kind !== "text") continue;
		slots ??= new Set();
		slots.add(slot);
	}
	if (slots !== undefined) textSlots.set(node.value, slots);
}

/** `target[key] = value`, also for the key `__proto__`. */
export function put(target: Record<string, unknown>, key: string, value: unknown): void {
	if (key === "__proto__") {
		Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
	} else {
		target[key] = value;
	}
}

/** `array.splice(index, deleted, ...items)` for any number of items: spreading 100,000 overflows the stack. */
export function spliceInto<T>(array: T[], index: number, deleted: number, items: readonly T[]): void {
	if (items.length < 1000) {
		array.splice(index, deleted, ...items);
	} else if (index === array.length) {
		for (const item of items) array.push(item);
	} else {
		const tail = array.slice(index + deleted);
		array.length = index;
		for (const item of items) array.push(item);
		for (const item of tail) array.push(item);
	}
}
