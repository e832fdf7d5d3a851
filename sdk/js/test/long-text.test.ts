import { describe, expect, test } from "vitest";
import { LongText } from "../src/long-text.js";
import { random } from "./support/random.js";

describe("a long text", () => {
	test.each([1, 2, 3, 4, 5, 6])("reads like a string after random splices (seed %i)", (seed) => {
		const dice = random(seed);
		let expected = "";
		const text = new LongText(expected);
		let index = 0;
		for (let edit = 0; edit < 3_000; edit++) {
			// Mostly typing on, now and then elsewhere; sometimes much is put in or taken out.
			if (dice.below(8) === 0 || index > expected.length) index = dice.below(expected.length + 1);
			const most = dice.below(50) === 0 ? 2_000 : 3;
			const deleted = dice.below(3) === 0 ? dice.below(Math.min(most, expected.length - index) + 1) : 0;
			const content = "abcdef".repeat(400).slice(0, dice.below(most));
			const earlier = edit % 100 === 0 ? text.copy() : undefined;
			const before = expected;
			text.splice(index, deleted, content);
			expected = expected.slice(0, index) + content + expected.slice(index + deleted);
			index += content.length;

			expect(text.length).toBe(expected.length);
			const at = dice.below(expected.length + 2);
			expect(text.charCodeAt(at)).toBe(expected.charCodeAt(at));
			if (edit % 37 === 0) expect(String(text)).toBe(expected);
			if (earlier !== undefined) expect(String(earlier)).toBe(before);
		}
		expect(String(text)).toBe(expected);
		expect(expected.length).toBeGreaterThan(1_000);
	});
});
