import { afterEach, describe, expect, test, vi } from "vitest";
import { makeLoader, type Sources } from "../src/load.js";
import { FakeEngine } from "./support/engine.js";

const url = new URL("https://cdn.test/hither_bg.wasm");
const bytes = new Uint8Array([0, 97, 115, 109]);

function answer(status: number, type: string): () => Promise<Response> {
	return async () => new Response("body", { status, headers: { "content-type": type } });
}

/** A loader, and what the glue was initialised with, in order. */
function loader(options: {
	fetch?: () => Promise<Response>;
	fails?: number;
	inlined?: () => Promise<BufferSource>;
}) {
	let failures = options.fails ?? 0;
	const inits: string[] = [];
	const fetched = vi.fn(options.fetch ?? answer(200, "application/wasm"));
	vi.stubGlobal("fetch", fetched);
	const sources: Sources = {
		glue: {
			async init(source) {
				inits.push(source instanceof Response ? "response" : source === bytes ? "inlined" : "given");
				if (failures-- > 0) throw new Error("CompileError");
			},
			Engine: FakeEngine,
		},
		url,
		inlined: options.inlined ?? (async () => bytes),
	};
	return { load: makeLoader(sources), sources, inits, fetched };
}

afterEach(() => vi.unstubAllGlobals());

describe("the loader", () => {
	test("fetches the file beside the package, once for all", async () => {
		const { load, inits, fetched } = loader({});
		expect(await load(undefined)).toBe(FakeEngine);
		await Promise.all([load(undefined), load(undefined)]);
		expect(inits).toEqual(["response"]);
		expect(fetched).toHaveBeenCalledTimes(1);
	});

	test.each<[string, () => Promise<Response>]>([
		["is not there", answer(404, "text/plain")],
		["is a page of HTML", answer(200, "text/html; charset=utf-8")],
		["cannot be reached", () => Promise.reject(new TypeError("Failed to fetch"))],
	])("takes the inlined bytes if the file %s", async (_what, fetch) => {
		const { load, inits } = loader({ fetch });
		await load(undefined);
		expect(inits).toEqual(["inlined"]);
	});

	test("takes the inlined bytes if the file does not compile", async () => {
		const { load, inits } = loader({ fails: 1 });
		await load(undefined);
		expect(inits).toEqual(["response", "inlined"]);
	});

	test("tries twice, then says so, and does not remember the failure", async () => {
		const { load, inits } = loader({ fails: 4 });
		await expect(load(undefined)).rejects.toMatchObject({ code: "load-failed", message: /CompileError/ });
		expect(inits).toEqual(["response", "inlined", "response", "inlined"]);
		expect(await load(undefined)).toBe(FakeEngine);
	});

	test("without an address takes the inlined bytes and fetches nothing", async () => {
		const { sources, inits, fetched } = loader({});
		await makeLoader({ glue: sources.glue, inlined: sources.inlined })(undefined);
		expect(inits).toEqual(["inlined"]);
		expect(fetched).not.toHaveBeenCalled();
	});

	test("takes an address or bytes of the app's own", async () => {
		const first = loader({});
		await first.load("https://app.test/own.wasm");
		expect(first.fetched).toHaveBeenCalledWith("https://app.test/own.wasm");
		const second = loader({});
		await second.load(new Uint8Array());
		expect(second.inits).toEqual(["given"]);
		expect(second.fetched).not.toHaveBeenCalled();
	});
});
