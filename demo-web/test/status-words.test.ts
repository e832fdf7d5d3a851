import type { RoomStatus } from "hither";
import { expect, test } from "vitest";
import { wordsFor } from "../src/status-words.ts";

const online = { state: "online" } as const;
const saved = { state: "saved" } as const;
const pending = { state: "pending", count: 3, oldestAt: 0 } as const;

const statuses: [name: string, status: RoomStatus, headline: string, tone: string][] = [
	["all is stored", { connection: online, local: saved, server: saved }, "Saved on the relay", "good"],
	["edits are on their way", { connection: online, local: saved, server: pending }, "Sending", "busy"],
	[
		"the connection is switched off",
		{ connection: { state: "offline", reason: "" }, local: saved, server: pending },
		"Offline, saved on this device",
		"waiting",
	],
	[
		"the relay is away",
		{ connection: { state: "waiting", retryAt: 5, reason: "" }, local: saved, server: saved },
		"Waiting for the relay",
		"waiting",
	],
	[
		"the disk refuses, although the relay has everything",
		{ connection: online, local: { state: "degraded", cause: "quota" }, server: saved },
		"Not saved on this device",
		"bad",
	],
	[
		"the relay refuses",
		{ connection: online, local: saved, server: { state: "refused", code: 1, message: "read-only" } },
		"A change was refused",
		"bad",
	],
	[
		"the copy is being loaded",
		{ connection: online, local: { state: "loading" }, server: saved },
		"Loading",
		"busy",
	],
	[
		"nobody let us in",
		{ connection: { state: "denied", reason: "no" }, local: saved, server: pending },
		"No access to the relay",
		"bad",
	],
];

for (const [name, status, headline, tone] of statuses) {
	test(`the light when ${name}: ${headline}`, () => {
		const words = wordsFor(status);
		expect(words.headline).toBe(headline);
		expect(words.tone).toBe(tone);
	});
}

test("the relay's light is green only while connected with nothing waiting", () => {
	for (const [, status] of statuses) {
		const isStored = status.connection.state === "online" && status.server.state === "saved";
		expect(wordsFor(status).relay.tone === "good").toBe(isStored);
	}
});

test("the time of the next attempt is shown while one is waited for, and only then", () => {
	expect(statuses.map(([, status]) => wordsFor(status).retryAt).filter((at) => at !== null)).toEqual([5]);
});
