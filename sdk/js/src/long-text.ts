/**
 * A string that is edited more often than it is read: pieces in a row, joined when somebody asks for the whole.
 *
 * An engine copies a whole string when a part of it is replaced and anything is read of the result. In a text of 100,000
 * characters that costs more than everything else that a keystroke causes.
 */

/** More pieces are joined: finding a place walks them. */
const MAX_PIECES = 128;

/** A piece grows at its end up to this length: what is typed in a row stays one piece, and short. */
const MAX_GROWING = 256;

export class LongText {
	#pieces: string[];
	#length: number;

	constructor(content: string) {
		this.#pieces = [content];
		this.#length = content.length;
	}

	/** In UTF-16 units, as everything here. */
	get length(): number {
		return this.#length;
	}

	/** Costs as much as there are pieces, not as they are long. */
	copy(): LongText {
		const copy = new LongText("");
		copy.#pieces = [...this.#pieces];
		copy.#length = this.#length;
		return copy;
	}

	/** The unit at an index, NaN outside. */
	charCodeAt(index: number): number {
		let rest = index;
		for (const piece of this.#pieces) {
			if (rest < piece.length) return piece.charCodeAt(rest);
			rest -= piece.length;
		}
		return Number.NaN;
	}

	/** Deletes units at an index and puts a content in their place; all of them must be there. */
	splice(index: number, deleted: number, content: string): void {
		const pieces = this.#pieces;
		let first = 0;
		let from = index;
		// The end of a piece rather than the beginning of the next one: there it may grow.
		for (; from > lengthAt(pieces, first); first++) from -= lengthAt(pieces, first);
		let last = first;
		let to = from + deleted;
		for (; to > lengthAt(pieces, last); last++) to -= lengthAt(pieces, last);

		const before = (pieces[first] ?? "").slice(0, from);
		const behind = (pieces[last] ?? "").slice(to);
		const grows = before.length + content.length <= MAX_GROWING;
		const middle = grows ? [before + content, behind] : [before, content, behind];
		pieces.splice(first, last - first + 1, ...middle.filter((piece) => piece !== ""));
		this.#length += content.length - deleted;
		if (pieces.length > MAX_PIECES) this.toString();
	}

	toString(): string {
		if (this.#pieces.length !== 1) this.#pieces = [this.#pieces.join("")];
		return this.#pieces[0] ?? "";
	}
}

function lengthAt(pieces: readonly string[], index: number): number {
	return pieces[index]?.length ?? Number.POSITIVE_INFINITY;
}
