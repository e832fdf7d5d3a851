import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { record } from "../src/drafting.js";
import { Mirror } from "../src/mirror.js";
import { PacketReader, PacketWriter, VALUE, wellFormed } from "../src/packet.js";
import { text } from "../src/text.js";
import { FakeDocument, writePlain } from "./support/document.js";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function read(reader: PacketReader): unknown {
	const mirror = new Mirror();
	const writer = new PacketWriter();
	writer.byte(5);
	writer.number(1);
	writer.string("value");
	// The value itself is copied byte by byte behind the key.
	while (reader.hasMore) writer.byte(reader.byte());
	mirror.apply(writer.finish());
	return mirror.state["value"];
}

function roundTrip(value: unknown): unknown {
	const writer = new PacketWriter();
	writer.byte(5);
	writer.number(1);
	writer.string("value");
	writePlain(writer, value);
	const mirror = new Mirror();
	mirror.apply(writer.finish());
	return mirror.state["value"];
}

describe("packets", () => {
	test.each([
		[null],
		[undefined],
		[true],
		[false],
		[0],
		[-0],
		[1],
		[-1],
		[63],
		[64],
		[-64],
		[-65],
		[2 ** 31 - 1],
		[-(2 ** 31)],
		[2 ** 31],
		[2 ** 53 - 1],
		[1.5],
		[Number.NaN],
		[Number.POSITIVE_INFINITY],
		[Number.MIN_VALUE],
		[0n],
		[2n ** 63n - 1n],
		[-(2n ** 63n)],
		[""],
		["grüße 😀"],
		["\ufeffa mark at the beginning stays"],
		["a\u0000b"],
		[new Uint8Array([0, 1, 255])],
		[[]],
		[{}],
		[[1, [2, { three: [null] }]]],
		[{ "": 1, 名前: "x", __proto: 2 }],
	])("%o survives the round trip", (value) => {
		const back = roundTrip(value);
		expect(back).toEqual(value);
		expect(Object.is(back, value) || typeof value === "object").toBe(true);
	});

	test("integers of 32 bits are short, everything else is a float", () => {
		const length = (value: number) => {
			const writer = new PacketWriter();
			writer.numeric(value);
			return writer.finish().length - 4;
		};
		expect([0, 63, -64, 64, 2 ** 31 - 1, -(2 ** 31)].map(length)).toEqual([2, 2, 2, 3, 6, 6]);
		expect([2 ** 31, -(2 ** 31) - 1, -0, 0.5].map(length)).toEqual([9, 9, 9, 9]);
	});

	test("numbers up to 2^53 - 1 are read as they were written", () => {
		for (const value of [0, 127, 128, 16_383, 16_384, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
			const writer = new PacketWriter();
			writer.number(value);
			expect(new PacketReader(writer.finish()).number()).toBe(value);
		}
	});

	test("every truncation of a packet is an error, never a wrong value", () => {
		const writer = new PacketWriter();
		writePlain(writer, ["text", 1, 2.5, 3n, new Uint8Array(5), { key: "grüße" }]);
		const packet = writer.finish();
		for (let length = 0; length < packet.length; length++) {
			expect(() => read(new PacketReader(packet.subarray(0, length)))).toThrow();
		}
	});

	test("lone surrogates become the replacement character", () => {
		expect(wellFormed("a\ud83db\ude00")).toBe("a\ufffdb\ufffd");
		expect(wellFormed("😀")).toBe("😀");
	});

	test("a browser without toWellFormed does the same", () => {
		const native = String.prototype.toWellFormed;
		try {
			Reflect.deleteProperty(String.prototype, "toWellFormed");
			expect(wellFormed("a\ud83db\ude00 😀")).toBe("a\ufffdb\ufffd 😀");
		} finally {
			String.prototype.toWellFormed = native;
		}
	});

	test("many large values do not outgrow the writer", () => {
		const writer = new PacketWriter();
		const large = new Uint8Array(100_000).fill(7);
		for (let count = 0; count < 10; count++) writer.bytes(large);
		const reader = new PacketReader(writer.finish());
		for (let count = 0; count < 10; count++) {
			expect(reader.byte()).toBe(VALUE.bytes);
			// By hand: toEqual takes a second for each.
			const bytes = reader.bytes();
			expect([bytes.length, bytes.every((byte) => byte === 7)]).toEqual([large.length, true]);
		}
		expect(reader.hasMore).toBe(false);
	});
});

interface Vector {
	name: string;
	packet: string;
}

const vectors: { draft: Vector[]; patch: (Vector & { state: unknown })[] } = JSON.parse(
	readFileSync(new URL("vectors/packets.json", import.meta.url), "utf8"),
);

/** What the packets of the vector file were recorded from. */
const drafts: Record<string, (draft: never) => void> = {
	"sets every scalar": (d: Record<string, unknown>) => {
		d["null"] = null;
		d["true"] = true;
		d["integer"] = -300;
		d["float"] = 0.5;
		d["string"] = "grüße 😀";
		d["bytes"] = new Uint8Array([1, 2, 255]);
	},
	"makes nested containers": (d: Record<string, unknown>) => {
		d["board"] = { lists: [{ title: text("To do"), cards: [] }], count: 1 };
	},
};

describe("golden packets", () => {
	test.each(vectors.draft)("a draft that $name is these bytes", ({ name, packet }) => {
		const edit = drafts[name];
		if (edit === undefined) throw new Error(`no draft for the vector "${name}"`);
		expect(hex(record(new Mirror(), edit) ?? new Uint8Array())).toBe(packet);
	});

	test("every draft has its vector", () => {
		expect(vectors.draft.map(({ name }) => name)).toEqual(Object.keys(drafts));
	});

	test.each(vectors.patch)("a patch that $name gives this state", ({ packet, state }) => {
		const mirror = new Mirror();
		mirror.apply(Buffer.from(packet, "hex"));
		expect(mirror.state).toEqual(state);
	});

	test("the engine's side understands the drafts", () => {
		for (const { packet } of vectors.draft) {
			const document = new FakeDocument();
			const mirror = new Mirror();
			mirror.apply(document.change(Buffer.from(packet, "hex")));
			expect(mirror.state).toEqual(document.toJS());
		}
	});
});
