/**
 * Gets the engine into the page, once.
 *
 * The WebAssembly file beside this package is fetched, which every bundler understands in one way or another; where the
 * address leads to nothing (some development servers answer with a page of HTML) the bytes come from a chunk of
 * JavaScript that is loaded only then.
 */
import type { LoadEngine } from "./client.js";
import type { EngineClass } from "./engine.js";
import { HitherError } from "./error.js";

/** What the WebAssembly part is made of. */
export type Source = Response | BufferSource | WebAssembly.Module;

/** What instantiates it, and the engine that then works. */
export interface Glue {
	init(source: Source): Promise<unknown>;
	Engine: EngineClass;
}

export interface Sources {
	readonly glue: Glue;
	/** The address of the WebAssembly file; absent where nothing can be fetched. */
	readonly url?: URL;
	/** The same bytes from JavaScript. */
	inlined(): Promise<BufferSource>;
}

/** Loads at most once, tries twice, and forgets failures. */
export function makeLoader({ glue, url, inlined }: Sources): LoadEngine {
	let loading: Promise<EngineClass> | undefined;

	async function attempt(wasm: Parameters<LoadEngine>[0]): Promise<EngineClass> {
		if (wasm !== undefined) {
			const isAddress = typeof wasm === "string" || wasm instanceof URL;
			await glue.init(isAddress ? await fetchWasm(wasm) : wasm);
		} else if (url === undefined) {
			await glue.init(await inlined());
		} else {
			try {
				await glue.init(await fetchWasm(url));
			} catch {
				// Whatever it was (no such file, HTML, another version's file): the inlined bytes do not depend on it.
				await glue.init(await inlined());
			}
		}
		return glue.Engine;
	}

	return (wasm) => {
		loading ??= attempt(wasm)
			.catch(() => attempt(wasm))
			.catch((cause: unknown) => {
				loading = undefined;
				const why = cause instanceof Error ? cause.message : String(cause);
				throw new HitherError("load-failed", `the engine could not be loaded: ${why}`, { cause });
			});
		return loading;
	};
}

async function fetchWasm(url: string | URL): Promise<Response> {
	const response = await fetch(url);
	const type = response.headers.get("content-type") ?? "";
	if (!response.ok) throw new Error(`${url} answers ${response.status}`);
	if (!type.startsWith("application/wasm")) throw new Error(`${url} is "${type}", not application/wasm`);
	return response;
}
