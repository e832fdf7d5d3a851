/**
 * One open room of the engine, shared by everybody who has opened it: the mirror, the milestones, the status, presence.
 *
 * ```text
 *   engine ──event──► changed here at once ──microtask──► listeners
 *   app ──change──► record, engine, mirror ──at once────► listeners
 * ```
 *
 * The app's code never runs inside an event of the engine: that would let it call back into the engine in the middle
 * of something. And whatever the engine has changed is here before the app's code runs next, so a draft always builds
 * on the document as the engine has it.
 */
import { record } from "./drafting.js";
import { EDIT_BYTES, type Engine } from "./engine.js";
import { fromEngine, HitherError, report } from "./error.js";
import { Rounds, type Undo, Watchers } from "./listeners.js";
import { Mirror } from "./mirror.js";
import { mergePeers, type Peer, presenceJson } from "./presence.js";
import { EditReceipt, Milestone, type Receipt } from "./receipt.js";
import { LOADING, mergeStatus, type RoomStatus, withEdit } from "./status.js";

const NOBODY = Object.freeze({ self: undefined, others: Object.freeze([]) });

export class Opened {
	readonly name: string;
	readonly watchers: Watchers = new Watchers();
	status: RoomStatus = LOADING;
	/** The same object until either changed. */
	people: { readonly self: unknown; readonly others: readonly Peer<unknown>[] } = NOBODY;

	readonly #mirror = new Mirror();
	readonly #saved = new Milestone();
	readonly #acked = new Milestone();
	readonly #errorListeners = new Set<(error: HitherError) => void>();
	readonly #rounds: Rounds;
	readonly #crashed: (error: HitherError) => void;
	readonly #abandon: () => void;
	#errors: HitherError[] = [];
	#engine: Engine | undefined;
	#handle = 0;
	#lastEdit = 0;
	#isRecording = false;
	#end: HitherError | undefined;
	#ready: { resolve: () => void; reject: (error: HitherError) => void } | undefined;
	readonly ready: Promise<void>;

	/** `crashed` hears when a call finds the engine dead, `abandon` when this room alone is of no more use. */
	constructor(name: string, crashed: (error: HitherError) => void, abandon: () => void) {
		this.name = name;
		this.#crashed = crashed;
		this.#abandon = abandon;
		this.#rounds = new Rounds(() => {
			this.watchers.tell();
			const errors = this.#errors;
			this.#errors = [];
			for (const error of errors) this.#tellError(error);
		});
		this.ready = new Promise((resolve, reject) => {
			this.#ready = { resolve, reject };
		});
		this.ready.catch(() => {
			// Whoever opens the room waits for it; when nobody does, nobody misses it.
		});
	}

	get state(): Readonly<Record<string, unknown>> {
		return this.#mirror.state;
	}

	/** @internal Where the room lives from now on. */
	attach(engine: Engine, handle: number): void {
		this.#engine = engine;
		this.#handle = handle;
	}

	change(edit: (draft: never) => unknown): Receipt {
		const engine = this.#usable();
		if (this.#isRecording) {
			throw new HitherError(
				"bad-draft",
				"change() inside a change() of the same room; use the draft that you have",
			);
		}
		// Before the first edit: what the room was opened with is there when the draft looks at it.
		if (this.#lastEdit === 0) engine.plant(this.#handle);
		let operations: Uint8Array | undefined;
		this.#isRecording = true;
		try {
			operations = record(this.#mirror, edit);
		} finally {
			this.#isRecording = false;
		}
		// Nothing to store is stored already, as soon as what was made before is.
		if (operations === undefined) return new EditReceipt(this.#lastEdit, this.#saved, this.#acked);
		let done: Uint8Array;
		try {
			done = engine.change(this.#handle, operations);
		} catch (thrown) {
			throw this.#thrown(thrown);
		}
		const number = new DataView(done.buffer, done.byteOffset).getFloat64(0, true);
		this.#lastEdit = number;
		this.#patch(done, EDIT_BYTES);
		if (number > 0) this.status = withEdit(this.status, Date.now());
		this.#rounds.now();
		return new EditReceipt(number, this.#saved, this.#acked);
	}

	setPresence(state: unknown): void {
		const engine = this.#usable();
		const json = presenceJson(state);
		try {
			engine.presence(this.#handle, json);
		} catch (thrown) {
			throw this.#thrown(thrown);
		}
		// A copy: what the app does to its object later was not sent.
		this.people = { self: json === undefined ? undefined : JSON.parse(json), others: this.people.others };
		this.#rounds.now();
	}

	/** Resolves when everything that was edited here is on the disk, or nothing more can be done for it. */
	settled(): Promise<void> {
		return this.#saved.of(this.#lastEdit).catch(() => {
			// The room ended first: whoever edits learns it from the receipt.
		});
	}

	onError(listener: (error: HitherError) => void): Undo {
		const entry = (error: HitherError) => listener(error);
		this.#errorListeners.add(entry);
		return () => {
			this.#errorListeners.delete(entry);
		};
	}

	/** An event of the engine. */
	handle(kind: string, payload: unknown): void {
		if (this.#end !== undefined) return;
		switch (kind) {
			case "ready":
				this.#patch(payload as Uint8Array);
				this.#ready?.resolve();
				break;
			case "patch":
				this.#patch(payload as Uint8Array);
				break;
			case "saved":
				this.#saved.pass(payload as number);
				break;
			case "acked":
				this.#acked.pass(payload as number);
				break;
			case "refused": {
				const { from, to, code, message } = payload as {
					from: number;
					to: number;
					code: number;
					message: string;
				};
				const error = new HitherError("refused", `the relay refused the edit: ${message} (${code})`);
				this.#acked.refuse(from, to, error);
				this.#errors.push(error);
				break;
			}
			case "status":
				this.status = mergeStatus(this.status, payload as RoomStatus);
				if (this.status.local.state === "absent") {
					this.#saved.end(
						new HitherError("no-storage", `nothing is stored here: ${this.status.local.cause}`),
					);
				}
				break;
			case "presence": {
				const others = mergePeers(this.people.others, (payload as { others: Peer<unknown>[] }).others);
				if (others !== this.people.others) this.people = { self: this.people.self, others };
				break;
			}
			case "error": {
				const { code, message } = payload as { code: string; message: string };
				this.#errors.push(new HitherError(code, message));
				break;
			}
			case "closed":
				this.end(new HitherError("closed", `the room "${this.name}" is closed`));
				break;
		}
		this.#rounds.soon();
	}

	/** Nothing more will come of this room. Its last state stays readable. */
	end(error: HitherError): void {
		if (this.#end !== undefined) return;
		this.#end = error;
		this.people = NOBODY;
		this.#ready?.reject(error);
		this.#saved.end(error);
		this.#acked.end(error);
		this.#rounds.soon();
	}

	/** Something went wrong that is no one call's fault. */
	fail(error: HitherError): void {
		this.#errors.push(error);
		this.#rounds.soon();
	}

	#usable(): Engine {
		if (this.#end !== undefined) throw this.#end;
		if (this.#engine === undefined)
			throw new HitherError("closed", `the room "${this.name}" is not open yet`);
		return this.#engine;
	}

	#thrown(thrown: unknown): HitherError {
		const error = fromEngine(thrown);
		if (error.code === "crashed") this.#crashed(error);
		return error;
	}

	#patch(packet: Uint8Array, offset?: number): void {
		try {
			this.#mirror.apply(packet, offset);
		} catch (thrown) {
			// The engine has the room as it is, this page no longer: what is edited here would go to wrong places.
			const error = fromEngine(thrown);
			this.fail(error);
			this.end(error);
			queueMicrotask(this.#abandon);
		}
	}

	#tellError(error: HitherError): void {
		if (this.#errorListeners.size === 0) console.error(`hither: room "${this.name}":`, error);
		for (const listener of [...this.#errorListeners]) {
			try {
				listener(error);
			} catch (thrown) {
				report(thrown);
			}
		}
	}
}
