/** A collaborative text inside a draft. The app's function holds this very object. */
import { DraftNode, FRESH, type Session } from "./draft.js";
import type { LongText } from "./long-text.js";
import { OP, type PacketWriter, VALUE, wellFormed } from "./packet.js";
import { type Pieces, Splices } from "./splices.js";
import type { DraftText } from "./text.js";

const STRINGS: Pieces<string> = {
	lengthOf: (piece) => piece.length,
	replace: (piece, from, to, middle) => piece.slice(0, from) + middle + piece.slice(to),
};

export class TextDraft extends DraftNode implements DraftText {
	/** The mirror's until the first edit, then a copy. */
	#content: LongText;
	#isOwn = false;
	#splices: Splices<string> | undefined;

	constructor(session: Session, content: LongText, id: number = FRESH) {
		super(session, id);
		this.#content = content;
	}

	override get facade(): this {
		return this;
	}

	get length(): number {
		this.session.check();
		return this.#content.length;
	}

	insert(index: number, content: string): void {
		this.replace(index, 0, content);
	}

	append(content: string): void {
		this.replace(this.length, 0, content);
	}

	delete(index: number, count: number): void {
		this.replace(index, count, "");
	}

	set(content: string): void {
		const next = wellFormed(String(content));
		const old = String(this.#content);
		const shorter = Math.min(old.length, next.length);
		let start = 0;
		while (start < shorter && old.charCodeAt(start) === next.charCodeAt(start)) start++;
		let end = 0;
		while (
			end < shorter - start &&
			old.charCodeAt(old.length - 1 - end) === next.charCodeAt(next.length - 1 - end)
		)
			end++;
		this.replace(start, old.length - start - end, next.slice(start, next.length - end));
	}

	replace(index: number, count: number, content: string): void {
		this.session.check();
		const old = this.#content;
		if (!isPosition(index) || !isPosition(count) || index + count > old.length) {
			throw this.fail(
				"bad-edit",
				"",
				`${count} characters at ${index} are not inside a text of ${old.length}`,
			);
		}
		// Half of a surrogate pair cannot be stored: an edit that cuts one takes the whole pair and puts back what is left.
		const start = splitsPair(old, index) ? index - 1 : index;
		const end = splitsPair(old, index + count) ? index + count + 1 : index + count;
		const before = start < index ? String.fromCharCode(old.charCodeAt(start)) : "";
		const behind = end > index + count ? String.fromCharCode(old.charCodeAt(end - 1)) : "";
		const piece = wellFormed(before + String(content) + behind);
		if (start === end && piece === "") return;
		if (!this.#isOwn) {
			this.#content = old.copy();
			this.#isOwn = true;
		}
		this.#content.splice(start, end - start, piece);
		if (this.id === FRESH) return;
		if (this.#splices === undefined) {
			this.#splices = new Splices<string>(STRINGS);
			this.session.touched(this);
		}
		this.#splices.add(start, end - start, piece);
	}

	override toString(): string {
		this.session.check();
		return String(this.#content);
	}

	toJSON(): string {
		return this.toString();
	}

	override copy(): TextDraft {
		return new TextDraft(this.session, this.#content.copy());
	}

	override write(writer: PacketWriter): void {
		for (const { index, deleted, piece } of this.#splices ?? []) {
			writer.byte(OP.textSplice);
			writer.number(this.id);
			writer.number(index);
			writer.number(deleted);
			writer.string(piece);
		}
	}

	override writeValue(writer: PacketWriter): void {
		writer.byte(VALUE.text);
		writer.number(0);
		writer.string(String(this.#content));
	}

	protected override step(): string {
		return "";
	}
}

function isPosition(value: number): boolean {
	return Number.isInteger(value) && value >= 0;
}

function splitsPair(text: LongText, index: number): boolean {
	const after = text.charCodeAt(index);
	if (!(after >= 0xdc00 && after <= 0xdfff)) return false;
	const before = text.charCodeAt(index - 1);
	return before >= 0xd800 && before <= 0xdbff;
}
