"use client";
/** React bindings: thin hooks over `subscribe` and snapshots. Needs React 18 or newer. */
import {
	createContext,
	createElement,
	type ReactElement,
	type ReactNode,
	useCallback,
	useContext,
	useEffect,
	useMemo,
	useRef,
	useState,
	useSyncExternalStore,
} from "react";
import type {
	Client,
	ClientStatus,
	Json,
	OpenOptions,
	Peer,
	Presence,
	Room,
	RoomStatus,
	State,
} from "../public.js";

/** What {@link useStatus} needs of a room, whatever is in it. */
type AnyRoom = Pick<Room, "status" | "onStatus">;

const ClientContext = createContext<Client | undefined>(undefined);

/** Gives a client to everything below. Make the client outside of components, once. */
export function HitherProvider(props: { client: Client; children?: ReactNode }): ReactElement {
	return createElement(ClientContext.Provider, { value: props.client }, props.children);
}

/** The client of the nearest provider. */
export function useClient(): Client {
	const client = useContext(ClientContext);
	if (client === undefined) throw new Error("there is no <HitherProvider client={…}> above this component");
	return client;
}

/** The shared connection of the client. */
export function useClientStatus(): ClientStatus {
	const client = useClient();
	const subscribe = useCallback((listener: () => void) => client.onStatus(listener), [client]);
	const read = () => client.status;
	return useSyncExternalStore(subscribe, read, read);
}

/**
 * Opens a room while the component is mounted; undefined until this device's copy is loaded (and on a server).
 * A room that cannot be opened throws into the nearest error boundary. `options` count when the room is first opened.
 */
export function useRoom<T extends object = Record<string, unknown>, P = Json>(
	name: string,
	options?: OpenOptions<T>,
): Room<T, P> | undefined {
	const client = useClient();
	const latest = useRef(options);
	useEffect(() => {
		latest.current = options;
	});
	const [found, setFound] = useState<{ client: Client; name: string; room: Room<T, P> }>();
	useEffect(() => {
		let isGone = false;
		let room: Room<T, P> | undefined;
		client.open<T, P>(name, latest.current).then(
			(opened) => {
				room = opened;
				if (isGone) void room.close();
				else setFound({ client, name, room });
			},
			(error: unknown) => {
				if (isGone) return;
				setFound(() => {
					throw error;
				});
			},
		);
		return () => {
			isGone = true;
			setFound(undefined);
			// Effects of a deleted tree are undone from the top: those of components below may still write.
			queueMicrotask(() => void room?.close());
		};
	}, [client, name]);
	// Not the room of the last render's name.
	return found?.client === client && found.name === name ? found.room : undefined;
}

/**
 * The state of a room, or what `selector` picks from it; renders again when that changes. A selector that builds
 * something new each time needs `equals`. While the room is undefined, so is the result.
 */
export function useShared<T extends object, P>(room: Room<T, P>): State<T>;
export function useShared<T extends object, P>(room: Room<T, P> | undefined): State<T> | undefined;
export function useShared<T extends object, P, Selected>(
	room: Room<T, P>,
	selector: (state: State<T>) => Selected,
	equals?: (one: Selected, other: Selected) => boolean,
): Selected;
export function useShared<T extends object, P, Selected>(
	room: Room<T, P> | undefined,
	selector: (state: State<T>) => Selected,
	equals?: (one: Selected, other: Selected) => boolean,
): Selected | undefined;
export function useShared<T extends object, P>(
	room: Room<T, P> | undefined,
	selector: (state: State<T>) => unknown = identity,
	equals: (one: unknown, other: unknown) => boolean = Object.is,
): unknown {
	const subscribe = useCallback((listener: () => void) => room?.subscribe(listener) ?? noop, [room]);
	const shown = useRef<{ value: unknown } | undefined>(undefined);
	const read = useMemo(() => {
		let last: { state: State<T>; value: unknown } | undefined;
		return () => {
			if (room === undefined) return undefined;
			const state = room.state;
			if (last?.state === state) return last.value;
			const before = last ?? shown.current;
			const value = selector(state);
			last = { state, value: before !== undefined && equals(before.value, value) ? before.value : value };
			return last.value;
		};
	}, [room, selector, equals]);
	const value = useSyncExternalStore(subscribe, read, read);
	useEffect(() => {
		// An inline selector is new in each render: what was shown is what its result is compared with.
		shown.current = { value };
	});
	return value;
}

/** The status of a room; undefined while the room is. */
export function useStatus(room: AnyRoom): RoomStatus;
export function useStatus(room: AnyRoom | undefined): RoomStatus | undefined;
export function useStatus(room: AnyRoom | undefined): RoomStatus | undefined {
	const subscribe = useCallback((listener: () => void) => room?.onStatus(listener) ?? noop, [room]);
	const read = () => room?.status;
	return useSyncExternalStore(subscribe, read, read);
}

/** Who else is here, and a way to show oneself. */
export function usePresence<P>(room: { readonly presence: Presence<P> } | undefined): {
	readonly self: P | undefined;
	readonly others: readonly Peer<P>[];
	readonly set: (state: P | undefined) => void;
} {
	const subscribe = useCallback((listener: () => void) => room?.presence.subscribe(listener) ?? noop, [room]);
	const readOthers = () => room?.presence.others ?? nobody;
	const readSelf = () => room?.presence.self;
	const others = useSyncExternalStore(subscribe, readOthers, readOthers);
	const self = useSyncExternalStore(subscribe, readSelf, readSelf);
	const set = useCallback((state: P | undefined) => room?.presence.set(state), [room]);
	return { self, others, set };
}

const nobody: readonly never[] = [];

function noop(): void {
	// Nothing to undo.
}

function identity(state: unknown): unknown {
	return state;
}
