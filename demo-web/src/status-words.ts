/** What the room's status means for the person in front of it: two lights and a sentence. */
import type { RoomStatus } from "hither";
import { counted } from "./counted.ts";

/** good: nothing to wait for · busy: on its way · waiting: will go on by itself · bad: somebody has to do something */
export type Tone = "good" | "busy" | "waiting" | "bad";

export interface Words {
	/** Stable while nothing happens: this is what a screen reader says. */
	readonly headline: string;
	readonly tone: Tone;
	readonly device: { readonly tone: Tone; readonly text: string };
	readonly relay: { readonly tone: Tone; readonly text: string };
	/** When the next attempt to connect is made (ms since 1970), if it is known. */
	readonly retryAt: number | null;
}

/** `status` as words. A light is green only for what is really stored there. */
export function wordsFor(status: RoomStatus): Words {
	const device = deviceWords(status.local);
	const relay = relayWords(status);
	const retryAt = status.connection.state === "waiting" ? status.connection.retryAt : null;
	return {
		headline: headline(device, relay, status),
		tone: worse(device.tone, relay.tone),
		device,
		relay,
		retryAt,
	};
}

function deviceWords(local: RoomStatus["local"]): Words["device"] {
	switch (local.state) {
		case "loading":
			return { tone: "busy", text: "loading" };
		case "saving":
			return { tone: "busy", text: "saving" };
		case "saved":
			return { tone: "good", text: "saved" };
		case "degraded":
		case "absent":
			return { tone: "bad", text: `cannot save: ${local.cause}` };
	}
}

function relayWords({ connection, server }: RoomStatus): Words["relay"] {
	if (server.state === "refused") return { tone: "bad", text: `refused a change: ${server.message}` };
	const unsent = server.state === "pending" ? counted(server.count, "change") : null;
	switch (connection.state) {
		case "online":
			return unsent ? { tone: "busy", text: `sending ${unsent}` } : { tone: "good", text: "saved" };
		case "connecting":
			return { tone: "busy", text: unsent ? `connecting, ${unsent} waiting` : "connecting" };
		case "waiting":
		case "offline":
			return { tone: "waiting", text: unsent ? `${unsent} waiting` : "not connected" };
		case "needs-auth":
		case "denied":
			return { tone: "bad", text: `no access: ${connection.reason}` };
		case "update-required":
			return { tone: "bad", text: "needs a newer version of this page" };
	}
}

function headline(
	device: Words["device"],
	relay: Words["relay"],
	{ connection, server }: RoomStatus,
): string {
	if (device.tone === "bad") return "Not saved on this device";
	if (relay.tone === "bad")
		return server.state === "refused" ? "A change was refused" : "No access to the relay";
	if (device.text === "loading") return "Loading";
	if (connection.state === "online") return server.state === "pending" ? "Sending" : "Saved on the relay";
	if (device.tone === "busy") return "Saving";
	if (connection.state === "offline") return "Offline, saved on this device";
	return connection.state === "waiting" ? "Waiting for the relay" : "Connecting";
}

function worse(a: Tone, b: Tone): Tone {
	const order: readonly Tone[] = ["good", "busy", "waiting", "bad"];
	return order.indexOf(a) > order.indexOf(b) ? a : b;
}
