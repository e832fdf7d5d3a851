/** How far edits have come, and the promises that ask for it. */
import type { HitherError } from "./error.js";

/**
 * What `room.change()` returns. Looking at a promise is free of duties: a rejection that nobody handles is silent,
 * because `room.status` tells it as well.
 */
export interface Receipt {
	/**
	 * Resolves when the edit is in this device's storage: it survives a crash of the tab. Rejects with the code
	 * `no-storage` where there is none.
	 */
	readonly local: Promise<void>;
	/** Resolves when the edit is durable on the relay. Rejects if the relay refuses it. */
	readonly server: Promise<void>;
}

interface Waiter {
	edit: number;
	resolve(): void;
	reject(error: HitherError): void;
}

/** One of the two milestones, for all edits of a room. Edits pass it in the order in which they were made. */
export class Milestone {
	#passed = 0;
	#refused: { from: number; to: number; error: HitherError }[] = [];
	#end: HitherError | undefined;
	/** By edit, ascending. */
	readonly #waiters: Waiter[] = [];

	/** A promise for one edit; made only when somebody asks. */
	of(edit: number): Promise<void> {
		const refusal = this.#refused.find(({ from, to }) => from <= edit && edit <= to);
		const error = refusal?.error ?? (edit <= this.#passed ? undefined : this.#end);
		const promise =
			error !== undefined
				? Promise.reject(error)
				: edit <= this.#passed
					? Promise.resolve()
					: new Promise<void>((resolve, reject) => this.#wait({ edit, resolve, reject }));
		promise.catch(() => {
			// See Receipt: the status tells it as well, so a promise that was only looked at must not end a process.
		});
		return promise;
	}

	/** Edits up to this one are through. */
	pass(edit: number): void {
		if (edit <= this.#passed) return;
		this.#passed = edit;
		const next = this.#waiters.findIndex((waiter) => waiter.edit > edit);
		const through = this.#waiters.splice(0, next < 0 ? this.#waiters.length : next);
		for (const waiter of through) waiter.resolve();
	}

	/** These edits will never get through. */
	refuse(from: number, to: number, error: HitherError): void {
		this.#refused.push({ from, to, error });
		for (const waiter of [...this.#waiters]) {
			if (waiter.edit < from || waiter.edit > to) continue;
			this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
			waiter.reject(error);
		}
	}

	/** Nothing more will be heard. */
	end(error: HitherError): void {
		this.#end ??= error;
		for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
	}

	#wait(waiter: Waiter): void {
		let at = this.#waiters.length;
		while (at > 0 && (this.#waiters[at - 1]?.edit ?? 0) > waiter.edit) at--;
		this.#waiters.splice(at, 0, waiter);
	}
}

/** The receipt of one edit. */
export class EditReceipt implements Receipt {
	readonly #edit: number;
	readonly #saved: Milestone;
	readonly #acked: Milestone;
	#local: Promise<void> | undefined;
	#server: Promise<void> | undefined;

	constructor(edit: number, saved: Milestone, acked: Milestone) {
		this.#edit = edit;
		this.#saved = saved;
		this.#acked = acked;
	}

	get local(): Promise<void> {
		this.#local ??= this.#saved.of(this.#edit);
		return this.#local;
	}

	get server(): Promise<void> {
		this.#server ??= this.#acked.of(this.#edit);
		return this.#server;
	}
}
