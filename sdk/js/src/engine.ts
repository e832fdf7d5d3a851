/** The engine as this package sees it: the one class that the WebAssembly part exports. */

import type { ConnectionStatus } from "./status.js";

/** @internal */
export const EDIT_BYTES = 8;

/** @internal */
export interface EngineOptions {
	url: string;
	database?: string;
	name?: string;
	storage?: "indexeddb" | "memory";
	durability?: "relaxed" | "strict";
	connect?: boolean;
}

/**
 * @internal
 * What the engine tells, in order. Room -1 means that the engine itself has stopped: an `error`, its last word.
 *
 * | kind | payload |
 * |---|---|
 * | ready, patch | packet for the mirror; `ready` once, first, with the whole state |
 * | saved, acked | number of the newest edit that is on this disk, durable on the relay |
 * | refused | `{ from, to, code, message }`: these edits were not accepted by the relay |
 * | status | {@link import("./status.js").RoomStatus} |
 * | presence | `{ self, others: [{ id, state }] }` |
 * | error | `{ code, message }` |
 * | closed | nothing; the last word about a room |
 */
export type Sink = (room: number, kind: string, payload: unknown) => void;

/** @internal */
export interface Engine {
	/** Returns the room's handle; its events come later, when the caller has let go. */
	open(name: string, initial: Uint8Array): number;
	/** Plants the initial content of a room that is still empty. Waiting events come before this returns. */
	plant(room: number): void;
	/**
	 * Applies one packet of operations as one transaction; the packet is free again when this returns. Gives the number of
	 * the edit, {@link EDIT_BYTES} of a little-endian float, and behind it the patch. Throws an `Error` with a `code`.
	 */
	change(room: number, operations: Uint8Array): Uint8Array;
	presence(room: number, json: string | undefined): void;
	/** The way to the relay, as it is for the client. */
	connection(): ConnectionStatus;
	connect(): void;
	disconnect(): void;
	close_room(room: number): Promise<unknown>;
	close(): Promise<unknown>;
	free(): void;
}

/** @internal */
export type EngineClass = new (options: EngineOptions, sink: Sink) => Engine;
