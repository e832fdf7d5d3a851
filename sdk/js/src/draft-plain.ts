/** A read-only view of plain JSON in the state: another Yjs client stored it as one value, which is replaced as a whole. */

import { errorAt, type Path } from "./draft.js";
import type { HitherError } from "./error.js";

class PlainView implements ProxyHandler<object> {
	readonly #value: object;
	readonly #path: Path;

	constructor(value: object, path: Path) {
		this.#value = value;
		this.#path = path;
	}

	get(_target: object, key: string | symbol): unknown {
		const item: unknown = Reflect.get(this.#value, key);
		if (typeof item !== "object" || item === null) return item;
		if (item instanceof Uint8Array) return new Uint8Array(item);
		return plainView(item, () => `${this.#path()}[${JSON.stringify(String(key))}]`);
	}

	has(_target: object, key: string | symbol): boolean {
		return Reflect.has(this.#value, key);
	}

	ownKeys(): (string | symbol)[] {
		return Reflect.ownKeys(this.#value);
	}

	getOwnPropertyDescriptor(target: object, key: string | symbol): PropertyDescriptor | undefined {
		const found = Reflect.getOwnPropertyDescriptor(this.#value, key);
		if (found === undefined) return undefined;
		// The target's own length is the one property that a proxy of an array must not call configurable.
		const isLength = Array.isArray(target) && key === "length";
		return { ...found, value: this.get(target, key), writable: true, configurable: !isLength };
	}

	set(): never {
		throw this.#refusal();
	}

	defineProperty(): never {
		throw this.#refusal();
	}

	deleteProperty(): never {
		throw this.#refusal();
	}

	#refusal(): HitherError {
		return errorAt(
			"bad-edit",
			this.#path(),
			"another client stored this as one plain value, which cannot be edited inside; assign a new value to it",
		);
	}
}

export function plainView(value: object, path: Path): object {
	return new Proxy(Array.isArray(value) ? [] : {}, new PlainView(value, path));
}
