/** An engine without WebAssembly, disk or network. Tests say what happens: `engine.room("a").isSaved()`. */
import { HitherClient } from "../../src/client.js";
import { record } from "../../src/drafting.js";
import { EDIT_BYTES, type Engine, type EngineOptions, type Sink } from "../../src/engine.js";
import { Mirror } from "../../src/mirror.js";
import type { ConnectionStatus, RoomStatus } from "../../src/status.js";
import { FakeDocument } from "./document.js";

export const ONLINE: RoomStatus = {
	connection: { state: "online" },
	local: { state: "saved" },
	server: { state: "saved" },
};

/** How rooms behave when they are opened: loaded in a microtask, never, or not at all. */
type Opening = "loads" | "hangs" | "fails";

export class FakeEngine implements Engine {
	static opening: Opening = "loads";
	readonly rooms: FakeRoom[] = [];
	readonly calls: string[] = [];
	readonly options: EngineOptions;
	/** What the way to the relay is, if it is not what the last room says. */
	link: ConnectionStatus | undefined;
	#told: ConnectionStatus = { state: "connecting" };
	readonly #sink: Sink;

	constructor(options: EngineOptions, sink: Sink) {
		this.options = options;
		this.#sink = (room, kind, payload) => {
			if (kind === "status") this.#told = (payload as RoomStatus).connection;
			sink(room, kind, payload);
		};
		FakeEngine.latest = this;
	}

	static latest: FakeEngine;

	open(name: string, initial: Uint8Array): number {
		if (FakeEngine.opening === "fails") {
			throw Object.assign(new Error("the disk is gone"), { code: "disk" });
		}
		const handle = this.rooms.length + 1;
		const room = new FakeRoom(name, initial, (kind, payload) => this.#sink(handle, kind, payload));
		this.rooms.push(room);
		queueMicrotask(() => {
			if (FakeEngine.opening === "loads") {
				room.tell("ready", room.document.reset());
				room.tell("status", ONLINE);
			}
		});
		return handle;
	}

	room(name: string): FakeRoom {
		const room = this.rooms.findLast((candidate) => candidate.name === name);
		if (room === undefined) throw new Error(`room ${name} was never opened`);
		return room;
	}

	plant(room: number): void {
		this.#at(room).plant();
	}

	change(room: number, operations: Uint8Array): Uint8Array {
		return this.#at(room).change(operations);
	}

	presence(room: number, json: string | undefined): void {
		this.#at(room).presence.push(json);
	}

	connection(): ConnectionStatus {
		return this.link ?? this.#told;
	}

	connect(): void {
		this.calls.push("connect");
	}

	disconnect(): void {
		this.calls.push("disconnect");
	}

	async close_room(handle: number): Promise<void> {
		const room = this.#at(handle);
		room.isOpen = false;
		room.isSaved();
		room.tell("closed", undefined);
	}

	async close(): Promise<void> {
		this.calls.push("close");
		for (const [index, room] of this.rooms.entries()) if (room.isOpen) await this.close_room(index + 1);
	}

	free(): void {
		this.calls.push("free");
	}

	crash(): void {
		this.#sink(-1, "error", { code: "panic", message: "index out of bounds" });
	}

	#at(room: number): FakeRoom {
		const found = this.rooms[room - 1];
		if (found === undefined) throw new Error(`no room ${room}`);
		return found;
	}
}

export class FakeRoom {
	readonly name: string;
	readonly tell: (kind: string, payload: unknown) => void;
	readonly document: FakeDocument = new FakeDocument();
	readonly presence: (string | undefined)[] = [];
	readonly packets: Uint8Array[] = [];
	isOpen = true;
	edits = 0;
	refusal: Error | undefined;
	/** What is planted before the first edit. */
	// biome-ignore lint/suspicious/noExplicitAny: a draft of whatever the test keeps in the room
	seed: ((draft: any) => unknown) | undefined;

	constructor(name: string, initial: Uint8Array, tell: (kind: string, payload: unknown) => void) {
		this.name = name;
		this.tell = tell;
		this.document.fill(initial);
	}

	change(operations: Uint8Array): Uint8Array {
		if (this.refusal !== undefined) throw this.refusal;
		this.packets.push(operations.slice());
		this.edits += 1;
		const patch = this.document.change(operations);
		const answer = new Uint8Array(EDIT_BYTES + patch.length);
		new DataView(answer.buffer).setFloat64(0, this.edits, true);
		answer.set(patch, EDIT_BYTES);
		return answer;
	}

	plant(): void {
		if (this.seed !== undefined) this.remote(this.seed);
		this.seed = undefined;
	}

	/** Somebody else edits. */
	// biome-ignore lint/suspicious/noExplicitAny: a draft of whatever the test keeps in the room
	remote(edit: (draft: any) => unknown): void {
		const mirror = new Mirror();
		mirror.apply(this.document.reset());
		const operations = record(mirror, edit);
		if (operations !== undefined) this.tell("patch", this.document.change(operations));
	}

	isSaved(edit: number = this.edits): void {
		this.tell("saved", edit);
	}

	isAcked(edit: number = this.edits): void {
		this.tell("acked", edit);
	}

	refuses(from: number, to: number): void {
		this.tell("refused", { from, to, code: 4403, message: "read only" });
	}
}

/** A client on a new fake engine. */
export function fakeClient(options: ConstructorParameters<typeof HitherClient>[0] = {}): HitherClient {
	FakeEngine.opening = "loads";
	return new HitherClient({ url: "ws://relay.test/sync", ...options }, async () => FakeEngine);
}

/** Lets every microtask run. */
export function turn(): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve));
}
