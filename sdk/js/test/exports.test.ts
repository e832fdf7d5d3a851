/** The whole public surface. A name that appears here is a promise: think before adding one. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as browser from "../src/index.js";
import * as node from "../src/node.js";
import * as react from "../src/react/index.js";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

describe("the package exports", () => {
	test("these values", () => {
		expect(Object.keys(browser).sort()).toEqual(["HitherError", "createClient", "isHitherError", "text"]);
		expect(Object.keys(node).sort()).toEqual(Object.keys(browser).sort());
		expect(Object.keys(react).sort()).toEqual([
			"HitherProvider",
			"useClient",
			"useClientStatus",
			"usePresence",
			"useRoom",
			"useShared",
			"useStatus",
		]);
	});

	test("these types", () => {
		const types = [...read("../src/public.ts").matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(
			([, isType, names]) =>
				(names ?? "")
					.split(",")
					.map((name) => name.trim())
					.filter((name) => isType !== undefined || name.startsWith("type "))
					.map((name) => name.replace("type ", "")),
		);
		expect(types.sort()).toEqual([
			"Client",
			"ClientOptions",
			"ClientStatus",
			"ConnectionStatus",
			"Draft",
			"DraftList",
			"DraftText",
			"HitherErrorCode",
			"Input",
			"Json",
			"LocalStatus",
			"NewText",
			"OpenOptions",
			"Peer",
			"Presence",
			"Receipt",
			"Room",
			"RoomStatus",
			"Scalar",
			"ServerStatus",
			"State",
			"Text",
			"Undo",
		]);
	});

	test("these entries, and no dependencies", () => {
		const manifest = JSON.parse(read("../package.json"));
		expect(Object.keys(manifest.exports)).toEqual([".", "./react", "./wasm", "./package.json"]);
		expect(manifest.dependencies).toBeUndefined();
		for (const version of Object.values(manifest.devDependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
	});

	test("a client that can be made where nothing else exists", () => {
		const client = browser.createClient();
		expect(client.status).toEqual({ connection: { state: "offline", reason: "no room is open" } });
	});
});
