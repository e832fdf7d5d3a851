/** What the types promise. `tsc` is the test; running it only shows that the file is there. */
// biome-ignore-all lint/correctness/useHookAtTopLevel: only types are looked at, nothing runs
import { expectTypeOf, test } from "vitest";
import {
	type Draft,
	type DraftList,
	type DraftText,
	type Room,
	type State,
	type Text,
	text,
} from "../src/public.js";
import { useShared, useStatus } from "../src/react/index.js";

interface Card {
	title: Text;
	tags: string[];
	due?: number | null;
	size: { w: number } | null;
}

interface Board {
	cards: Card[];
	byId: Record<string, Card>;
	kind: "a" | "b";
	picture: Uint8Array;
}

type BoardRoom = Room<Board, { name: string }>;

/** Never called. */
function examples(room: BoardRoom, draft: Draft<Board>): void {
	// State is immutable all the way down.
	expectTypeOf(room.state.cards).toEqualTypeOf<readonly State<Card>[]>();
	expectTypeOf(room.state.cards[0]?.title).toEqualTypeOf<Text | undefined>();
	expectTypeOf(room.state.cards[0]?.size).toEqualTypeOf<{ readonly w: number } | null | undefined>();
	// @ts-expect-error state is read-only
	room.state.kind = "b";
	// @ts-expect-error state is read-only
	room.state.cards.push();

	// Drafts are mutable, and texts are edited by position.
	expectTypeOf(draft.cards).toEqualTypeOf<DraftList<Card>>();
	expectTypeOf(draft.cards[0]?.title).toEqualTypeOf<DraftText | undefined>();
	draft.kind = "b";
	// @ts-expect-error not one of them
	draft.kind = "c";
	draft.cards.push({ title: text("x"), tags: [], size: null });
	draft.cards.push(
		{ title: text("x"), tags: ["a"], due: null, size: { w: 1 } },
		draft.cards[0] as Draft<Card>,
	);
	// @ts-expect-error a text is made by text()
	draft.cards.push({ title: "x", tags: [], size: null });
	// @ts-expect-error size is missing
	draft.cards.push({ title: text("x"), tags: [] });
	draft.byId["a"] = { title: text("x"), tags: [], size: null };
	draft.cards = [];
	draft.cards = [{ title: text("x"), tags: [], size: { w: 2 } }];
	for (const card of draft.cards) card.title.append("!");
	const [removed] = draft.cards.splice(0, 1);
	if (removed !== undefined) draft.cards.unshift(removed);
	draft.cards.length = 0;
	draft.cards[0]?.title.set("new");
	const first = draft.cards[0];
	if (first !== undefined) {
		first.title = text("new");
		first.size = { w: 1 };
		delete first.due;
	}
	// @ts-expect-error sorting a shared list would replace every item
	draft.cards.sort();
	draft.cards.map((card) => card.tags.length).toSorted();
	draft.cards.indexOf(room.state.cards[0] as State<Card>);

	// Subscriptions are typed by what is selected.
	room.subscribe(
		(state) => state.cards.length,
		(length) => expectTypeOf(length).toEqualTypeOf<number>(),
	);
	room.subscribe((state, previous) => expectTypeOf(state).toEqualTypeOf(previous));
	room.change((d) => d.cards.push({ title: text(), tags: [], size: null })).local.then();

	// Presence.
	room.presence.set({ name: "Ada" });
	// @ts-expect-error not a name
	room.presence.set({ nam: "Ada" });
	expectTypeOf(room.presence.others[0]?.state.name).toEqualTypeOf<string | undefined>();

	// Hooks know whether the room is there.
	expectTypeOf(useShared(room)).toEqualTypeOf<State<Board>>();
	expectTypeOf(useShared(room, (state) => state.kind)).toEqualTypeOf<"a" | "b">();
	expectTypeOf(useShared(room as BoardRoom | undefined, (state) => state.kind)).toEqualTypeOf<
		"a" | "b" | undefined
	>();
	expectTypeOf(useStatus(room).local.state).toEqualTypeOf<
		"loading" | "saved" | "saving" | "degraded" | "absent"
	>();
}

test("types are checked by tsc", () => {
	expectTypeOf(examples).toBeFunction();
});
