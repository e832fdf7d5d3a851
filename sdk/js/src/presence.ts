/** Who else is in a room, and what they show of themselves: cursors, names, selections. Never stored. */
import { isEqual } from "./equal.js";
import { HitherError } from "./error.js";
import type { Undo } from "./listeners.js";
import type { Json } from "./types.js";

/** Another connection to the room. One person with two tabs is two of them. */
export interface Peer<P> {
	readonly id: number;
	readonly state: P;
}

export interface Presence<P = Json> {
	/** What others see of this client; undefined until set. */
	readonly self: P | undefined;
	/** Everybody else who shows something. The same array until something changed. */
	readonly others: readonly Peer<P>[];
	/** Shows something to the others; undefined takes it back. Small: the relay takes 4 KiB of JSON. */
	set(state: P | undefined): void;
	/** Calls `listener` when `others` or `self` have changed. */
	subscribe(listener: () => void): Undo;
}

/** @internal The others after an event, in which every peer that says the same as before is the same object. */
export function mergePeers(
	before: readonly Peer<unknown>[],
	after: readonly Peer<unknown>[],
): readonly Peer<unknown>[] {
	const known = new Map(before.map((peer) => [peer.id, peer]));
	const merged = after.map((peer) => {
		const old = known.get(peer.id);
		return old !== undefined && isEqual(old.state, peer.state) ? old : Object.freeze(peer);
	});
	const isSame = merged.length === before.length && merged.every((peer, index) => peer === before[index]);
	return isSame ? before : Object.freeze(merged);
}

/** @internal What goes to the engine for a state. */
export function presenceJson(state: unknown): string | undefined {
	if (state === undefined) return undefined;
	let json: string | undefined;
	try {
		json = JSON.stringify(state);
	} catch (error) {
		throw new HitherError("bad-value", "presence must be JSON: no cycles, no bigints", { cause: error });
	}
	if (json === undefined)
		throw new HitherError("bad-value", "presence must be JSON, not a function or a symbol");
	return json;
}
