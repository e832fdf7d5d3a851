/** Runs an app's draft function over a mirror, and turns an app's initial content into bytes. */
import { copyIn, type NodeMaker, Session } from "./draft.js";
import { ListDraft } from "./draft-list.js";
import { MapDraft } from "./draft-map.js";
import { plainView } from "./draft-plain.js";
import { TextDraft } from "./draft-text.js";
import { HitherError } from "./error.js";
import { LongText } from "./long-text.js";
import type { Mirror } from "./mirror.js";
import { PacketWriter } from "./packet.js";

const maker: NodeMaker = {
	of(session, node) {
		if (node.kind === "map") return new MapDraft(session, node);
		if (node.kind === "list") return new ListDraft(session, node);
		return new TextDraft(session, node.text, node.id);
	},
	map: (session) => new MapDraft(session),
	list: (session) => new ListDraft(session),
	text: (session, content) => new TextDraft(session, new LongText(content)),
	plain: (_session, value, path) => plainView(value, path),
};

/** The operations that a draft function did, as one packet; undefined if it changed nothing. */
export function record(mirror: Mirror, edit: (draft: never) => unknown): Uint8Array | undefined {
	const session = new Session(maker);
	try {
		const result = edit(new MapDraft(session, mirror.root).facade as never);
		if (isThenable(result)) {
			// Its rejection would have no one to catch it.
			result.then(undefined, () => undefined);
			throw new HitherError(
				"bad-draft",
				"the function given to change() must not be async; await first, then change()",
			);
		}
		return session.packet();
	} finally {
		session.close();
	}
}

/** The initial content of a room: one map value, or nothing. */
export function encodeInitial(initial: unknown): Uint8Array {
	if (initial === undefined) return new Uint8Array();
	const session = new Session(maker);
	const root = copyIn(session, initial, () => "initial");
	if (!(root instanceof MapDraft))
		throw new HitherError("bad-value", "initial: the state of a room is an object");
	const writer = new PacketWriter();
	root.writeValue(writer);
	return writer.finish().slice();
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
	return typeof value === "object" && value !== null && typeof Reflect.get(value, "then") === "function";
}
