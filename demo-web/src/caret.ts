/** What one edit did to a string, and where a caret stands afterwards. */

export interface Splice {
	/** UTF-16 units, as a textarea counts. */
	readonly start: number;
	readonly removed: number;
	readonly inserted: string;
}

/**
 * The smallest splice that makes `after` of `before`, or null when they are equal.
 *
 * Of several possible places (an "l" typed into "hello") the caret decides: after typing it stands behind what
 * was typed. So the edit that travels is the one that was meant, and merges as such.
 */
export function difference(before: string, after: string, caret: number = after.length): Splice | null {
	if (before === after) return null;
	const shorter = Math.min(before.length, after.length);
	// What stands behind the caret is what stood there before, as far as it is equal.
	let suffix = 0;
	const mostSuffix = Math.min(shorter, Math.max(0, after.length - caret));
	while (
		suffix < mostSuffix &&
		before.charCodeAt(before.length - 1 - suffix) === after.charCodeAt(after.length - 1 - suffix)
	)
		suffix++;
	let prefix = 0;
	while (prefix < shorter - suffix && before.charCodeAt(prefix) === after.charCodeAt(prefix)) prefix++;
	while (
		suffix < shorter - prefix &&
		before.charCodeAt(before.length - 1 - suffix) === after.charCodeAt(after.length - 1 - suffix)
	)
		suffix++;
	if (prefix > 0 && isHigh(before, prefix - 1)) prefix--;
	if (suffix > 0 && isLow(before, before.length - suffix)) suffix--;
	return {
		start: prefix,
		removed: before.length - prefix - suffix,
		inserted: after.slice(prefix, after.length - suffix),
	};
}

/** Where a caret at `position` stands after `splice`, made by somebody else: text inserted at it comes after it. */
export function moved(position: number, splice: Splice): number {
	if (position <= splice.start) return position;
	if (position >= splice.start + splice.removed) return position + splice.inserted.length - splice.removed;
	return splice.start;
}

/** A splice must not cut an emoji in two: half of one is no text. */
const isHigh = (text: string, at: number): boolean => (text.charCodeAt(at) & 0xfc00) === 0xd800;
const isLow = (text: string, at: number): boolean => (text.charCodeAt(at) & 0xfc00) === 0xdc00;
