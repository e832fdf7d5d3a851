// What went over a stock client's wire, kept so that a disagreement can be traced to who said what to whom.
import { WebSocket } from "ws";
import * as Y from "yjs";

/** A kind of WebSocket for one client, and all that its sockets carry: { said, heard }, messages in order. */
export function tapped() {
	const wire = { said: [], heard: [] };
	class Tapped extends WebSocket {
		constructor(...given) {
			super(...given);
			this.on("message", (message) => wire.heard.push(new Uint8Array(message)));
		}
		send(message, ...more) {
			if (this.readyState === WebSocket.OPEN) wire.said.push(new Uint8Array(message));
			super.send(message, ...more);
		}
	}
	return { wire, Socket: Tapped };
}

/** For each message that deletes anything, the ids, as `client:clock`. */
export function deletionsIn(messages) {
	return messages.flatMap((message) => {
		const update = updateIn(message);
		if (!update) return [];
		const ids = [...Y.decodeUpdate(update).ds.clients].flatMap(([client, ranges]) =>
			ranges.flatMap(({ clock, len }) => Array.from({ length: len }, (_, at) => `${client}:${clock + at}`)),
		);
		return ids.length > 0 ? [ids] : [];
	});
}

const SYNC = 0;
const STEP1 = 0;

/** The update of a step 2 or an update message; its length stands before it. */
function updateIn(message) {
	if (message[0] !== SYNC || message[1] === STEP1) return undefined;
	let at = 2;
	while (message[at] & 0x80) at++;
	return message.subarray(at + 1);
}
