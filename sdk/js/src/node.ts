/** Hither in Node (tests, scripts, server rendering): the engine comes from JavaScript, nothing is fetched. */
import { type Client, type ClientOptions, HitherClient, type LoadEngine } from "./client.js";
import { instantiate } from "./instance.js";
import { makeLoader } from "./load.js";
import { Engine } from "./wasm/hither.js";

export * from "./public.js";

const load: LoadEngine = makeLoader({
	glue: { init: instantiate, Engine },
	inlined: async () => (await import("./wasm/inlined.js")).bytes(),
});

/** As in a page, except that `url` must be complete, since there is no page that it could be relative to. */
export function createClient(options: ClientOptions = {}): Client {
	return new HitherClient(options, load);
}
