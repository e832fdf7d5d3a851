/**
 * What a board is made of, and every way in which it changes.
 *
 * Lists and cards stand in maps under random ids, each with its own position, instead of in nested arrays: moving an
 * element of an array means deleting it here and inserting it there, and two people who move one card at once would
 * then have it twice. A card in a map exists once whatever happens to it.
 *
 * `place` is one string for list and position together. With two fields, of two moves at once the list could come from
 * one and the position from the other; with one, one of the two moves wins as a whole.
 */
import { type Draft, type State, type Text, text } from "hither";
import { between, byOrder } from "./order.ts";

export interface BoardData {
	lists: Record<string, { title: string; order: string }>;
	cards: Record<string, { place: string; text: Text }>;
	note: Text;
}

export type BoardState = State<BoardData>;
export type BoardDraft = Draft<BoardData>;

/** What a new room starts with: the same for everybody, so it merges to one copy of it. */
export const initial: BoardData = {
	lists: {
		todo: { title: "To do", order: "G" },
		doing: { title: "In progress", order: "U" },
		done: { title: "Done", order: "i" },
	},
	cards: {
		open: { place: "todo/G", text: text("Open this page in a second window") },
		drag: {
			place: "todo/U",
			text: text("Drag this card to another list, or focus its handle and press Space"),
		},
		write: { place: "doing/U", text: text("Write in the note: the others see it letter by letter") },
		cut: { place: "todo/i", text: text("Cut the connection, edit in both windows, connect again") },
	},
	note: text(""),
};

export interface CardView {
	readonly id: string;
	readonly order: string;
	readonly text: string;
}

export interface ListView {
	readonly id: string;
	readonly title: string;
	readonly order: string;
	readonly cards: readonly CardView[];
}

/** The lists in order, each with its cards in order. */
export function listsOf(state: Pick<BoardState, "lists" | "cards">): readonly ListView[] {
	const lists = Object.entries(state.lists)
		.map(([id, list]) => ({ id, title: list.title, order: list.order, cards: [] as CardView[] }))
		.sort(byOrder);
	const byId = new Map(lists.map((list) => [list.id, list]));
	for (const [id, card] of Object.entries(state.cards)) {
		const place = readPlace(card.place);
		// Somebody moved it into a list while somebody else deleted that list: it comes up in the first one.
		const list = byId.get(place.list) ?? lists[0];
		list?.cards.push({ id, order: place.order, text: card.text });
	}
	for (const list of lists) list.cards.sort(byOrder);
	return lists;
}

/** Adds a card at the end of a list and returns its id. */
export function addCard(
	draft: BoardDraft,
	lists: readonly ListView[],
	listId: string,
	content: string,
): string {
	const id = newId();
	const last = lists.find((list) => list.id === listId)?.cards.at(-1);
	draft.cards[id] = {
		place: writePlace(listId, between(last?.order ?? null, null)),
		text: text(content),
	} as never;
	return id;
}

/** Puts a card at `index` of a list, counted without the card itself. */
export function moveCard(
	draft: BoardDraft,
	lists: readonly ListView[],
	id: string,
	listId: string,
	index: number,
): void {
	const card = draft.cards[id];
	if (!card) return;
	const others = lists.find((list) => list.id === listId)?.cards.filter((other) => other.id !== id) ?? [];
	card.place = writePlace(listId, between(others[index - 1]?.order ?? null, others[index]?.order ?? null));
}

export function removeCard(draft: BoardDraft, id: string): void {
	delete draft.cards[id];
}

export function addList(draft: BoardDraft, lists: readonly ListView[], title: string): string {
	const id = newId();
	draft.lists[id] = { title, order: between(lists.at(-1)?.order ?? null, null) };
	return id;
}

export function renameList(draft: BoardDraft, id: string, title: string): void {
	const list = draft.lists[id];
	if (list) list.title = title;
}

/** Removes a list with the cards that stand in it now; one that is being moved into it elsewhere stays. */
export function removeList(draft: BoardDraft, lists: readonly ListView[], id: string): void {
	for (const card of lists.find((list) => list.id === id)?.cards ?? []) removeCard(draft, card.id);
	delete draft.lists[id];
}

function readPlace(place: string): { list: string; order: string } {
	const slash = place.indexOf("/");
	return slash < 0
		? { list: place, order: "" }
		: { list: place.slice(0, slash), order: place.slice(slash + 1) };
}

function writePlace(list: string, order: string): string {
	return `${list}/${order}`;
}

/** Sixty random bits; getRandomValues rather than randomUUID, which pages without https lack. */
function newId(): string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz";
	return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => letters.charAt(byte & 31)).join("");
}
