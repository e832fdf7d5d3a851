/**
 * An array inside a draft.
 *
 * Reading methods are those of `Array.prototype`, which work on anything with a length and indexes. What changes the
 * array is written here, so that it becomes one splice; what would rewrite all of it is refused.
 */
import {
	copyEntry,
	copyIn,
	DraftNode,
	type Entry,
	FRESH,
	isSame,
	NODE,
	nodeOf,
	type Session,
	textIn,
	writeEntry,
} from "./draft.js";
import { TextDraft } from "./draft-text.js";
import { HitherError } from "./error.js";
import { isMirrorNode, type ListNode, spliceInto } from "./mirror.js";
import { OP, type PacketWriter, VALUE } from "./packet.js";
import { type Pieces, Splices } from "./splices.js";

const ARRAYS: Pieces<Entry[]> = {
	lengthOf: (piece) => piece.length,
	replace(piece, from, to, middle) {
		spliceInto(piece, from, to - from, middle);
		return piece;
	},
};

/** What all proxies stand before: they never look at it. */
const TARGET: unknown[] = [];

export class ListDraft extends DraftNode implements ProxyHandler<unknown[]> {
	readonly #source: ListNode | undefined;
	/** All items, from the first splice on that does more than append: a copy of a long list costs more than the edit. */
	#items: Entry[] | undefined;
	/** Until then: the source's containers that have drafts, and what was appended. */
	#touched: Map<number, DraftNode> | undefined;
	readonly #appended: Entry[] = [];
	#splices: Splices<Entry[]> | undefined;
	#facade: unknown[] | undefined;

	constructor(session: Session, source?: ListNode) {
		super(session, source?.id ?? FRESH);
		this.#source = source;
		if (source === undefined) this.#items = [];
	}

	override get facade(): unknown[] {
		this.#facade ??= new Proxy<unknown[]>(TARGET, this);
		return this.#facade;
	}

	get length(): number {
		return this.#items?.length ?? this.#sourceLength + this.#appended.length;
	}

	/** Puts an entry into a node that is not in use yet. */
	add(entry: Entry): void {
		this.#all().push(entry);
		this.adopt(entry);
	}

	/** Empties a node that is not in use, and gives its items. */
	take(): Entry[] {
		const items = this.#all();
		this.#items = [];
		return items;
	}

	/** The one way in which a list changes. Keeps `entries`: the caller must not change it any more. */
	splice(index: number, deleted: number, entries: Entry[]): void {
		if (this.#items === undefined && deleted === 0 && index === this.length) {
			spliceInto(this.#appended, this.#appended.length, 0, entries);
		} else {
			const items = this.#all();
			for (let at = index; at < index + deleted; at++) this.release(items[at]);
			spliceInto(items, index, deleted, entries);
		}
		for (const entry of entries) this.adopt(entry);
		if (this.id === FRESH) return;
		if (this.#splices === undefined) {
			this.#splices = new Splices<Entry[]>(ARRAYS);
			this.session.touched(this);
		}
		this.#splices.add(index, deleted, entries);
	}

	/** Copies what the app puts in at an index. */
	copyAll(index: number, values: readonly unknown[]): Entry[] {
		return values.map((value, at) => copyIn(this.session, value, () => `${this.path}[${index + at}]`));
	}

	at(index: number): unknown {
		return this.shown(this.#open(index), () => `[${index}]`);
	}

	/** Where a draft, a piece of state or a scalar stands. */
	find(value: unknown, from: number, step: 1 | -1): number {
		const wanted = nodeOf(value) ?? value;
		for (let index = from; index >= 0 && index < this.length; index += step) {
			const entry = this.#entry(index);
			if (entry === wanted) return index;
			if (typeof wanted !== "object" || wanted === null) continue;
			const original = isMirrorNode(entry)
				? entry.value
				: entry instanceof DraftNode
					? entry.original
					: entry;
			if (original === wanted) return index;
		}
		return -1;
	}

	override get original(): unknown {
		return this.#source?.value;
	}

	/** The handler of the proxy. */
	get(_target: object, key: string | symbol): unknown {
		if (key === NODE) return this;
		this.session.check();
		if (key === "length") return this.length;
		const index = toIndex(key);
		if (index !== undefined) return index < this.length ? this.at(index) : undefined;
		return Object.hasOwn(methods, key) ? Reflect.get(methods, key) : Reflect.get(Array.prototype, key);
	}

	set(_target: object, key: string | symbol, value: unknown): boolean {
		this.session.check();
		if (key === "length") {
			const length = Number(value);
			if (!Number.isInteger(length) || length < 0 || length > this.length) {
				throw this.fail(
					"bad-edit",
					".length",
					"a shared list can only be cut shorter; use push() to make it longer",
				);
			}
			this.splice(length, this.length - length, []);
			return true;
		}
		const index = toIndex(key);
		if (index === undefined) throw this.fail("bad-edit", `[${String(key)}]`, "lists have indexes only");
		this.#assign(index, value);
		return true;
	}

	deleteProperty(_target: object, key: string | symbol): boolean {
		throw this.fail(
			"bad-edit",
			`[${String(key)}]`,
			"a list has no holes; use splice(index, 1) to remove an item",
		);
	}

	has(_target: object, key: string | symbol): boolean {
		this.session.check();
		const index = toIndex(key);
		return index === undefined ? Reflect.has(Array.prototype, key) : index < this.length;
	}

	ownKeys(): string[] {
		this.session.check();
		return [...Array.from({ length: this.length }, (_, index) => String(index)), "length"];
	}

	getOwnPropertyDescriptor(_target: object, key: string | symbol): PropertyDescriptor | undefined {
		this.session.check();
		if (key === "length")
			return { value: this.length, writable: true, enumerable: false, configurable: false };
		const index = toIndex(key);
		if (index === undefined || index >= this.length) return undefined;
		return { value: this.at(index), writable: true, enumerable: true, configurable: true };
	}

	defineProperty(target: object, key: string | symbol, descriptor: PropertyDescriptor): boolean {
		if (!("value" in descriptor))
			throw this.fail("bad-value", `[${String(key)}]`, "accessors cannot be stored");
		return this.set(target, key, descriptor.value);
	}

	setPrototypeOf(): boolean {
		return false;
	}

	preventExtensions(): boolean {
		return false;
	}

	/** `draft[index] = value` */
	#assign(index: number, value: unknown): void {
		if (index > this.length) {
			throw this.fail(
				"bad-edit",
				`[${index}]`,
				`the list has ${this.length} items and no holes; use push() or splice()`,
			);
		}
		const current = index < this.length ? this.#open(index) : undefined;
		const content = textIn(value);
		if (current instanceof TextDraft && content !== undefined) {
			current.set(content);
			return;
		}
		if (current instanceof DraftNode && nodeOf(value) === current) return;
		const [entry] = this.copyAll(index, [value]);
		if (index < this.length && isSame(entry, current)) return;
		this.splice(index, index < this.length ? 1 : 0, [entry]);
	}

	#all(): Entry[] {
		if (this.#items !== undefined) return this.#items;
		const values = this.#source?.value ?? [];
		const children = this.#source?.children;
		// The copy that costs least: frozen arrays are quick to spread and slow to map.
		const items: Entry[] = [...(children ?? values)];
		if (children !== undefined) {
			for (let index = 0; index < items.length; index++) items[index] ??= values[index];
		}
		for (const [index, node] of this.#touched ?? []) items[index] = node;
		spliceInto(items, items.length, 0, this.#appended);
		this.#items = items;
		return items;
	}

	get #sourceLength(): number {
		return this.#source?.value.length ?? 0;
	}

	#entry(index: number): Entry {
		if (this.#items !== undefined) return this.#items[index];
		if (index >= this.#sourceLength) return this.#appended[index - this.#sourceLength];
		return this.#touched?.get(index) ?? this.#source?.childAt(index) ?? this.#source?.value[index];
	}

	#open(index: number): Entry {
		const entry = this.#entry(index);
		const opened = this.opened(entry);
		// What was put in is a draft node already: only what the source has is opened.
		if (opened instanceof DraftNode && opened !== entry) {
			if (this.#items !== undefined) this.#items[index] = opened;
			else {
				this.#touched ??= new Map();
				this.#touched.set(index, opened);
			}
		}
		return opened;
	}

	override copy(): ListDraft {
		const copy = new ListDraft(this.session);
		for (const entry of this.#all()) copy.add(copyEntry(this.session, entry));
		return copy;
	}

	override write(writer: PacketWriter): void {
		for (const { index, deleted, piece } of this.#splices ?? []) {
			writer.byte(OP.listSplice);
			writer.number(this.id);
			writer.number(index);
			writer.number(deleted);
			writer.number(piece.length);
			for (const entry of piece) writeEntry(writer, entry);
		}
	}

	override writeValue(writer: PacketWriter): void {
		const items = this.#all();
		writer.byte(VALUE.list);
		writer.number(0);
		writer.number(items.length);
		for (const entry of items) writeEntry(writer, entry);
	}

	protected override step(child: DraftNode): string {
		if (this.#items !== undefined) return `[${this.#items.indexOf(child)}]`;
		for (const [index, node] of this.#touched ?? []) if (node === child) return `[${index}]`;
		return `[${this.#sourceLength + this.#appended.indexOf(child)}]`;
	}
}

/** What replaces the methods of `Array.prototype`. */
const methods: Record<string, (this: unknown, ...values: unknown[]) => unknown> = {
	push(...items) {
		const list = listOf(this);
		list.splice(list.length, 0, list.copyAll(list.length, items));
		return list.length;
	},
	unshift(...items) {
		const list = listOf(this);
		list.splice(0, 0, list.copyAll(0, items));
		return list.length;
	},
	pop() {
		const list = listOf(this);
		return list.length === 0 ? undefined : remove(list, list.length - 1, 1)[0];
	},
	shift() {
		const list = listOf(this);
		return list.length === 0 ? undefined : remove(list, 0, 1)[0];
	},
	splice(...values) {
		const list = listOf(this);
		const [start, count, ...items] = values;
		const from = relative(start, list.length, 0);
		const rest = list.length - from;
		const deleted =
			values.length === 0 ? 0 : values.length === 1 ? rest : Math.min(rest, Math.max(0, integer(count)));
		const entries = list.copyAll(from, items);
		const removed = remove(list, from, deleted);
		if (entries.length > 0) list.splice(from, 0, entries);
		return removed;
	},
	indexOf(value, from) {
		const list = listOf(this);
		return list.find(value, relative(from, list.length, 0), 1);
	},
	lastIndexOf(value, from) {
		const list = listOf(this);
		const last = list.length - 1;
		const start = from === undefined ? last : integer(from);
		return list.find(value, start < 0 ? list.length + start : Math.min(start, last), -1);
	},
	includes(value, from) {
		const list = listOf(this);
		if (!Number.isNaN(value)) return list.find(value, relative(from, list.length, 0), 1) >= 0;
		return Array.prototype.includes.call(this, value, from as number | undefined);
	},
	sort: refuse("sort", "sort a copy where you show it: [...room.state.list].sort(…)"),
	reverse: refuse("reverse", "reverse a copy where you show it: [...room.state.list].reverse()"),
	fill: refuse("fill", "assign the items that change"),
	copyWithin: refuse("copyWithin", "assign the items that change"),
};

function refuse(name: string, instead: string): (this: unknown) => never {
	return function (this: unknown) {
		throw listOf(this).fail(
			"bad-edit",
			"",
			`${name}() would replace every item and lose what others do to them at the same time; ${instead}`,
		);
	};
}

/** What is removed can still be read, changed and put elsewhere. */
function remove(list: ListDraft, index: number, count: number): unknown[] {
	const removed: unknown[] = [];
	for (let at = index; at < index + count; at++) removed.push(list.at(at));
	list.splice(index, count, []);
	return removed;
}

function listOf(value: unknown): ListDraft {
	const node = nodeOf(value);
	if (!(node instanceof ListDraft))
		throw new HitherError("bad-edit", "this method belongs to a shared list of a draft");
	node.session.check();
	return node;
}

function toIndex(key: string | symbol): number | undefined {
	if (typeof key === "symbol") return undefined;
	const first = key.charCodeAt(0);
	// Most keys are names: they need no closer look.
	if (!(first >= 48 && first <= 57) || !/^(0|[1-9]\d*)$/.test(key)) return undefined;
	return Number(key);
}

function integer(value: unknown): number {
	const number = Math.trunc(Number(value));
	return Number.isNaN(number) ? 0 : number;
}

/** A start argument as arrays understand it: negative counts from the end. */
function relative(value: unknown, length: number, otherwise: number): number {
	if (value === undefined) return otherwise;
	const start = integer(value);
	return start < 0 ? Math.max(0, length + start) : Math.min(start, length);
}
