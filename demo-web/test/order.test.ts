import { expect, test } from "vitest";
import { between, byOrder } from "../src/order.ts";

const sequence = (seed: number) => () => {
	seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
	return seed / 2_147_483_648;
};

test("there is always a position between two neighbours, wherever one inserts", () => {
	const random = sequence(1);
	const positions: string[] = [];
	for (let n = 0; n < 2_000; n++) {
		const at = Math.floor(random() * (positions.length + 1));
		const position = between(positions[at - 1] ?? null, positions[at] ?? null, random);
		if (at > 0) expect(position > (positions[at - 1] as string)).toBe(true);
		if (at < positions.length) expect(position < (positions[at] as string)).toBe(true);
		positions.splice(at, 0, position);
	}
	expect([...positions].sort()).toEqual(positions);
});

test("inserting at the front a thousand times keeps the order", () => {
	let first: string | null = null;
	for (let n = 0; n < 1_000; n++) {
		const position = between(null, first, sequence(n));
		if (first !== null) expect(position < first).toBe(true);
		first = position;
	}
});

test("the lowest random digits and the highest ones stay between, too", () => {
	for (const random of [() => 0, () => 0.999_999]) {
		let low = between(null, null, random);
		const high = between(low, null, random);
		for (let n = 0; n < 50; n++) {
			const position = between(low, high, random);
			expect(position > low && position < high).toBe(true);
			low = position;
		}
	}
});

test("equal positions are ordered by id and leave a place behind them", () => {
	expect(byOrder({ order: "a", id: "1" }, { order: "a", id: "2" })).toBe(-1);
	expect(between("a", "a") > "a").toBe(true);
});
