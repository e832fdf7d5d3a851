import { expect, test } from "vitest";
import { difference, moved } from "../src/caret.ts";

test("typing gives the insertion that was meant, the caret decides between equal letters", () => {
	expect(difference("hello", "helllo", 3)).toEqual({ start: 2, removed: 0, inserted: "l" });
	expect(difference("hello", "helllo", 5)).toEqual({ start: 4, removed: 0, inserted: "l" });
	expect(difference("", "abc", 3)).toEqual({ start: 0, removed: 0, inserted: "abc" });
});

test("deleting, replacing and pasting each give one splice", () => {
	expect(difference("aaa", "aa", 1)).toEqual({ start: 1, removed: 1, inserted: "" });
	expect(difference("one two", "one 2", 5)).toEqual({ start: 4, removed: 3, inserted: "2" });
	expect(difference("same", "same", 2)).toBeNull();
});

test("a splice never cuts an emoji in two", () => {
	expect(difference("👍", "👎", 2)).toEqual({ start: 0, removed: 2, inserted: "👎" });
});

test("every splice turns the one text into the other", () => {
	const words = ["", "a", "aa", "ab", "abab", "ba👍", "👍👎", "hello", "help"];
	for (const before of words)
		for (const after of words)
			for (let caret = 0; caret <= after.length; caret++) {
				const splice = difference(before, after, caret);
				const made = splice
					? before.slice(0, splice.start) + splice.inserted + before.slice(splice.start + splice.removed)
					: before;
				expect(made).toBe(after);
			}
});

test("a caret stays at its letter while others edit before, around and behind it", () => {
	expect(moved(5, { start: 0, removed: 0, inserted: "ab" })).toBe(7);
	expect(moved(5, { start: 5, removed: 0, inserted: "ab" })).toBe(5);
	expect(moved(5, { start: 3, removed: 4, inserted: "x" })).toBe(3);
	expect(moved(5, { start: 6, removed: 1, inserted: "" })).toBe(5);
});
