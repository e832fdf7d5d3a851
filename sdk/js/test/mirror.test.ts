import { describe, expect, test } from "vitest";
import { ListNode, MapNode, Mirror, type MirrorNode } from "../src/mirror.js";
import { OP, PacketWriter, VALUE } from "../src/packet.js";
import { FakeDocument, type Model } from "./support/document.js";
import { type Random, random } from "./support/random.js";

const KEYS = ["a", "b", "c", "__proto__"];

function writeNew(writer: PacketWriter, dice: Random, depth: number): void {
	const kind = dice.below(depth > 3 ? 3 : 6);
	if (kind === 0) writer.numeric(dice.below(10));
	else if (kind === 1) {
		writer.byte(VALUE.string);
		writer.string("s".repeat(dice.below(3)));
	} else if (kind === 2) writer.byte(VALUE.null);
	else if (kind === 3) {
		writer.byte(VALUE.text);
		writer.number(0);
		writer.string("text");
	} else {
		const size = dice.below(4);
		writer.byte(kind === 4 ? VALUE.list : VALUE.map);
		writer.number(0);
		writer.number(size);
		for (let at = 0; at < size; at++) {
			if (kind === 5) writer.string(KEYS[at] as string);
			writeNew(writer, dice, depth + 1);
		}
	}
}

/** One operation on a random container; returns which. */
function writeOperation(writer: PacketWriter, dice: Random, model: Model & { id: number }): void {
	if (model.kind === "map") {
		const isDelete = model.entries.size > 0 && dice.chance(0.3);
		writer.byte(isDelete ? OP.mapDelete : OP.mapSet);
		writer.number(model.id);
		writer.string(isDelete ? dice.pick([...model.entries.keys()]) : dice.pick(KEYS));
		if (!isDelete) writeNew(writer, dice, 0);
		return;
	}
	const length =
		model.kind === "list" ? model.items.length : model.kind === "text" ? model.content.length : 0;
	const index = dice.below(length + 1);
	const count = dice.below(3);
	writer.byte(model.kind === "list" ? OP.listSplice : OP.textSplice);
	writer.number(model.id);
	writer.number(index);
	writer.number(Math.min(dice.below(3), length - index));
	if (model.kind === "text") {
		writer.string("xyz".slice(count));
	} else {
		writer.number(count);
		for (let at = 0; at < count; at++) writeNew(writer, dice, 0);
	}
}

function* walk(model: Model, value: unknown): Generator<[id: number, value: unknown]> {
	if (model.kind === "plain") return;
	yield [model.id, value];
	if (model.kind === "map") {
		for (const [key, child] of model.entries)
			yield* walk(child, Object.getOwnPropertyDescriptor(value, key)?.value);
	} else if (model.kind === "list") {
		for (const [index, child] of model.items.entries()) yield* walk(child, (value as unknown[])[index]);
	}
}

function* below(model: Model): Generator<number> {
	if (model.kind === "plain") return;
	yield model.id;
	if (model.kind === "map") for (const child of model.entries.values()) yield* below(child);
	if (model.kind === "list") for (const child of model.items) yield* below(child);
}

describe("the mirror", () => {
	test.each(Array.from({ length: 40 }, (_, seed) => seed))(
		"equals a naive copy after random patches, and what did not change is the same object (seed %i)",
		(seed) => {
			const dice = random(seed);
			const document = new FakeDocument();
			const mirror = new Mirror();
			let shared = 0;
			for (let round = 0; round < 60; round++) {
				const before = new Map(walk(document.root, mirror.state));
				const oldState = mirror.state;
				const oldCopy = structuredClone(oldState);

				const touched = new Set<number>();
				for (let left = 1 + dice.below(4); left > 0; left--) {
					const writer = new PacketWriter();
					const model = dice.pick([...document.shared.values()]) as Model & { id: number };
					touched.add(model.id);
					writeOperation(writer, dice, model);
					const patch = document.change(writer.finish());
					// Sometimes several operations in one packet: glue them as the engine does.
					packets.push(patch);
				}
				// One packet of several, or several that nobody looks between.
				if (round % 2 === 0) mirror.apply(join(packets.splice(0)));
				else for (const packet of packets.splice(0)) mirror.apply(packet);

				expect(mirror.state).toEqual(document.toJS());
				expect(oldState).toEqual(oldCopy);
				for (const [id, value] of walk(document.root, mirror.state)) {
					const model = document.shared.get(id);
					if (model === undefined || typeof value !== "object") continue;
					expect(Object.isFrozen(value)).toBe(true);
					const isUntouched = [...below(model)].every((inner) => !touched.has(inner));
					if (!before.has(id)) continue;
					shared += isUntouched ? 1 : 0;
					expect(value === before.get(id)).toBe(isUntouched);
				}
				expect(mirror.size).toBe(document.shared.size);
			}
			expect(shared).toBeGreaterThan(10);
		},
	);

	test("a packet without operations changes nothing", () => {
		const mirror = new Mirror();
		const state = mirror.state;
		mirror.apply(new Uint8Array());
		expect(mirror.state).toBe(state);
	});

	test("an operation on an unknown container is an error", () => {
		const writer = new PacketWriter();
		writer.byte(OP.mapDelete);
		writer.number(7);
		writer.string("key");
		expect(() => new Mirror().apply(writer.finish())).toThrow("container 7");
	});

	test("a reset replaces everything and forgets the containers", () => {
		const document = new FakeDocument();
		const mirror = new Mirror();
		const writer = new PacketWriter();
		writer.byte(OP.mapSet);
		writer.number(0);
		writer.string("list");
		writer.byte(VALUE.list);
		writer.number(0);
		writer.number(0);
		mirror.apply(document.change(writer.finish()));
		mirror.apply(document.reset());
		mirror.apply(document.reset());
		expect(mirror.state).toEqual({ list: [] });
		expect(mirror.size).toBe(2);
	});

	test("a list finds its children after splices that told them nothing", () => {
		const list = new ListNode(1, []);
		const nodes: MirrorNode[] = Array.from({ length: 50 }, (_, index) => {
			const node = new MapNode(index + 2, {});
			node.slot = index;
			return node;
		});
		list.children = [undefined, undefined, undefined, undefined, ...nodes];
		for (const [index, node] of nodes.entries()) expect(list.indexOf(node)).toBe(index + 4);
	});

	test("what nobody has seen is changed in place, what somebody has seen never", () => {
		const document = new FakeDocument();
		const mirror = new Mirror();
		const push = (value: number) => {
			const writer = new PacketWriter();
			const list = document.root.entries.get("list") as { id: number; items: unknown[] };
			writer.byte(OP.listSplice);
			writer.number(list.id);
			writer.number(list.items.length);
			writer.number(0);
			writer.number(1);
			writer.numeric(value);
			mirror.apply(document.change(writer.finish()));
		};
		const writer = new PacketWriter();
		writer.byte(OP.mapSet);
		writer.number(0);
		writer.string("list");
		writer.byte(VALUE.list);
		writer.number(0);
		writer.number(0);
		mirror.apply(document.change(writer.finish()));

		const seen = mirror.state;
		const list = mirror.root.childAt("list");
		push(1);
		const copy = list?.value;
		push(2);
		push(3);
		expect(list?.value).toBe(copy);
		expect(seen).toEqual({ list: [] });
		expect(mirror.state).toEqual({ list: [1, 2, 3] });
		expect(mirror.state["list"]).toBe(copy);
		expect(Object.isFrozen(copy)).toBe(true);
	});

	test("a patch to one of 10,000 cards copies that card and its list, nothing else", () => {
		const document = new FakeDocument();
		const mirror = new Mirror();
		const writer = new PacketWriter();
		writer.byte(OP.mapSet);
		writer.number(0);
		writer.string("cards");
		writer.byte(VALUE.list);
		writer.number(0);
		writer.number(10_000);
		for (let index = 0; index < 10_000; index++) {
			writer.byte(VALUE.map);
			writer.number(0);
			writer.number(1);
			writer.string("index");
			writer.numeric(index);
		}
		mirror.apply(document.change(writer.finish()));
		const before = mirror.state["cards"] as unknown[];

		const edit = new PacketWriter();
		edit.byte(OP.mapSet);
		edit.number(document.at("cards", 5_000).id);
		edit.string("done");
		edit.byte(VALUE.true);
		mirror.apply(document.change(edit.finish()));
		const after = mirror.state["cards"] as unknown[];
		expect(after[5_000]).toEqual({ index: 5_000, done: true });
		expect(after.filter((card, index) => card !== before[index])).toHaveLength(1);
	});
});

const packets: Uint8Array[] = [];

/** Several packets as one. */
function join(parts: Uint8Array[]): Uint8Array {
	const texts: Uint8Array[] = [];
	const bodies: Uint8Array[] = [];
	for (const part of parts) {
		const end = 4 + new DataView(part.buffer, part.byteOffset).getUint32(0, true);
		texts.push(part.subarray(4, end));
		bodies.push(part.subarray(end));
	}
	const text = Buffer.concat(texts);
	const head = Buffer.alloc(4);
	head.writeUInt32LE(text.length);
	return Buffer.concat([head, text, ...bodies]);
}
