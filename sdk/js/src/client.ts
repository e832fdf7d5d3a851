/** A client: one connection to one relay, one database on this device, any number of rooms. */
import { encodeInitial } from "./drafting.js";
import type { Engine, EngineClass, EngineOptions } from "./engine.js";
import { crash, fromEngine, HitherError } from "./error.js";
import { Rounds, type Undo, Watchers } from "./listeners.js";
import { Opened } from "./opened.js";
import { wellFormed } from "./packet.js";
import { type Room, RoomHandle } from "./room.js";
import { type ClientStatus, type ConnectionStatus, keep } from "./status.js";
import type { Json } from "./types.js";

export interface ClientOptions {
	/**
	 * The relay's address, `wss://…/sync`; `http(s)` and paths relative to the page work too.
	 * Default: `/sync` on the host that the page comes from.
	 */
	url?: string | URL;
	/** The IndexedDB database. Two clients of one page need two. Default: `hither`. */
	database?: string;
	/** How this client calls itself to the relay, at most 64 bytes. Default: the package and its version. */
	name?: string;
	/** `memory` keeps nothing on this device: for tests and for pages that must not store. Default: `indexeddb`. */
	storage?: "indexeddb" | "memory";
	/** `strict` waits for the physical disk at each write, for a third of the speed. Default: `relaxed`. */
	durability?: "relaxed" | "strict";
	/** Whether to connect from the start. Default: true. */
	connect?: boolean;
	/**
	 * Where the engine comes from, if not from beside this package: an address, bytes or a compiled module of `hither/wasm`.
	 * The first client of a page decides.
	 */
	wasm?: string | URL | BufferSource | WebAssembly.Module;
}

export interface OpenOptions<T extends object> {
	/**
	 * What a room that nobody has written to looks like. Also declares its top-level lists, objects and texts, so give the
	 * same to every client: two that open the room at the same time do not duplicate it.
	 */
	initial?: T;
}

export interface Client {
	/** The connection that all rooms share. */
	readonly status: ClientStatus;
	onStatus(listener: (status: ClientStatus, previous: ClientStatus) => void): Undo;

	/**
	 * Opens a room. Resolves when this device's copy is loaded; never waits for the network. A room may be opened several
	 * times, each to be closed on its own.
	 *
	 * ```ts
	 * type Board = { title: Text; todos: { title: string; done: boolean }[] };
	 * const room = await client.open<Board>("board", { initial: { title: text("Board"), todos: [] } });
	 * ```
	 */
	open<T extends object = Record<string, unknown>, P = Json>(
		room: string,
		options?: OpenOptions<T>,
	): Promise<Room<T, P>>;

	/** Connects, and stays connected. */
	connect(): void;
	/** Cuts the connection until `connect()`; rooms go on working. */
	disconnect(): void;

	/** Writes what is unwritten, closes all rooms and the connection. May be called twice. */
	close(): Promise<void>;
}

/** @internal */
export type LoadEngine = (wasm: ClientOptions["wasm"]) => Promise<EngineClass>;

/** A room that nobody holds any more stays open for this long: a component that is mounted again finds it. */
const RELEASE_AFTER_MS = 1_000;

const MAX_ROOM_NAME_BYTES = 256;

const IDLE: ClientStatus = Object.freeze({
	connection: Object.freeze({ state: "offline", reason: "no room is open" }),
});

interface Held {
	readonly opened: Opened;
	holders: number;
	handle: number | undefined;
	release: ReturnType<typeof setTimeout> | undefined;
}

/** @internal */
export class HitherClient implements Client {
	readonly #options: ClientOptions;
	readonly #load: LoadEngine;
	readonly #rooms = new Map<string, Held>();
	readonly #byHandle = new Map<number, Opened>();
	readonly #watchers = new Watchers();
	readonly #rounds = new Rounds(() => this.#watchers.tell());
	#status: ClientStatus = IDLE;
	#starting: Promise<Engine> | undefined;
	#engine: Engine | undefined;
	#undoWatch: Undo | undefined;
	#wantsConnection: boolean;
	#closing: Promise<void> | undefined;

	constructor(options: ClientOptions, load: LoadEngine) {
		this.#options = options;
		this.#load = load;
		this.#wantsConnection = options.connect ?? true;
		// A wrong address is the caller's mistake and shows here; a missing one may be known later (server rendering).
		if (options.url !== undefined) relayUrl(options.url);
	}

	get status(): ClientStatus {
		return this.#status;
	}

	onStatus(listener: (status: ClientStatus, previous: ClientStatus) => void): Undo {
		return this.#watchers.add(() => this.#status, listener);
	}

	async open<T extends object = Record<string, unknown>, P = Json>(
		name: string,
		options: OpenOptions<T> = {},
	): Promise<Room<T, P>> {
		this.#checkOpen();
		checkName(name);
		let held = this.#rooms.get(name);
		if (held === undefined) {
			// Encoded now: what the caller does to its object later does not count.
			const initial = encodeInitial(options.initial);
			const begun: Held = {
				opened: new Opened(
					name,
					(error) => this.#crashed(error),
					() => this.#closeRoom(begun),
				),
				holders: 0,
				handle: undefined,
				release: undefined,
			};
			this.#rooms.set(name, begun);
			void this.#start(begun, initial);
			held = begun;
		}
		const { opened } = held;
		this.#hold(held);
		try {
			await opened.ready;
		} catch (error) {
			this.#release(held);
			throw error;
		}
		const room = new RoomHandle(opened, () => this.#release(held));
		// The handle moves plain values; their types are the caller's knowledge.
		return room as unknown as Room<T, P>;
	}

	connect(): void {
		this.#checkOpen();
		this.#wantsConnection = true;
		this.#engine?.connect();
	}

	disconnect(): void {
		this.#wantsConnection = false;
		this.#engine?.disconnect();
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async #close(): Promise<void> {
		for (const held of this.#rooms.values()) clearTimeout(held.release);
		const engine = await this.#starting?.catch(() => undefined);
		try {
			await engine?.close();
		} finally {
			const error = new HitherError("closed", "the client was closed");
			for (const { opened } of this.#rooms.values()) opened.end(error);
			this.#rooms.clear();
			this.#byHandle.clear();
			this.#engine = undefined;
			this.#undoWatch?.();
			this.#setConnection({ state: "offline", reason: "the client was closed" });
			engine?.free();
		}
	}

	async #start(held: Held, initial: Uint8Array): Promise<void> {
		const { opened } = held;
		try {
			const engine = await this.#ensureEngine();
			if (this.#closing !== undefined) throw new HitherError("closed", "the client was closed");
			const handle = engine.open(opened.name, initial);
			held.handle = handle;
			opened.attach(engine, handle);
			this.#byHandle.set(handle, opened);
		} catch (thrown) {
			if (this.#rooms.get(opened.name) === held) this.#rooms.delete(opened.name);
			opened.end(fromEngine(thrown));
		}
	}

	/** The engine, started at most once; a failure to load is not remembered, so the next open tries again. */
	#ensureEngine(): Promise<Engine> {
		this.#starting ??= this.#startEngine().catch((error: unknown) => {
			this.#starting = undefined;
			throw error;
		});
		return this.#starting;
	}

	async #startEngine(): Promise<Engine> {
		const { database, name, storage, durability, url, wasm } = this.#options;
		const EngineOfPage = await this.#load(wasm);
		const options: EngineOptions = {
			url: relayUrl(url ?? "/sync"),
			connect: this.#wantsConnection,
			...(database !== undefined && { database }),
			...(name !== undefined && { name }),
			...(storage !== undefined && { storage }),
			...(durability !== undefined && { durability }),
		};
		const engine = new EngineOfPage(options, (room, kind, payload) => this.#tell(room, kind, payload));
		this.#engine = engine;
		this.#undoWatch = this.#watchForCrashes(engine);
		return engine;
	}

	/** The sink. Runs inside the engine: changes what is known and leaves the app's code for later. */
	#tell(room: number, kind: string, payload: unknown): void {
		if (room < 0) {
			this.#crashed(crash((payload as { message: string }).message));
			return;
		}
		const opened = this.#byHandle.get(room);
		if (opened === undefined) return;
		opened.handle(kind, payload);
		if (kind === "status" && this.#engine !== undefined) this.#setConnection(this.#engine.connection());
		if (kind === "closed") this.#forget(opened, room);
	}

	#crashed(error: HitherError): void {
		this.#undoWatch?.();
		for (const { opened } of this.#rooms.values()) {
			opened.fail(error);
			opened.end(error);
		}
		this.#rooms.clear();
		this.#byHandle.clear();
		this.#setConnection({ state: "offline", reason: error.message });
	}

	/**
	 * A panic outside of a call of ours ends in the page's error events, if anywhere: then the engine is asked whether it
	 * is still alive.
	 */
	#watchForCrashes(engine: Engine): Undo {
		if (typeof addEventListener !== "function") return () => undefined;
		const check = (event: Event) => {
			const error: unknown = Reflect.get(event, "error") ?? Reflect.get(event, "reason");
			if (!(error instanceof WebAssembly.RuntimeError)) return;
			try {
				if (this.#wantsConnection) engine.connect();
				else engine.disconnect();
			} catch (thrown) {
				this.#crashed(fromEngine(thrown));
			}
		};
		addEventListener("error", check);
		addEventListener("unhandledrejection", check);
		return () => {
			removeEventListener("error", check);
			removeEventListener("unhandledrejection", check);
		};
	}

	#setConnection(connection: ConnectionStatus): void {
		const kept = keep(this.#status.connection, connection);
		if (kept === this.#status.connection) return;
		this.#status = Object.freeze({ connection: kept });
		this.#rounds.soon();
	}

	#hold(held: Held): void {
		clearTimeout(held.release);
		held.release = undefined;
		held.holders += 1;
	}

	#release(held: Held): void {
		held.holders -= 1;
		if (held.holders > 0 || this.#rooms.get(held.opened.name) !== held) return;
		// The others need not see somebody who has left the room for that long.
		if (held.opened.people.self !== undefined) held.opened.setPresence(undefined);
		held.release = setTimeout(() => this.#closeRoom(held), RELEASE_AFTER_MS);
		unref(held.release);
	}

	#closeRoom(held: Held): void {
		clearTimeout(held.release);
		this.#rooms.delete(held.opened.name);
		if (held.handle === undefined) return;
		this.#engine
			?.close_room(held.handle)
			.then(undefined, (thrown: unknown) => held.opened.end(fromEngine(thrown)));
	}

	#forget(opened: Opened, handle: number): void {
		this.#byHandle.delete(handle);
		if (this.#rooms.get(opened.name)?.opened === opened) this.#rooms.delete(opened.name);
		if (this.#byHandle.size === 0) this.#setConnection(IDLE.connection);
	}

	#checkOpen(): void {
		if (this.#closing !== undefined) throw new HitherError("closed", "the client was closed");
	}
}

function checkName(name: string): void {
	const problem =
		typeof name !== "string" || name === ""
			? "a room needs a name"
			: wellFormed(name) !== name
				? "a room's name must be well-formed Unicode"
				: new TextEncoder().encode(name).length > MAX_ROOM_NAME_BYTES
					? `a room's name has at most ${MAX_ROOM_NAME_BYTES} bytes`
					: undefined;
	if (problem !== undefined) throw new HitherError("bad-option", problem);
}

/** The address as a WebSocket takes it. Relative ones are relative to the page. */
function relayUrl(url: string | URL): string {
	const base = typeof location === "undefined" ? undefined : location.href;
	let parsed: URL;
	try {
		parsed = new URL(url, base);
	} catch (cause) {
		throw new HitherError("bad-option", `url: "${url}" is no address of a relay; use wss://host/sync`, {
			cause,
		});
	}
	if (parsed.protocol === "http:") parsed.protocol = "ws:";
	if (parsed.protocol === "https:") parsed.protocol = "wss:";
	if (parsed.protocol !== "ws:" && parsed.protocol !== "wss:") {
		throw new HitherError(
			"bad-option",
			`url: a relay is reached by wss:// or ws://, not by ${parsed.protocol}//`,
		);
	}
	parsed.hash = "";
	return parsed.href;
}

/** A pending release must not keep a Node process alive. */
function unref(timer: unknown): void {
	if (typeof timer === "object" && timer !== null) (timer as { unref?: () => void }).unref?.();
}
