/**
 * What the others see of this person: name, colour, pointer, and what is being edited.
 *
 * The pointer is told relative to the thing below it (a card, a list, the note) and not to the window, so it points at
 * the same thing on a phone as on a wide screen.
 */
import { createContext, type ReactNode, use, useCallback, useEffect, useMemo, useRef } from "react";
import { isProfile, type Profile } from "./profile.ts";
import type { BoardRoom } from "./room.ts";

// Types, not interfaces: only types fit what presence may carry without an index signature.
export type Pointer = {
	/** The `data-anchor` of what is below the pointer. */
	readonly anchor: string;
	/** Fractions of that element's width and height. */
	readonly x: number;
	readonly y: number;
};

export type Person = {
	readonly name: string;
	readonly hue: number;
	readonly pointer: Pointer | null;
	/** The id of the card that is open for editing, or "note". */
	readonly focus: string | null;
};

/** Twenty times a second looks alive; the relay fans each of them out to everybody. */
const EVERY_MS = 50;

type Show = (part: Partial<Person>) => void;
const Showing = createContext<Show>(() => {});

export function PresencePublisher({
	room,
	profile,
	children,
}: {
	room: BoardRoom;
	profile: Profile;
	children: ReactNode;
}) {
	const shown = useRef<Person>({ ...profile, pointer: null, focus: null });
	const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
	const show = useCallback<Show>(
		(part) => {
			shown.current = { ...shown.current, ...part };
			timer.current ??= setTimeout(() => {
				timer.current = null;
				room.presence.set(shown.current);
			}, EVERY_MS);
		},
		[room],
	);
	useEffect(() => {
		show(profile);
		return () => {
			if (timer.current !== null) clearTimeout(timer.current);
			timer.current = null;
		};
	}, [show, profile]);
	useEffect(() => followPointer(show), [show]);
	return <Showing value={show}>{children}</Showing>;
}

/** Tells the others that this person has something open; null says nothing. */
export function useFocusOf(id: string | null): void {
	const show = use(Showing);
	useEffect(() => {
		if (id === null) return;
		show({ focus: id });
		return () => show({ focus: null });
	}, [id, show]);
}

/** What came over the network as presence, if it is what this page sends: another version may send something else. */
export function asPerson(value: unknown): Person | null {
	if (!isProfile(value)) return null;
	const { pointer, focus } = value as Profile & { pointer?: unknown; focus?: unknown };
	return {
		name: value.name,
		hue: value.hue,
		pointer: isPointer(pointer) ? pointer : null,
		focus: typeof focus === "string" ? focus : null,
	};
}

export interface Other extends Person {
	readonly id: number;
}

/** Everybody else who shows something that this page understands. */
export function useOthers(
	peers: readonly { readonly id: number; readonly state: unknown }[],
): readonly Other[] {
	return useMemo(
		() =>
			peers.flatMap((peer) => {
				const person = asPerson(peer.state);
				return person ? [{ ...person, id: peer.id }] : [];
			}),
		[peers],
	);
}

function followPointer(show: Show): () => void {
	const listening = new AbortController();
	const { signal } = listening;
	const hide = () => show({ pointer: null });
	addEventListener("pointermove", (event) => show({ pointer: pointerAt(event.clientX, event.clientY) }), {
		signal,
	});
	// A finger that is lifted points at nothing; a mouse rests where it is.
	addEventListener("pointerup", (event) => event.pointerType === "touch" && hide(), { signal });
	document.documentElement.addEventListener("pointerleave", hide, { signal });
	addEventListener("blur", hide, { signal });
	return () => listening.abort();
}

function pointerAt(x: number, y: number): Pointer | null {
	const element = document.elementFromPoint(x, y)?.closest<HTMLElement>("[data-anchor]");
	const anchor = element?.dataset["anchor"];
	if (!element || anchor === undefined) return null;
	const box = element.getBoundingClientRect();
	const round = (fraction: number) => Math.round(fraction * 1_000) / 1_000;
	return { anchor, x: round((x - box.left) / box.width), y: round((y - box.top) / box.height) };
}

function isPointer(value: unknown): value is Pointer {
	if (typeof value !== "object" || value === null) return false;
	const { anchor, x, y } = value as { anchor?: unknown; x?: unknown; y?: unknown };
	return typeof anchor === "string" && Number.isFinite(x) && Number.isFinite(y);
}
