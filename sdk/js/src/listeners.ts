/**
 * Who wants to know, and when they are told.
 *
 * What a listener sees is always the present: state is changed first and told afterwards. A listener that causes a
 * change is not interrupted by it: the round at work ends, then the next one begins, and who has already seen the newest
 * is left out of it. A listener that throws is reported and keeps nobody else waiting.
 */
import { HitherError, report } from "./error.js";

/** Undoes a subscription; may be called twice. */
export type Undo = () => void;

/** How often listeners may change what they listen to before that is called a loop. */
const MAX_ROUNDS = 100;

/** Values that are watched: each watcher is told when its own selection has changed. */
export class Watchers {
	readonly #watchers = new Set<() => void>();

	/** Calls `tell` with the newest value whenever `read` gives another than before. */
	add<Value>(
		read: () => Value,
		tell: (value: Value, previous: Value) => void,
		equals: (one: Value, other: Value) => boolean = Object.is,
	): Undo {
		let last = read();
		const watcher = () => {
			const value = read();
			if (equals(last, value)) return;
			const previous = last;
			last = value;
			tell(value, previous);
		};
		this.#watchers.add(watcher);
		return () => {
			this.#watchers.delete(watcher);
		};
	}

	/** Tells everybody once. Who is added meanwhile waits, who is removed meanwhile is not told. */
	tell(): void {
		for (const watcher of [...this.#watchers]) {
			if (!this.#watchers.has(watcher)) continue;
			try {
				watcher();
			} catch (error) {
				report(error);
			}
		}
	}
}

/** Runs rounds of telling, one after the other, never one inside another. */
export class Rounds {
	readonly #tell: () => void;
	#isDue = false;
	#isRunning = false;
	#isScheduled = false;

	constructor(tell: () => void) {
		this.#tell = tell;
	}

	/** Tells now; from inside a round, after that round. */
	now(): void {
		this.#isDue = true;
		if (this.#isRunning) return;
		this.#isRunning = true;
		let rounds = 0;
		while (this.#isDue && rounds < MAX_ROUNDS) {
			this.#isDue = false;
			rounds += 1;
			this.#tell();
		}
		this.#isRunning = false;
		if (!this.#isDue) return;
		report(
			new HitherError("bad-edit", `subscribers changed what they listen to ${MAX_ROUNDS} times in a row`),
		);
		// Not given up, but the page gets to breathe.
		setTimeout(() => this.now());
	}

	/** Tells in a microtask, once for everything that has happened until then. */
	soon(): void {
		this.#isDue = true;
		if (this.#isScheduled || this.#isRunning) return;
		this.#isScheduled = true;
		queueMicrotask(() => {
			this.#isScheduled = false;
			if (this.#isDue) this.now();
		});
	}
}
