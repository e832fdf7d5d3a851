// The people of these tests: stock Yjs clients and Hither clients, both in this Node process.
import { isDeepStrictEqual } from "node:util";
import { WebsocketProvider as WebsocketProvider14 } from "@y/websocket";
import * as Y14 from "@y/y";
import { createClient } from "hither";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { tapped } from "./wire.mjs";

// Node 20 has none of its own; the engine uses the page's.
globalThis.WebSocket ??= WebSocket;

const leaving = new Set();

/** A stock client: yjs 13 and y-websocket as they come from npm. */
export function stock(relay, room, clientId) {
	return connected(relay, room, new Y.Doc(), WebsocketProvider, clientId);
}

/**
 * The same of yjs 14, which is called @y/y. It asks for Node 22, but only in its manifest: what these tests use of it
 * runs in Node 20.
 */
export function stock14(relay, room, clientId) {
	return connected(relay, room, new Y14.Doc(), WebsocketProvider14, clientId);
}

/**
 * `drops` collects how connections ended, `read.messages` counts what the relay said about the document, `wire` has all
 * that was said.
 */
function connected(relay, room, doc, Provider, clientId = doc.clientID) {
	doc.clientID = clientId;
	const { wire, Socket } = tapped();
	const provider = new Provider(`ws://127.0.0.1:${relay.port}/yjs`, room, doc, {
		WebSocketPolyfill: Socket,
		// Tabs of one browser would talk past the relay.
		disableBc: true,
	});
	const drops = [];
	provider.on("connection-close", (event) => drops.push(event));
	const read = { messages: 0 };
	const [handleSync] = provider.messageHandlers;
	provider.messageHandlers[0] = (...given) => {
		read.messages += 1;
		handleSync(...given);
	};
	leaving.add(() => {
		provider.destroy();
		doc.destroy();
	});
	return { doc, provider, awareness: provider.awareness, drops, read, wire };
}

/** A Hither client, as `npm install hither` gives it. */
export async function hither(relay, room, options) {
	const client = createClient({ url: `ws://127.0.0.1:${relay.port}/sync`, storage: "memory" });
	leaving.add(() => client.close());
	return { client, room: await client.open(room, options) };
}

/** Ends everybody who came since the last call. */
export async function everybodyLeaves() {
	for (const leave of leaving) await leave();
	leaving.clear();
}

/** Waits until `read` gives `expected`; fails with what it gave last. */
export async function eventually(read, expected, milliseconds = 60_000) {
	const deadline = Date.now() + milliseconds;
	for (;;) {
		const found = read();
		if (isDeepStrictEqual(found, expected)) return;
		if (Date.now() > deadline) {
			const shown = [found, expected].map((value) => JSON.stringify(value)?.slice(0, 2_000));
			throw new Error(`still ${shown[0]}, expected ${shown[1]}`);
		}
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
}
