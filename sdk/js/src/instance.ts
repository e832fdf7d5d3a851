/** The one WebAssembly instance of a page. */
import type { Source } from "./load.js";
import { finish, imports } from "./wasm/hither.js";

export async function instantiate(source: Source): Promise<void> {
	finish(await instanceOf(source));
}

async function instanceOf(source: Source): Promise<WebAssembly.Instance> {
	const isResponse = source instanceof Response;
	if (isResponse && typeof WebAssembly.instantiateStreaming === "function")
		return (await WebAssembly.instantiateStreaming(source, imports())).instance;
	const code = isResponse ? await source.arrayBuffer() : source;
	// Of a module it makes an instance, of bytes both.
	const made: WebAssembly.Instance | WebAssembly.WebAssemblyInstantiatedSource =
		await WebAssembly.instantiate(code as BufferSource, imports());
	return "instance" in made ? made.instance : made;
}
