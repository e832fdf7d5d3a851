/** "1 card", "2 cards": how many of what, for nouns that take an s. */
export function counted(count: number, noun: string): string {
	return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}
