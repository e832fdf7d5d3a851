/** The shapes of what an app reads, writes and puts in. Types only. */
import type { DraftText, NewText, Text } from "./text.js";

/** What can stand in a room besides objects, arrays and texts. */
export type Scalar = null | boolean | number | string | Uint8Array;

/** The immutable side: what `room.state` is. */
export type State<T> = T extends Text
	? Text
	: T extends Scalar | undefined
		? T
		: T extends readonly (infer Item)[]
			? readonly State<Item>[]
			: T extends object
				? { readonly [Key in keyof T]: State<T[Key]> }
				: T;

/** The mutable side: what the function given to `room.change()` gets. */
export type Draft<T> = T extends Text
	? DraftText
	: T extends Scalar | undefined
		? T
		: T extends readonly (infer Item)[]
			? DraftList<Item>
			: T extends object
				? { -readonly [Key in keyof T]: Draft<T[Key]> }
				: T;

/** What may be put into a draft: new plain values, and parts of a draft, which are copied. */
export type Input<T> = T extends Text
	? NewText | DraftText
	: T extends Scalar | undefined
		? T
		: T extends readonly (infer Item)[]
			? readonly Input<Item>[]
			: T extends object
				? { readonly [Key in keyof T]: Input<T[Key]> }
				: T;

/** A shared list inside a draft: an array, without what would rewrite all of it (sort, reverse, fill). */
export interface DraftList<Item> extends ReadonlyArray<Draft<Item>> {
	[index: number]: Draft<Item>;
	/** May be set to something smaller, which removes the end. */
	length: number;
	push(...items: Input<Item>[]): number;
	unshift(...items: Input<Item>[]): number;
	/** What it returns can be read, changed and put somewhere else. */
	pop(): Draft<Item> | undefined;
	shift(): Draft<Item> | undefined;
	splice(start: number, deleteCount?: number, ...items: Input<Item>[]): Draft<Item>[];
	indexOf(item: Draft<Item> | State<Item>, fromIndex?: number): number;
	lastIndexOf(item: Draft<Item> | State<Item>, fromIndex?: number): number;
	includes(item: Draft<Item> | State<Item>, fromIndex?: number): boolean;
}

/** What presence can carry. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
