/** Random choices that a number repeats. */
export interface Random {
	/** An integer from 0 to `below` - 1. */
	below(below: number): number;
	pick<T>(from: readonly T[]): T;
	chance(probability: number): boolean;
}

/** mulberry32. */
export function random(seed: number): Random {
	let state = seed >>> 0;
	const next = () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
	return {
		below: (below) => Math.floor(next() * below),
		pick: (from) => from[Math.floor(next() * from.length)] as (typeof from)[number],
		chance: (probability) => next() < probability,
	};
}
