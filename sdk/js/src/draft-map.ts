/** An object inside a draft. */
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
	stepTo,
	textIn,
	writeEntry,
} from "./draft.js";
import { ListDraft } from "./draft-list.js";
import { TextDraft } from "./draft-text.js";
import { isMirrorNode, type MapNode } from "./mirror.js";
import { OP, type PacketWriter, VALUE, wellFormed } from "./packet.js";

const ABSENT: unique symbol = Symbol("absent");

/** What all proxies stand before: they never look at it. */
const TARGET: Record<string, unknown> = {};

export class MapDraft extends DraftNode implements ProxyHandler<Record<string, unknown>> {
	readonly #source: MapNode | undefined;
	/** What differs from the source, and the children that have drafts. */
	readonly #entries = new Map<string, Entry>();
	/** Keys that were set or deleted. */
	#written: Set<string> | undefined;
	#facade: Record<string, unknown> | undefined;

	constructor(session: Session, source?: MapNode) {
		super(session, source?.id ?? FRESH);
		this.#source = source;
	}

	override get facade(): Record<string, unknown> {
		this.#facade ??= new Proxy<Record<string, unknown>>(TARGET, this);
		return this.#facade;
	}

	override get original(): unknown {
		return this.#source?.value;
	}

	/** Puts an entry into a node that is not in use yet. */
	add(key: string, entry: Entry): void {
		this.#entries.set(key, entry);
		this.adopt(entry);
	}

	keys(): string[] {
		const keys = new Set(Object.keys(this.#source?.value ?? {}));
		for (const [key, entry] of this.#entries) {
			if (entry === ABSENT) keys.delete(key);
			else keys.add(key);
		}
		return [...keys];
	}

	/** The handler of the proxy. */
	get(_target: object, key: string | symbol): unknown {
		if (key === NODE) return this;
		this.session.check();
		if (typeof key === "symbol") return undefined;
		const entry = this.#open(key);
		if (entry !== ABSENT) return this.shown(entry, () => stepTo(key));
		return key === "__proto__" ? undefined : Reflect.get(Object.prototype, key);
	}

	set(_target: object, key: string | symbol, value: unknown): boolean {
		this.session.check();
		if (typeof key === "symbol") throw this.fail("bad-value", "", "keys are strings, not symbols");
		this.assign(wellFormed(key), value);
		return true;
	}

	deleteProperty(_target: object, key: string | symbol): boolean {
		this.session.check();
		if (typeof key === "string") this.#remove(key);
		return true;
	}

	has(_target: object, key: string | symbol): boolean {
		this.session.check();
		return typeof key === "string" && (this.#entry(key) !== ABSENT || key in Object.prototype);
	}

	ownKeys(): string[] {
		this.session.check();
		return this.keys();
	}

	getOwnPropertyDescriptor(_target: object, key: string | symbol): PropertyDescriptor | undefined {
		this.session.check();
		if (typeof key === "symbol") return undefined;
		const entry = this.#open(key);
		if (entry === ABSENT) return undefined;
		return {
			value: this.shown(entry, () => stepTo(key)),
			writable: true,
			enumerable: true,
			configurable: true,
		};
	}

	defineProperty(target: object, key: string | symbol, descriptor: PropertyDescriptor): boolean {
		if (!("value" in descriptor))
			throw this.fail("bad-value", stepTo(String(key)), "accessors cannot be stored");
		return this.set(target, key, descriptor.value);
	}

	setPrototypeOf(): boolean {
		return false;
	}

	preventExtensions(): boolean {
		return false;
	}

	/** `draft[key] = value` */
	assign(key: string, value: unknown): void {
		if (value === undefined) {
			this.#remove(key);
			return;
		}
		const current = this.#open(key);
		const content = textIn(value);
		if (current instanceof TextDraft && content !== undefined) {
			current.set(content);
			return;
		}
		if (isMirrorNode(current)) {
			throw this.fail(
				"bad-edit",
				stepTo(key),
				"another client keeps something here that cannot be edited; delete it first",
			);
		}
		if (current instanceof DraftNode && nodeOf(value) === current) return;
		if (current instanceof DraftNode && this.id === 0) {
			this.#refill(key, current, value);
			return;
		}
		const entry = copyIn(this.session, value, () => this.path + stepTo(key));
		if (isSame(entry, current)) return;
		this.#put(key, entry);
	}

	/** The containers at the top of a room are there for good: new content goes into the one that is there. */
	#refill(key: string, current: DraftNode, value: unknown): void {
		const entry = copyIn(this.session, value, () => stepTo(key));
		if (current instanceof ListDraft && entry instanceof ListDraft) {
			current.splice(0, current.length, entry.take());
		} else if (current instanceof MapDraft && entry instanceof MapDraft) {
			const next = new Set(entry.keys());
			for (const old of current.keys()) if (!next.has(old)) current.#remove(old);
			for (const name of next) current.#put(name, entry.#entries.get(name));
		} else {
			const kind =
				current instanceof ListDraft ? "a list" : current instanceof TextDraft ? "a text" : "an object";
			throw this.fail("bad-edit", stepTo(key), `at the top of a room ${kind} stays ${kind}; use another key`);
		}
	}

	#put(key: string, entry: Entry): void {
		this.release(this.#entries.get(key));
		this.#entries.set(key, entry);
		this.adopt(entry);
		this.#write(key);
	}

	#remove(key: string): void {
		if (this.#entry(key) === ABSENT) return;
		this.release(this.#entries.get(key));
		this.#entries.set(key, ABSENT);
		this.#write(key);
	}

	#write(key: string): void {
		// What is new is written as a whole.
		if (this.id === FRESH) return;
		if (this.#written === undefined) {
			this.#written = new Set();
			this.session.touched(this);
		}
		this.#written.add(key);
	}

	#entry(key: string): Entry {
		const entry = this.#entries.get(key);
		if (entry !== undefined || this.#entries.has(key)) return entry;
		const source = this.#source;
		if (source === undefined || !Object.hasOwn(source.value, key)) return ABSENT;
		return source.childAt(key) ?? source.value[key];
	}

	#open(key: string): Entry {
		const entry = this.#entry(key);
		const opened = this.opened(entry);
		if (opened !== entry) this.#entries.set(key, opened);
		return opened;
	}

	override copy(): MapDraft {
		const copy = new MapDraft(this.session);
		for (const key of this.keys()) copy.add(key, copyEntry(this.session, this.#entry(key)));
		return copy;
	}

	override write(writer: PacketWriter): void {
		const source = this.#source;
		for (const key of this.#written ?? []) {
			const entry = this.#entries.get(key);
			const had = source !== undefined && Object.hasOwn(source.value, key);
			if (entry === ABSENT) {
				if (!had) continue;
				writer.byte(OP.mapDelete);
				writer.number(this.id);
				writer.string(key);
			} else {
				if (had && source.childAt(key) === undefined && isSame(entry, source.value[key])) continue;
				writer.byte(OP.mapSet);
				writer.number(this.id);
				writer.string(key);
				writeEntry(writer, entry);
			}
		}
	}

	override writeValue(writer: PacketWriter): void {
		const keys = this.keys();
		writer.byte(VALUE.map);
		writer.number(0);
		writer.number(keys.length);
		for (const key of keys) {
			writer.string(key);
			writeEntry(writer, this.#entries.get(key));
		}
	}

	protected override step(child: DraftNode): string {
		for (const [key, entry] of this.#entries) if (entry === child) return stepTo(key);
		return "";
	}
}
