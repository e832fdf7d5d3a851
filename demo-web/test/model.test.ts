import { expect, test } from "vitest";
import { type BoardDraft, type BoardState, listsOf, moveCard, removeList } from "../src/model.ts";

/** Plain objects behave as a draft does for what the model needs. */
function board() {
	const data = {
		lists: { a: { title: "A", order: "1" }, b: { title: "B", order: "2" } } as Record<
			string,
			{ title: string; order: string }
		>,
		cards: {
			x: { place: "a/1", text: "x" },
			y: { place: "a/2", text: "y" },
			z: { place: "b/1", text: "z" },
		} as Record<string, { place: string; text: string }>,
	};
	const state = () => data as unknown as BoardState;
	const shown = () =>
		listsOf(state()).map((list) => [list.id, ...list.cards.map((card) => card.id)].join(""));
	return { data, draft: data as unknown as BoardDraft, lists: () => listsOf(state()), shown };
}

test("a card goes to the index it is given, in its own list and in another", () => {
	const { draft, lists, shown } = board();
	moveCard(draft, lists(), "x", "a", 1);
	expect(shown()).toEqual(["ayx", "bz"]);
	moveCard(draft, lists(), "x", "b", 0);
	expect(shown()).toEqual(["ay", "bxz"]);
	moveCard(draft, lists(), "z", "b", 0);
	expect(shown()).toEqual(["ay", "bzx"]);
});

test("moving a card writes one value of that card and nothing else", () => {
	const { data, draft, lists } = board();
	const before = structuredClone(data);
	moveCard(draft, lists(), "x", "b", 1);
	expect(data.cards["x"]?.place).toMatch(/^b\//);
	expect({ ...data, cards: { ...data.cards, x: before.cards["x"] } }).toEqual(before);
});

test("a card that was moved into a list while that was deleted comes up in the first list", () => {
	const { data, draft, lists, shown } = board();
	const seen = lists();
	moveCard(draft, seen, "y", "b", 1);
	removeList(draft, seen, "b");
	expect(shown()).toEqual(["axy"]);
	expect(Object.keys(data.cards)).toEqual(["x", "y"]);
});

test("moving a card that somebody has deleted does nothing", () => {
	const { data, draft, lists } = board();
	const seen = lists();
	delete data.cards["x"];
	moveCard(draft, seen, "x", "b", 0);
	expect(Object.keys(data.cards)).toEqual(["y", "z"]);
});
