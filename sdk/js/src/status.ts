/** The truth about a room: the way to the relay, the copy on this device, the copy on the relay. */
import { isEqual } from "./equal.js";

/** The way to the relay, of a client or one of its rooms: the relay may refuse one of them. Reasons are words for people. */
export type ConnectionStatus =
	| { readonly state: "connecting" }
	| { readonly state: "online" }
	/** The next attempt comes at `retryAt`, in milliseconds as `Date.now()` counts them. */
	| { readonly state: "waiting"; readonly retryAt: number; readonly reason: string }
	/** Not trying. */
	| { readonly state: "offline"; readonly reason: string }
	| { readonly state: "needs-auth"; readonly reason: string }
	| { readonly state: "denied"; readonly reason: string }
	/** The relay no longer speaks this version of the package. */
	| { readonly state: "update-required"; readonly reason: string };

/** The copy on this device. */
export type LocalStatus =
	| { readonly state: "loading" }
	| { readonly state: "saved" }
	| { readonly state: "saving" }
	/** The disk does not take it: everything is kept in memory and tried again. */
	| { readonly state: "degraded"; readonly cause: string }
	/** There is none: `storage` is "memory", the page has no database, or a newer version of this package wrote it. */
	| { readonly state: "absent"; readonly cause: string };

/** The copy on the relay. */
export type ServerStatus =
	/** Every edit made on this device is durable there. */
	| { readonly state: "saved" }
	/** `count` edits are not, the oldest made at `oldestAt` (as `Date.now()` counts). */
	| { readonly state: "pending"; readonly count: number; readonly oldestAt: number }
	/** The relay does not accept what this client writes; it stays on this device. */
	| { readonly state: "refused"; readonly code: number; readonly message: string };

export interface RoomStatus {
	readonly connection: ConnectionStatus;
	readonly local: LocalStatus;
	readonly server: ServerStatus;
}

export interface ClientStatus {
	readonly connection: ConnectionStatus;
}

/** What is known before the engine has said anything. */
export const LOADING: RoomStatus = Object.freeze({
	connection: Object.freeze({ state: "connecting" }),
	local: Object.freeze({ state: "loading" }),
	server: Object.freeze({ state: "saved" }),
});

/** The newer status, in which every part that says the same as before is the same object as before. */
export function mergeStatus(before: RoomStatus, after: RoomStatus): RoomStatus {
	const connection = keep(before.connection, after.connection);
	const local = keep(before.local, after.local);
	const server = keep(before.server, after.server);
	const isSame = connection === before.connection && local === before.local && server === before.server;
	return isSame ? before : Object.freeze({ connection, local, server });
}

/** The status from the moment of an edit on: the engine says the same, with the count of all, as soon as it may speak. */
export function withEdit(before: RoomStatus, now: number): RoomStatus {
	const { connection, local, server } = before;
	return mergeStatus(before, {
		connection,
		local: local.state === "saved" ? { state: "saving" } : local,
		server: server.state === "saved" ? { state: "pending", count: 1, oldestAt: now } : server,
	});
}

/** @internal */
export function keep<Part>(before: Part, after: Part): Part {
	return isEqual(before, after) ? before : Object.freeze(after);
}
