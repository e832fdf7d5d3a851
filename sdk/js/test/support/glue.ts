/** Stands in for the glue and for the inlined bytes, which exist after the build only. */
import { FakeEngine } from "./engine.js";

export { FakeEngine as Engine };

export async function bytes(): Promise<Uint8Array> {
	return new Uint8Array();
}

export function imports(): WebAssembly.Imports {
	return {};
}

export function finish(): void {
	// Nothing to start.
}
