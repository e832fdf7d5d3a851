/**
 * What goes wrong, in words and with a code that programs can rely on.
 *
 * Two copies of this package may be on one page, so nothing asks `instanceof`: use {@link isHitherError}.
 */

/**
 * - `bad-value`: something that cannot be stored (a Date, a function, a cycle…); the message says where
 * - `bad-edit`: an edit that makes no sense there (an index past the end, `sort()` on a shared list…)
 * - `bad-draft`: a draft used after its `change()` ended, an async draft function, a `change()` inside another
 * - `bad-option`: an option or a room name that cannot work
 * - `closed`: the room or the client was closed before
 * - `refused`: the relay does not accept the edit
 * - `no-storage`: nothing is stored on this device, which a receipt's `local` asked for
 * - `load-failed`: the engine (WebAssembly) could not be loaded
 * - `bad-packet`: the page and its engine disagree about a room; open it again, everything is there
 * - `crashed`: the engine stopped; reload the page, everything that was saved is there
 *
 * The engine and the relay add codes of their own, so treat this list as open.
 */
export type HitherErrorCode =
	| "bad-value"
	| "bad-edit"
	| "bad-draft"
	| "bad-option"
	| "closed"
	| "refused"
	| "no-storage"
	| "load-failed"
	| "bad-packet"
	| "crashed"
	| (string & {});

/** Every error that this package throws or rejects with. */
export class HitherError extends Error {
	override readonly name = "HitherError";
	/** Stable; the message is for people and may change. */
	readonly code: HitherErrorCode;

	constructor(code: HitherErrorCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.code = code;
	}
}

/** Whether an error comes from Hither, whichever copy of the package threw it. */
export function isHitherError(error: unknown): error is HitherError {
	return (
		error instanceof Error && error.name === "HitherError" && typeof Reflect.get(error, "code") === "string"
	);
}

/** @internal An error of the engine, which is a plain `Error` with a `code`, or whatever else it threw. */
export function fromEngine(thrown: unknown): HitherError {
	if (isHitherError(thrown)) return thrown;
	if (thrown instanceof Error) {
		const code: unknown = Reflect.get(thrown, "code");
		if (typeof code === "string" && code !== "panic") {
			return new HitherError(code, thrown.message, { cause: thrown });
		}
	}
	return crash(thrown);
}

/** @internal The engine has stopped for good. A Rust panic is a WebAssembly.RuntimeError that says only "unreachable". */
export function crash(cause: unknown): HitherError {
	const message =
		"the engine stopped and this page can no longer edit; reload it: what was saved is on the disk";
	return new HitherError("crashed", message, { cause });
}

/** @internal Hands an error of the app's own code to the page, as an event handler's would be. */
export function report(error: unknown): void {
	if (typeof reportError === "function") reportError(error);
	else
		queueMicrotask(() => {
			throw error;
		});
}
