/**
 * Collaborative text: strings that several people edit by the character.
 *
 * In `room.state` a text is a plain string. Which strings are texts is decided where they are born:
 * `text("…")` in `initial` or in a draft makes one, a bare string is replaced as a whole.
 */

declare const brand: unique symbol;

/** A string of the state that people edit together. Make one with {@link text}. */
export type Text = string & { readonly [brand]: "text" };

/** A text inside a draft. All positions and lengths count UTF-16 units, as JavaScript strings do. */
export interface DraftText {
	readonly length: number;
	insert(index: number, content: string): void;
	delete(index: number, count: number): void;
	replace(index: number, count: number, content: string): void;
	append(content: string): void;
	/** Makes it read `content` by changing only what differs between the common beginning and end. */
	set(content: string): void;
	toString(): string;
}

/** What {@link text} gives: fits wherever a text is wanted, in `initial` and in a draft. */
export type NewText = Text & DraftText;

// From the registry, so that a marker made by another copy of the package is one too.
const CONTENT = Symbol.for("hither.text");

/**
 * A new collaborative text, to be put into `initial` or into a draft.
 *
 * ```ts
 * const room = await client.open("note", { initial: { title: "Untitled", body: text("") } });
 * room.change((d) => d.body.append("Hello"));
 * ```
 */
export function text(content: string = ""): NewText {
	const marker = {
		[CONTENT]: String(content),
		toString: () => String(content),
		toJSON: () => String(content),
	};
	// The type promises more than the marker has: it is only ever put somewhere, never read.
	return Object.freeze(marker) as unknown as NewText;
}

/** @internal The content of a marker; undefined for anything else. */
export function markerContent(value: object): string | undefined {
	const content: unknown = Reflect.get(value, CONTENT);
	return typeof content === "string" ? content : undefined;
}
