/** A document of the engine and its mirror, edited together through drafts. */
import { expect } from "vitest";
import { record } from "../../src/drafting.js";
import { isHitherError } from "../../src/error.js";
import { Mirror } from "../../src/mirror.js";
import { OP, PacketReader } from "../../src/packet.js";
import { FakeDocument } from "./document.js";

// biome-ignore lint/suspicious/noExplicitAny: the tests below are about behaviour; types.test-d.ts is about types
export type Any = any;

/** A document and its mirror; edits go through both. */
export class Pair {
	readonly document: FakeDocument = new FakeDocument();
	readonly mirror: Mirror = new Mirror();

	constructor(initial?: (draft: Any) => void) {
		if (initial !== undefined) this.edit(initial);
	}

	get state(): Any {
		return this.mirror.state;
	}

	/** Returns the packet, and checks that the engine's document and the mirror agree. */
	edit(edit: (draft: Any) => unknown): Uint8Array | undefined {
		const packet = record(this.mirror, edit);
		if (packet !== undefined) this.mirror.apply(this.document.change(packet));
		expect(this.state).toEqual(this.document.toJS());
		return packet;
	}

	/** The operations of an edit, as `kind node`. */
	operations(edit: (draft: Any) => unknown): string[] {
		const packet = this.edit(edit);
		if (packet === undefined) return [];
		const names: string[] = [];
		const reader = new PacketReader(packet);
		const skip = (): void => {
			const tag = reader.byte();
			if (tag === 4) reader.float();
			else if (tag === 5) reader.number();
			else if (tag === 6) reader.bigint();
			else if (tag === 7) reader.string();
			else if (tag === 8) reader.bytes();
			else if (tag === 9) {
				reader.number();
				for (let left = reader.number(); left > 0; left--) skip();
			} else if (tag === 10) {
				reader.number();
				for (let left = reader.number(); left > 0; left--) {
					reader.string();
					skip();
				}
			} else if (tag === 11) {
				reader.number();
				reader.string();
			}
		};
		while (reader.hasMore) {
			const op = reader.byte();
			const node = reader.number();
			if (op === OP.mapSet) {
				names.push(`set ${node} ${reader.string()}`);
				skip();
			} else if (op === OP.mapDelete) {
				names.push(`delete ${node} ${reader.string()}`);
			} else if (op === OP.listSplice) {
				const [index, deleted, count] = [reader.number(), reader.number(), reader.number()];
				names.push(`splice ${node} ${index} ${deleted} ${count}`);
				for (let left = count; left > 0; left--) skip();
			} else {
				names.push(`text ${node} ${reader.number()} ${reader.number()} ${reader.string()}`);
			}
		}
		return names;
	}
}

/** The code and message with which an edit is refused; the state must not have changed. */
export function problem(edit: (draft: Any) => unknown, pair: Pair = new Pair()): string {
	const before = pair.state;
	try {
		pair.edit(edit);
	} catch (error) {
		expect(isHitherError(error)).toBe(true);
		expect(pair.state).toBe(before);
		return `${(error as { code: string }).code}: ${(error as Error).message}`;
	}
	throw new Error("nothing was refused");
}
