/** A room as the app holds it. Several of them may stand on one opened room; each is closed on its own. */
import { HitherError } from "./error.js";
import type { Undo } from "./listeners.js";
import type { Opened } from "./opened.js";
import type { Peer, Presence } from "./presence.js";
import type { Receipt } from "./receipt.js";
import type { RoomStatus } from "./status.js";
import type { Draft, Json, State } from "./types.js";

export interface Room<T extends object = Record<string, unknown>, P = Json> {
	readonly name: string;

	/** The content, immutable: the same object until something changed, and the same parts where nothing did. */
	readonly state: State<T>;

	/** The truth about connection, disk and relay; parts that say the same stay the same object. */
	readonly status: RoomStatus;

	readonly presence: Presence<P>;

	/**
	 * Edits the content. What `edit` does to the draft is one transaction: visible when this returns, or nothing at all if
	 * `edit` throws. Offline it works the same.
	 *
	 * ```ts
	 * const receipt = room.change((d) => d.todos.push({ title: "Milk", done: false }));
	 * await receipt.local; // survives a crash of the tab
	 * await receipt.server; // durable on the relay
	 * ```
	 */
	change(edit: (draft: Draft<T>) => unknown): Receipt;

	/** Calls `listener` with the new and the old state after every change, whoever made it. */
	subscribe(listener: (state: State<T>, previous: State<T>) => void): Undo;

	/** Calls `listener` when what `selector` picks has changed. */
	subscribe<Selected>(
		selector: (state: State<T>) => Selected,
		listener: (selected: Selected, previous: Selected) => void,
		options?: { equals?: (one: Selected, other: Selected) => boolean },
	): Undo;

	/** Calls `listener` when the status has changed. */
	onStatus(listener: (status: RoomStatus, previous: RoomStatus) => void): Undo;

	/** Calls `listener` with what went wrong outside of a call. Without a listener it goes to the console. */
	onError(listener: (error: HitherError) => void): Undo;

	/**
	 * Lets go of the room; its last state stays readable. The promise resolves when its edits are on the disk. What the
	 * relay does not have yet is sent when the room is opened again. May be called twice.
	 */
	close(): Promise<void>;
}

type Listener = (value: unknown, previous: unknown) => void;

export class RoomHandle implements Room<Record<string, unknown>, unknown> {
	readonly #opened: Opened;
	readonly #release: () => void;
	readonly #undos = new Set<Undo>();
	#closing: Promise<void> | undefined;
	readonly presence: Presence<unknown>;

	constructor(opened: Opened, release: () => void) {
		this.#opened = opened;
		this.#release = release;
		this.presence = new RoomPresence(
			opened,
			() => this.#checkOpen(),
			(listener) => this.#watch(() => opened.people, listener),
		);
	}

	get name(): string {
		return this.#opened.name;
	}

	get state(): Readonly<Record<string, unknown>> {
		return this.#opened.state;
	}

	get status(): RoomStatus {
		return this.#opened.status;
	}

	change(edit: (draft: Record<string, unknown>) => unknown): Receipt {
		this.#checkOpen();
		return this.#opened.change(edit);
	}

	subscribe(
		first: (state: Readonly<Record<string, unknown>>, previous: Readonly<Record<string, unknown>>) => unknown,
		listener?: Listener,
		options?: { equals?: (one: never, other: never) => boolean },
	): Undo {
		const opened = this.#opened;
		if (listener === undefined) return this.#watch(() => opened.state, first as Listener);
		const selector = first as (state: unknown) => unknown;
		let state: unknown = opened.state;
		let selected = selector(state);
		const read = () => {
			// Not the selector of an unchanged state: it may build something new each time.
			if (state === opened.state) return selected;
			state = opened.state;
			selected = selector(state);
			return selected;
		};
		return this.#watch(read, listener, options?.equals as (one: unknown, other: unknown) => boolean);
	}

	onStatus(listener: (status: RoomStatus, previous: RoomStatus) => void): Undo {
		return this.#watch(() => this.#opened.status, listener as Listener);
	}

	onError(listener: (error: HitherError) => void): Undo {
		return this.#closing === undefined ? this.#keep(this.#opened.onError(listener)) : () => undefined;
	}

	close(): Promise<void> {
		if (this.#closing === undefined) {
			for (const undo of this.#undos) undo();
			this.#undos.clear();
			this.#closing = this.#opened.settled();
			this.#release();
		}
		return this.#closing;
	}

	#watch(read: () => unknown, listener: Listener, equals?: (one: unknown, other: unknown) => boolean): Undo {
		if (this.#closing !== undefined) return () => undefined;
		return this.#keep(this.#opened.watchers.add(read, listener, equals));
	}

	/** Closing the room ends its subscriptions. */
	#keep(undo: Undo): Undo {
		const once = () => {
			this.#undos.delete(once);
			undo();
		};
		this.#undos.add(once);
		return once;
	}

	#checkOpen(): void {
		if (this.#closing !== undefined) throw new HitherError("closed", `the room "${this.name}" was closed`);
	}
}

class RoomPresence implements Presence<unknown> {
	readonly #opened: Opened;
	readonly #checkOpen: () => void;
	readonly #watch: (listener: () => void) => Undo;

	constructor(opened: Opened, checkOpen: () => void, watch: (listener: () => void) => Undo) {
		this.#opened = opened;
		this.#checkOpen = checkOpen;
		this.#watch = watch;
	}

	get self(): unknown {
		return this.#opened.people.self;
	}

	get others(): readonly Peer<unknown>[] {
		return this.#opened.people.others;
	}

	set(state: unknown): void {
		this.#checkOpen();
		this.#opened.setPresence(state);
	}

	subscribe(listener: () => void): Undo {
		return this.#watch(() => listener());
	}
}
