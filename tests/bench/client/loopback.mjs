// A relay inside this process, behind a WebSocket that is none: what is measured is the client alone.
//
// It welcomes, joins, acknowledges what was pushed in the turn before, and passes on the updates that it is given. It
// keeps nothing but counts.

const HELLO = 0x01;
const JOIN = 0x02;
const PUSH = 0x04;
const FRAGMENT = 0x22;
const WELCOME = 0x41;
const JOINED = 0x42;
const SNAPSHOT = 0x43;
const UPDATE = 0x44;
const ACK = 0x45;
const CHANNEL = 1;
/** Longer bodies travel in fragments. */
const MAX_BODY_BYTES = 65_536;

/** The relay of the next socket. */
let relay;

/** Installs itself as the WebSocket of this process. */
export class Loopback {
	/** Updates that were pushed, and their bytes. */
	pushed = 0;
	bytes = 0;
	#seq = 0;
	#acknowledged = 0;
	#snapshot;
	#socket;
	#fragments = [];

	/** `snapshot` is an update that the room begins with. */
	constructor(snapshot) {
		this.#snapshot = snapshot;
		this.#seq = snapshot === undefined ? 0 : 1;
		relay = this;
		globalThis.WebSocket = LoopbackSocket;
	}

	/** Somebody else's update reaches the client: one message, in this turn. */
	deliver(update) {
		this.#seq += 1;
		this.#say([UPDATE, ...varuint(CHANNEL), ...varuint(this.#seq)], update);
	}

	/** @internal */
	attach(socket) {
		this.#socket = socket;
	}

	/** @internal A message of the client. */
	hear(message) {
		for (let at = 0; at < message.length; ) {
			const [length, start] = readVaruint(message, at);
			this.#frame(message.subarray(start, start + length));
			at = start + length;
		}
	}

	#frame(body) {
		switch (body[0]) {
			case HELLO:
				this.#say([
					WELCOME,
					1,
					...varuint(30_000),
					...varuint(8 << 20),
					...varuint(4_096),
					...varuint(1_000),
				]);
				break;
			case JOIN: {
				const [length, start] = readVaruint(body, 1);
				const room = body.subarray(start, start + length);
				const epoch = new Array(16).fill(7);
				const replays = this.#snapshot === undefined ? 0 : 1;
				this.#say([JOINED, length, ...room, CHANNEL, 1, 1, ...epoch, ...varuint(this.#seq), replays]);
				if (this.#snapshot !== undefined) this.#say([SNAPSHOT, CHANNEL, 1], this.#snapshot);
				break;
			}
			case PUSH: {
				const [n, start] = readVaruint(body, readVaruint(body, 1)[1]);
				this.pushed = n;
				this.bytes += body.length - start;
				if (this.#acknowledged === n - 1) setImmediate(() => this.#acknowledge());
				break;
			}
			case FRAGMENT: {
				const [total, start] = readVaruint(body, 1);
				this.#fragments.push(body.slice(start));
				if (this.#fragments.reduce((sum, { length }) => sum + length, 0) < total) break;
				const whole = Buffer.concat(this.#fragments);
				this.#fragments = [];
				this.#frame(whole);
				break;
			}
		}
	}

	#acknowledge() {
		this.#seq += this.pushed - this.#acknowledged;
		this.#acknowledged = this.pushed;
		this.#say([ACK, CHANNEL, ...varuint(this.pushed), ...varuint(this.#seq)]);
	}

	#say(head, tail = new Uint8Array()) {
		const body = joined(head, tail);
		if (body.length <= MAX_BODY_BYTES) return this.#send(body);
		for (let at = 0; at < body.length; at += MAX_BODY_BYTES - 16) {
			const chunk = body.subarray(at, at + MAX_BODY_BYTES - 16);
			this.#send(joined([FRAGMENT, ...varuint(body.length)], chunk));
		}
	}

	#send(body) {
		this.#socket.tell("message", { data: joined(varuint(body.length), body).buffer });
	}
}

/** The surface of a WebSocket that a client touches. */
class LoopbackSocket {
	binaryType = "blob";
	protocol = "hither.v1";
	readyState = 0;
	#relay = relay;
	#listeners = new Map();

	constructor(url) {
		this.url = String(url);
		this.#relay.attach(this);
		setImmediate(() => {
			this.readyState = 1;
			this.tell("open", {});
		});
	}

	addEventListener(type, listener) {
		this.#listeners.set(type, listener);
	}

	removeEventListener(type) {
		this.#listeners.delete(type);
	}

	dispatchEvent() {
		return true;
	}

	send(message) {
		// The engine's memory is used again as soon as this returns.
		this.#relay.hear(message);
	}

	close() {
		if (this.readyState === 3) return;
		this.readyState = 3;
		setImmediate(() => this.tell("close", { code: 1000, reason: "", wasClean: true }));
	}

	/** @internal */
	tell(type, event) {
		this.#listeners.get(type)?.(event);
	}
}

function joined(head, tail) {
	const both = new Uint8Array(head.length + tail.length);
	both.set(head);
	both.set(tail, head.length);
	return both;
}

function varuint(value) {
	const bytes = [];
	for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
	bytes.push(value);
	return bytes;
}

/** The number at `at`, and where it ends. */
function readVaruint(bytes, at) {
	let value = 0;
	for (let factor = 1; ; factor *= 0x80) {
		const byte = bytes[at++];
		value += (byte & 0x7f) * factor;
		if (byte < 0x80) return [value, at];
	}
}
