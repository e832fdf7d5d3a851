// Chance that is a function of one number: what a seed did once it does again.

/** A generator of 32-bit numbers (mulberry32) and what the tests draw from it. */
export function seeded(seed) {
	let state = seed >>> 0;
	const next = () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return (mixed ^ (mixed >>> 14)) >>> 0;
	};
	const random = {
		/** A whole number from 0 up to, not including, `end`. */
		below: (end) => next() % end,
		/** True in `percent` of a hundred cases. */
		chance: (percent) => next() % 100 < percent,
		pick: (items) => items[next() % items.length],
		/** One of the actions of `{ name: [weight, action] }`; a weight of 0 switches it off. */
		weighted(actions) {
			const choices = Object.values(actions).filter(([weight]) => weight > 0);
			let at = random.below(choices.reduce((sum, [weight]) => sum + weight, 0));
			for (const [weight, action] of choices) {
				if (at < weight) return action();
				at -= weight;
			}
		},
		/** 1 to 8 characters, some of them of two UTF-16 units. */
		word() {
			let word = "";
			for (let left = 1 + random.below(8); left > 0; left--) word += random.pick(LETTERS);
			return word;
		},
	};
	return random;
}

const LETTERS = [..."abcdefgh \nßé中", "😀", "𐐷", "e\u0301"];
