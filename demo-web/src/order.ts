/**
 * Positions as strings: between any two there is always another one.
 *
 * A card keeps its own position, so putting it somewhere writes one value and touches no other card: two people who
 * put different cards into one gap both succeed. Strings compare by their code units; digits are in that order.
 */

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** Random digits behind each position: two people who use one gap at once do not get the same one. */
const JITTER = 3;

/** A position after `before` and ahead of `after`; null stands for the beginning and the end. */
export function between(
	before: string | null,
	after: string | null,
	random: () => number = Math.random,
): string {
	const low = before ?? "";
	// Neighbours that stand at one position leave no gap: the end of the list is better than no place at all.
	const high = after !== null && after > low ? after : null;
	let position = middle(low, high);
	for (let n = 0; n < JITTER; n++) position += digit(1 + Math.floor(random() * (DIGITS.length - 1)));
	return position;
}

/** By position; equal positions by id, so that everybody sees the same order. */
export function byOrder(a: { order: string; id: string }, b: { order: string; id: string }): number {
	if (a.order !== b.order) return a.order < b.order ? -1 : 1;
	return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/**
 * The digits that two positions share, then one between the first that differ.
 * What it returns is above `low` and stays below `high` whatever is appended, and never ends in a zero.
 */
function middle(low: string, high: string | null): string {
	let prefix = "";
	let bound = high;
	for (let at = 0; ; at++) {
		const from = value(low, at, 0);
		const to = bound === null ? DIGITS.length : value(bound, at, 0);
		if (to - from > 1) return prefix + digit(Math.floor((from + to) / 2));
		prefix += digit(from);
		// One apart: everything that begins like `low` is below `high` from here on.
		if (to > from) bound = null;
	}
}

function value(position: string, at: number, absent: number): number {
	const found = DIGITS.indexOf(position.charAt(at));
	return at < position.length && found >= 0 ? found : absent;
}

function digit(n: number): string {
	return DIGITS.charAt(n);
}
