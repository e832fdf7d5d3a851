/** Hither in a page: the engine is fetched, and inlined where that fails. */
import { type Client, type ClientOptions, HitherClient, type LoadEngine } from "./client.js";
import { instantiate } from "./instance.js";
import { makeLoader } from "./load.js";
import { Engine } from "./wasm/hither.js";

export * from "./public.js";

const load: LoadEngine = makeLoader({
	glue: { init: instantiate, Engine },
	url: new URL("./wasm/hither_bg.wasm", import.meta.url),
	inlined: async () => (await import("./wasm/inlined.js")).bytes(),
});

/**
 * A client. Nothing is loaded and nothing connects before the first `open()`, so this is safe at the top of a module and
 * on a server.
 */
export function createClient(options: ClientOptions = {}): Client {
	return new HitherClient(options, load);
}
