/**
 * The flat buffers in which values and operations cross between JavaScript and the engine.
 *
 * ```text
 * packet = u32 LE bytes of text │ text: UTF-8, every string in order of use │ body: tags, varints, raw bytes
 * ```
 *
 * All strings of a packet are one text: it is decoded once and then cut, and a cut string shares the memory of the
 * whole. This file knows bytes, not trees: the mirror and the draft say what the bytes mean.
 */
import { HitherError } from "./error.js";

/** Tags of values. Containers carry a handle: 0 is plain JSON when read and "make a new one" when written. */
export const VALUE = {
	null: 0,
	undefined: 1,
	false: 2,
	true: 3,
	float: 4,
	integer: 5,
	bigint: 6,
	string: 7,
	bytes: 8,
	list: 9,
	map: 10,
	text: 11,
	opaque: 12,
} as const;

/** Tags of operations. Handle 0 is the root. */
export const OP = {
	mapSet: 1,
	mapDelete: 2,
	listSplice: 3,
	textSplice: 4,
	reset: 5,
	opaqueSet: 6,
} as const;

/** Containers inside containers that the engine accepts; deeper values are refused where they are put in. */
export const MAX_DEPTH = 100;

const encoder = new TextEncoder();
// Without ignoreBOM a text that begins with U+FEFF would lose it.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A string without lone surrogates, which UTF-8 cannot carry: each becomes U+FFFD. */
export function wellFormed(value: string): string {
	// toWellFormed is younger than some browsers that can run everything else.
	return typeof value.toWellFormed === "function"
		? value.toWellFormed()
		: value.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** Longer texts than this are left to the platform's coders, whose calls cost more than they save below it. */
const SHORT = 64;

/** Memory of a larger packet is not kept. */
const MAX_SPARE_BYTES = 65_536;

/** What the last writer wrote into. The next one takes it: fresh memory for each packet costs more than the rest of it. */
let spare: { text: Uint8Array; body: Uint8Array } | undefined;

/** Writes a packet. Strings must be well formed. */
export class PacketWriter {
	/** The whole packet in the end; until then its text, behind the place of its length. */
	#text: Uint8Array;
	#textEnd = 4;
	#body: Uint8Array;
	#at = 0;

	constructor() {
		const { text, body } = spare ?? { text: new Uint8Array(1024), body: new Uint8Array(1024) };
		spare = undefined;
		this.#text = text;
		this.#body = body;
	}

	get isEmpty(): boolean {
		return this.#at === 0;
	}

	byte(value: number): void {
		this.#reserve(1);
		this.#body[this.#at++] = value;
	}

	/** Any integer from 0 to 2^53 - 1. */
	number(value: number): void {
		this.#reserve(8);
		let rest = value;
		while (rest > 127) {
			this.#body[this.#at++] = (rest % 128) | 128;
			rest = Math.floor(rest / 128);
		}
		this.#body[this.#at++] = rest;
	}

	string(value: string): void {
		this.number(value.length);
		this.#text = withRoom(this.#text, this.#textEnd, 3 * value.length);
		if (value.length > SHORT || !this.#ascii(value)) {
			this.#textEnd += encoder.encodeInto(value, this.#text.subarray(this.#textEnd)).written;
		}
	}

	/** A JavaScript number as a value, tag included. */
	numeric(value: number): void {
		if ((value | 0) === value && !Object.is(value, -0)) {
			this.byte(VALUE.integer);
			this.number(value < 0 ? -2 * value - 1 : 2 * value);
		} else {
			this.byte(VALUE.float);
			this.#reserve(8);
			viewOf(this.#body).setFloat64(this.#at, value, true);
			this.#at += 8;
		}
	}

	/** Bytes as a value, tag included. */
	bytes(value: Uint8Array): void {
		this.byte(VALUE.bytes);
		this.number(value.length);
		this.#reserve(value.length);
		this.#body.set(value, this.#at);
		this.#at += value.length;
	}

	/** The packet, in memory that the next writer writes into: to be used or copied at once. */
	finish(): Uint8Array {
		const packet = withRoom(this.#text, this.#textEnd, this.#at);
		viewOf(packet).setUint32(0, this.#textEnd - 4, true);
		packet.set(this.#body.subarray(0, this.#at), this.#textEnd);
		if (packet.length <= MAX_SPARE_BYTES) spare = { text: packet, body: this.#body };
		return packet.subarray(0, this.#textEnd + this.#at);
	}

	/** Appends a text of ASCII; appends nothing and says so if it is another one. */
	#ascii(value: string): boolean {
		for (let index = 0; index < value.length; index++) {
			const unit = value.charCodeAt(index);
			if (unit > 127) return false;
			this.#text[this.#textEnd + index] = unit;
		}
		this.#textEnd += value.length;
		return true;
	}

	#reserve(more: number): void {
		if (this.#at + more > this.#body.length) this.#body = withRoom(this.#body, this.#at, more);
	}
}

/** The bytes, or a larger copy, with room for `more` behind the first `used`. */
function withRoom(bytes: Uint8Array, used: number, more: number): Uint8Array {
	if (used + more <= bytes.length) return bytes;
	const grown = new Uint8Array(Math.max(2 * bytes.length, used + more));
	grown.set(bytes.subarray(0, used));
	return grown;
}

function viewOf(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads a packet. What it cannot read is a bug of this package, since the engine wrote it. */
export class PacketReader {
	readonly #packet: Uint8Array;
	readonly #text: string;
	#at: number;
	#cut = 0;

	/** Begins at an offset. */
	constructor(packet: Uint8Array, offset: number = 0) {
		const start = offset + 4;
		const end = packet.length < start ? 0 : start + viewOf(packet).getUint32(offset, true);
		if (packet.length < start || end > packet.length) throw broken("it is shorter than it says");
		this.#packet = packet;
		this.#text = decode(packet, start, end);
		this.#at = end;
	}

	get hasMore(): boolean {
		return this.#at < this.#packet.length;
	}

	byte(): number {
		const byte = this.#packet[this.#at++];
		if (byte === undefined) throw broken("it ends early");
		return byte;
	}

	number(): number {
		let value = 0;
		for (let weight = 1; ; weight *= 128) {
			const byte = this.byte();
			value += (byte & 127) * weight;
			if (value > Number.MAX_SAFE_INTEGER) throw broken("a number is too large");
			if (byte < 128) return value;
		}
	}

	string(): string {
		const start = this.#cut;
		this.#cut += this.number();
		if (this.#cut > this.#text.length) throw broken("a string is longer than the text");
		return this.#text.slice(start, this.#cut);
	}

	/** What follows {@link VALUE.integer}. */
	integer(): number {
		const zigzag = this.number();
		return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
	}

	/** What follows {@link VALUE.float}. */
	float(): number {
		this.#skip(8);
		return viewOf(this.#packet).getFloat64(this.#at - 8, true);
	}

	/** What follows {@link VALUE.bigint}. */
	bigint(): bigint {
		this.#skip(8);
		return viewOf(this.#packet).getBigInt64(this.#at - 8, true);
	}

	/** What follows {@link VALUE.bytes}, as a copy of its own. */
	bytes(): Uint8Array {
		const length = this.number();
		this.#skip(length);
		// Not slice(): of a Node Buffer that would be a view.
		return new Uint8Array(this.#packet.subarray(this.#at - length, this.#at));
	}

	#skip(length: number): void {
		if (this.#at + length > this.#packet.length) throw broken("it ends early");
		this.#at += length;
	}
}

function decode(bytes: Uint8Array, start: number, end: number): string {
	if (end - start > SHORT) return decoder.decode(bytes.subarray(start, end));
	const units: number[] = [];
	for (let at = start; at < end; at++) {
		const byte = bytes[at] as number;
		if (byte > 127) return decoder.decode(bytes.subarray(start, end));
		units.push(byte);
	}
	return String.fromCharCode(...units);
}

export function broken(what: string): HitherError {
	return new HitherError("bad-packet", `a packet of the engine cannot be read: ${what}`);
}
