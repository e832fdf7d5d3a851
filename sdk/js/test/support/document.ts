/** The document as the engine would hold it: applies operations, answers with patches. For tests only. */
import { OP, PacketReader, PacketWriter, VALUE } from "../../src/packet.js";

export type Model =
	| { kind: "map"; id: number; entries: Map<string, Model> }
	| { kind: "list"; id: number; items: Model[] }
	| { kind: "text" | "opaque"; id: number; content: string }
	| { kind: "plain"; value: unknown };

type MapModel = Extract<Model, { kind: "map" }>;

export class FakeDocument {
	readonly root: MapModel = { kind: "map", id: 0, entries: new Map() };
	readonly shared: Map<number, Model> = new Map<number, Model>([[0, this.root]]);
	#nextId = 1;

	/** Applies operations; returns the patch that the engine would report. */
	change(operations: Uint8Array): Uint8Array {
		const reader = new PacketReader(operations);
		const patch = new PacketWriter();
		while (reader.hasMore) this.#operation(reader, patch);
		return patch.isEmpty ? new Uint8Array() : patch.finish().slice();
	}

	/** The whole state as a reset. */
	reset(): Uint8Array {
		const patch = new PacketWriter();
		patch.byte(OP.reset);
		patch.number(this.root.entries.size);
		for (const [key, value] of this.root.entries) {
			patch.string(key);
			writeModel(patch, value);
		}
		return patch.finish().slice();
	}

	/** Fills an empty document from a packet with one map value. */
	fill(initial: Uint8Array): void {
		if (initial.length === 0) return;
		const map = this.#read(new PacketReader(initial)) as MapModel;
		this.shared.delete(map.id);
		for (const [key, value] of map.entries) this.root.entries.set(key, value);
	}

	/** A container by its path. */
	at(...path: (string | number)[]): Model & { id: number } {
		let model: Model = this.root;
		for (const step of path) {
			const next: Model | undefined =
				model.kind === "map"
					? model.entries.get(step as string)
					: model.kind === "list"
						? model.items[step as number]
						: undefined;
			if (next === undefined) throw new Error(`nothing at ${path.join(".")}`);
			model = next;
		}
		if (model.kind === "plain") throw new Error(`${path.join(".")} is plain`);
		return model;
	}

	toJS(): unknown {
		return plainOf(this.root);
	}

	#operation(reader: PacketReader, patch: PacketWriter): void {
		const op = reader.byte();
		const id = reader.number();
		const model = this.shared.get(id);
		if (model === undefined) throw Object.assign(new Error(`no container ${id}`), { code: "bad-edit" });
		patch.byte(op);
		patch.number(id);
		if (op === OP.mapSet && model.kind === "map") {
			const key = reader.string();
			this.#forget(model.entries.get(key));
			const value = this.#read(reader);
			model.entries.set(key, value);
			patch.string(key);
			writeModel(patch, value);
		} else if (op === OP.mapDelete && model.kind === "map") {
			const key = reader.string();
			this.#forget(model.entries.get(key));
			model.entries.delete(key);
			patch.string(key);
		} else if (op === OP.listSplice && model.kind === "list") {
			const index = reader.number();
			const deleted = reader.number();
			if (index + deleted > model.items.length)
				throw Object.assign(new Error("out of range"), { code: "bad-edit" });
			const values = Array.from({ length: reader.number() }, () => this.#read(reader));
			for (const item of model.items.slice(index, index + deleted)) this.#forget(item);
			model.items = [...model.items.slice(0, index), ...values, ...model.items.slice(index + deleted)];
			patch.number(index);
			patch.number(deleted);
			patch.number(values.length);
			for (const value of values) writeModel(patch, value);
		} else if (op === OP.textSplice && model.kind === "text") {
			const index = reader.number();
			const deleted = reader.number();
			if (index + deleted > model.content.length)
				throw Object.assign(new Error("out of range"), { code: "bad-edit" });
			const inserted = reader.string();
			model.content = model.content.slice(0, index) + inserted + model.content.slice(index + deleted);
			patch.number(index);
			patch.number(deleted);
			patch.string(inserted);
		} else {
			throw Object.assign(new Error(`operation ${op} on a ${model.kind}`), { code: "bad-edit" });
		}
	}

	#read(reader: PacketReader): Model {
		const tag = reader.byte();
		const plain = (value: unknown): Model => ({ kind: "plain", value });
		switch (tag) {
			case VALUE.null:
				return plain(null);
			case VALUE.false:
				return plain(false);
			case VALUE.true:
				return plain(true);
			case VALUE.float:
				return plain(reader.float());
			case VALUE.integer:
				return plain(reader.integer());
			case VALUE.bigint:
				return plain(reader.bigint());
			case VALUE.string:
				return plain(reader.string());
			case VALUE.bytes:
				return plain(reader.bytes());
			case VALUE.list: {
				fresh(reader);
				return this.#share({
					kind: "list",
					id: this.#nextId++,
					items: Array.from({ length: reader.number() }, () => this.#read(reader)),
				});
			}
			case VALUE.map: {
				fresh(reader);
				const map: MapModel = { kind: "map", id: this.#nextId++, entries: new Map() };
				for (let left = reader.number(); left > 0; left--)
					map.entries.set(reader.string(), this.#read(reader));
				return this.#share(map);
			}
			case VALUE.text: {
				fresh(reader);
				return this.#share({ kind: "text", id: this.#nextId++, content: reader.string() });
			}
			default:
				throw new Error(`value ${tag}`);
		}
	}

	#share(model: Model & { id: number }): Model {
		this.shared.set(model.id, model);
		return model;
	}

	#forget(model: Model | undefined): void {
		if (model === undefined || model.kind === "plain") return;
		this.shared.delete(model.id);
		if (model.kind === "map") for (const child of model.entries.values()) this.#forget(child);
		if (model.kind === "list") for (const child of model.items) this.#forget(child);
	}
}

function fresh(reader: PacketReader): void {
	if (reader.number() !== 0) throw new Error("a new container came with a handle");
}

export function plainOf(model: Model): unknown {
	switch (model.kind) {
		case "map":
			return Object.fromEntries([...model.entries].map(([key, value]) => [key, plainOf(value)]));
		case "list":
			return model.items.map(plainOf);
		case "plain":
			return model.value;
		default:
			return model.content;
	}
}

/** A value as the engine reports it: containers with their handles, plain JSON with handle 0. */
export function writeModel(writer: PacketWriter, model: Model): void {
	switch (model.kind) {
		case "map":
			writer.byte(VALUE.map);
			writer.number(model.id);
			writer.number(model.entries.size);
			for (const [key, value] of model.entries) {
				writer.string(key);
				writeModel(writer, value);
			}
			break;
		case "list":
			writer.byte(VALUE.list);
			writer.number(model.id);
			writer.number(model.items.length);
			for (const item of model.items) writeModel(writer, item);
			break;
		case "plain":
			writePlain(writer, model.value);
			break;
		default:
			writer.byte(VALUE[model.kind]);
			writer.number(model.id);
			writer.string(model.content);
	}
}

export function writePlain(writer: PacketWriter, value: unknown): void {
	if (value === null) writer.byte(VALUE.null);
	else if (value === undefined) writer.byte(VALUE.undefined);
	else if (typeof value === "boolean") writer.byte(value ? VALUE.true : VALUE.false);
	else if (typeof value === "number") writer.numeric(value);
	else if (typeof value === "bigint") {
		// Written by other clients only.
		writer.byte(VALUE.bigint);
		for (let shift = 0n; shift < 64n; shift += 8n) writer.byte(Number((value >> shift) & 255n));
	} else if (value instanceof Uint8Array) writer.bytes(value);
	else if (typeof value === "string") {
		writer.byte(VALUE.string);
		writer.string(value);
	} else if (Array.isArray(value)) {
		writer.byte(VALUE.list);
		writer.number(0);
		writer.number(value.length);
		for (const item of value) writePlain(writer, item);
	} else {
		const entries = Object.entries(value as object);
		writer.byte(VALUE.map);
		writer.number(0);
		writer.number(entries.length);
		for (const [key, item] of entries) {
			writer.string(key);
			writePlain(writer, item);
		}
	}
}
