/**
 * Dragging a card, with a pointer or with the keyboard.
 *
 *   idle ── pointer moves 5 px, or Space on the handle ──► dragging ── release / Space ──► idle, card moved
 *                                                              └────── Escape, card gone ──► idle, nothing moved
 *
 * While it lasts the card is only shown at its new place; the room changes once, at the end. So the others see one move,
 * and cancelling needs no way back.
 */
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useAnnounce } from "./announcer.tsx";
import type { CardView, ListView } from "./model.ts";

export interface Drag {
	readonly card: CardView;
	readonly listId: string;
	/** Place among the other cards of that list. */
	readonly index: number;
	readonly by: "pointer" | "keyboard";
}

const THRESHOLD_PX = 5;
const SCROLL_EDGE_PX = 56;
const SCROLL_STEP_PX = 9;

export interface CardDrag {
	readonly drag: Drag | null;
	/** The lists as they are shown: the dragged card stands where it would land. */
	readonly lists: readonly ListView[];
	/** The picture of the card that follows the pointer. */
	readonly ghost: RefObject<HTMLDivElement | null>;
	onPointerDown(event: React.PointerEvent, card: CardView): void;
	onKeyDown(event: React.KeyboardEvent, card: CardView): void;
}

export function useCardDrag(
	given: readonly ListView[],
	board: RefObject<HTMLElement | null>,
	drop: (id: string, listId: string, index: number) => void,
): CardDrag {
	const [drag, setDrag] = useState<Drag | null>(null);
	const ghost = useRef<HTMLDivElement | null>(null);
	const announce = useAnnounce();
	// Handlers outlive renders (a drag is one pointer's life), and a release may come before the last move is rendered.
	const current = useRef<Drag | null>(null);
	const now = useRef({ given, drop });
	useLayoutEffect(() => {
		now.current = { given, drop };
	});

	const begin = useCallback((next: Drag | null) => {
		current.current = next;
		setDrag(next);
	}, []);

	const end = useCallback(
		(how: "drop" | "cancel") => {
			const drag = current.current;
			const { given, drop } = now.current;
			begin(null);
			if (!drag) return;
			const from = placeOf(given, drag.card.id);
			if (how === "cancel" || !from) announce(`${quote(drag.card)} was put back.`);
			else {
				if (from.listId !== drag.listId || from.index !== drag.index)
					drop(drag.card.id, drag.listId, drag.index);
				announce(`${quote(drag.card)} dropped ${describe(given, drag)}.`);
			}
		},
		[announce, begin],
	);

	// Somebody else removed the card, or the list that it hovers over.
	const gone =
		drag !== null && (!placeOf(given, drag.card.id) || !given.some((list) => list.id === drag.listId));
	useEffect(() => {
		if (gone) end("cancel");
	}, [gone, end]);

	// In another list the card is another element: the handle that has the keyboard must keep it.
	useLayoutEffect(() => {
		if (drag?.by === "keyboard") {
			board.current?.querySelector<HTMLElement>(`[data-grip="${CSS.escape(drag.card.id)}"]`)?.focus();
		}
	}, [drag, board]);

	useEffect(() => {
		if (drag?.by !== "keyboard") return;
		const cancel = () => end("cancel");
		addEventListener("pointerdown", cancel);
		return () => removeEventListener("pointerdown", cancel);
	}, [drag?.by, end]);

	const onKeyDown = useCallback(
		(event: React.KeyboardEvent, card: CardView) => {
			const drag = current.current;
			const { given } = now.current;
			const lifts = event.key === " " || event.key === "Enter";
			if (!drag) {
				const from = placeOf(given, card.id);
				if (!lifts || !from) return;
				event.preventDefault();
				const lifted: Drag = { card, ...from, by: "keyboard" };
				begin(lifted);
				announce(
					`${quote(card)} lifted ${describe(given, lifted)}. Arrow keys move it, Space drops it, Escape puts it back.`,
				);
				return;
			}
			if (drag.by !== "keyboard") return;
			const next = afterKey(given, drag, event.key);
			if (!lifts && !next && event.key !== "Escape" && event.key !== "Tab") return;
			event.preventDefault();
			if (lifts) end("drop");
			else if (event.key === "Escape") end("cancel");
			else if (next) {
				begin(next);
				announce(`${describe(given, next)}.`);
			}
		},
		[announce, begin, end],
	);

	const onPointerDown = useCallback(
		(event: React.PointerEvent, card: CardView) => {
			const target = event.target as Element;
			const onGrip = target.closest("[data-grip]") !== null;
			// A finger on the card scrolls the page; only the handle drags. Fields and other buttons keep what they do.
			if (event.button !== 0 || !event.isPrimary || current.current) return;
			if (event.pointerType === "touch" && !onGrip) return;
			if (!onGrip && target.closest("textarea, [data-no-drag]")) return;
			const element = target.closest<HTMLElement>("[data-card]");
			const box = element?.getBoundingClientRect();
			if (!element || !box) return;
			followPointer({
				event: event.nativeEvent,
				board,
				ghost,
				grab: { x: event.clientX - box.left, y: event.clientY - box.top, width: box.width },
				onMove(x, y) {
					const over = placeAt(board.current, card.id, x, y);
					const before = current.current;
					if (!over || (before && before.listId === over.listId && before.index === over.index)) return;
					begin({ card, ...over, by: "pointer" });
				},
				onEnd: end,
			});
		},
		[board, begin, end],
	);

	return { drag, lists: drag && !gone ? arranged(given, drag) : given, ghost, onPointerDown, onKeyDown };
}

/** Where a card stands, its index counted among the others. */
function placeOf(lists: readonly ListView[], id: string): { listId: string; index: number } | null {
	for (const list of lists) {
		const index = list.cards.findIndex((card) => card.id === id);
		if (index >= 0) return { listId: list.id, index };
	}
	return null;
}

function arranged(lists: readonly ListView[], drag: Drag): readonly ListView[] {
	return lists.map((list) => {
		const others = list.cards.filter((card) => card.id !== drag.card.id);
		if (list.id !== drag.listId)
			return others.length === list.cards.length ? list : { ...list, cards: others };
		const shown = lists.flatMap((each) => each.cards).find((card) => card.id === drag.card.id) ?? drag.card;
		return { ...list, cards: others.toSpliced(Math.min(drag.index, others.length), 0, shown) };
	});
}

function afterKey(lists: readonly ListView[], drag: Drag, key: string): Drag | null {
	const column = lists.findIndex((list) => list.id === drag.listId);
	const others = (at: number) => lists[at]?.cards.filter((card) => card.id !== drag.card.id).length ?? 0;
	const sideways = key === "ArrowLeft" ? -1 : key === "ArrowRight" ? 1 : 0;
	const list = lists[column + sideways];
	if (sideways !== 0) {
		return list ? { ...drag, listId: list.id, index: Math.min(drag.index, others(column + sideways)) } : null;
	}
	const index = key === "ArrowUp" ? drag.index - 1 : key === "ArrowDown" ? drag.index + 1 : -1;
	return index >= 0 && index <= others(column) ? { ...drag, index } : null;
}

function describe(lists: readonly ListView[], drag: Pick<Drag, "card" | "listId" | "index">): string {
	const list = lists.find((each) => each.id === drag.listId);
	const others = list?.cards.filter((card) => card.id !== drag.card.id).length ?? 0;
	return `in ${list?.title ?? "a list"}, ${drag.index + 1} of ${others + 1}`;
}

function quote(card: CardView): string {
	return `Card “${card.text.slice(0, 60) || "empty"}”`;
}

/** The list nearest to a point and the index that a card dropped there would get. */
function placeAt(
	board: HTMLElement | null,
	cardId: string,
	x: number,
	y: number,
): { listId: string; index: number } | null {
	let nearest: HTMLElement | undefined;
	let least = Number.POSITIVE_INFINITY;
	for (const list of board?.querySelectorAll<HTMLElement>("[data-list]") ?? []) {
		const box = list.getBoundingClientRect();
		const distance = Math.hypot(x - clamp(x, box.left, box.right), y - clamp(y, box.top, box.bottom));
		if (distance < least) {
			least = distance;
			nearest = list;
		}
	}
	const listId = nearest?.dataset["list"];
	if (!nearest || listId === undefined) return null;
	const others = [...nearest.querySelectorAll<HTMLElement>("[data-card]")].filter(
		(card) => card.dataset["card"] !== cardId,
	);
	const index = others.filter((card) => {
		const box = card.getBoundingClientRect();
		return (box.top + box.bottom) / 2 < y;
	}).length;
	return { listId, index };
}

/** One pointer from its press to its release; listeners and styles are gone afterwards, however it ends. */
function followPointer(options: {
	event: PointerEvent;
	board: RefObject<HTMLElement | null>;
	ghost: RefObject<HTMLDivElement | null>;
	grab: { x: number; y: number; width: number };
	onMove: (x: number, y: number) => void;
	onEnd: (how: "drop" | "cancel") => void;
}): void {
	const { event, board, ghost, grab, onMove, onEnd } = options;
	const listening = new AbortController();
	let at = { x: event.clientX, y: event.clientY };
	let dragging = false;
	let frame = 0;

	const draw = () => {
		const edge = at.y < SCROLL_EDGE_PX ? -1 : at.y > innerHeight - SCROLL_EDGE_PX ? 1 : 0;
		if (edge !== 0) scrollBy(0, edge * SCROLL_STEP_PX);
		onMove(at.x, at.y);
		const picture = ghost.current;
		if (picture) {
			picture.style.width = `${grab.width}px`;
			picture.style.translate = `${at.x - grab.x}px ${at.y - grab.y}px`;
		}
		frame = requestAnimationFrame(draw);
	};
	const move = (next: PointerEvent) => {
		if (next.pointerId !== event.pointerId) return;
		at = { x: next.clientX, y: next.clientY };
		if (dragging || Math.hypot(at.x - event.clientX, at.y - event.clientY) < THRESHOLD_PX) return;
		dragging = true;
		// The card's element moves between lists; the board stays and keeps the pointer.
		board.current?.setPointerCapture(event.pointerId);
		document.documentElement.classList.add("is-dragging");
		frame = requestAnimationFrame(draw);
	};
	const end = (how: "drop" | "cancel") => {
		listening.abort();
		cancelAnimationFrame(frame);
		document.documentElement.classList.remove("is-dragging");
		if (!dragging) return;
		onMove(at.x, at.y);
		// The click that follows the release, if one does, belongs to the drag and not to what lies there.
		const swallow = (click: Event) => click.stopPropagation();
		addEventListener("click", swallow, { capture: true, once: true });
		setTimeout(() => removeEventListener("click", swallow, { capture: true }));
		onEnd(how);
	};
	const signal = listening.signal;
	addEventListener("pointermove", move, { signal });
	addEventListener("pointerup", (up) => up.pointerId === event.pointerId && end("drop"), { signal });
	addEventListener("pointercancel", (gone) => gone.pointerId === event.pointerId && end("cancel"), {
		signal,
	});
	addEventListener("keydown", (key) => key.key === "Escape" && end("cancel"), { signal });
}

function clamp(value: number, low: number, high: number): number {
	return Math.min(Math.max(value, low), high);
}
