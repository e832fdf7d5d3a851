/**
 * The splices of one list or text in a draft, each joined with the one before where they touch: a loop of a thousand
 * pushes becomes one operation.
 */
export interface Splice<Piece> {
	index: number;
	deleted: number;
	piece: Piece;
}

/** What can be spliced: strings for texts, arrays for lists. */
export interface Pieces<Piece> {
	lengthOf(piece: Piece): number;
	/** `piece` with `middle` in place of what is from `from` to `to`; may change `piece`. */
	replace(piece: Piece, from: number, to: number, middle: Piece): Piece;
}

export class Splices<Piece> {
	readonly #pieces: Pieces<Piece>;
	readonly #log: Splice<Piece>[] = [];

	constructor(pieces: Pieces<Piece>) {
		this.#pieces = pieces;
	}

	/** Keeps `piece`: the caller must not change it any more. */
	add(index: number, deleted: number, piece: Piece): void {
		const last = this.#log.at(-1);
		if (last === undefined || !this.#extend(last, index, deleted, piece)) {
			this.#log.push({ index, deleted, piece });
		}
	}

	/** In the order in which they apply, without those that do nothing. */
	*[Symbol.iterator](): Generator<Splice<Piece>, void> {
		for (const splice of this.#log) {
			if (splice.deleted > 0 || this.#pieces.lengthOf(splice.piece) > 0) yield splice;
		}
	}

	/** Whether the new splice touches what the last one put in, and became part of it. */
	#extend(last: Splice<Piece>, index: number, deleted: number, piece: Piece): boolean {
		const length = this.#pieces.lengthOf(last.piece);
		if (index > last.index + length || index + deleted < last.index) return false;
		// What the new one deletes before and behind that piece was there before both.
		const from = Math.max(0, index - last.index);
		const to = Math.min(length, index + deleted - last.index);
		last.piece = this.#pieces.replace(last.piece, from, to, piece);
		last.index = Math.min(last.index, index);
		last.deleted += deleted - (to - from);
		return true;
	}
}
