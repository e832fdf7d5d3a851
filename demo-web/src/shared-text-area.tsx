/**
 * A textarea on a shared text: what is typed travels as the smallest splice, and what others type leaves the caret and
 * the selection at the letters where they were.
 *
 * The field is not controlled by React, which would put the caret at the end on every change from outside. It has no
 * `defaultValue` either: React assigns that again with every render, and a field in which nobody has typed yet then
 * loses its caret.
 */
import { type ComponentProps, useLayoutEffect, useRef } from "react";
import { difference, moved, type Splice } from "./caret.ts";

type Props = Omit<ComponentProps<"textarea">, "value" | "defaultValue" | "onChange" | "onInput" | "ref"> & {
	/** The text as last rendered. */
	value: string;
	/** The text as it is now, which may be newer than what React has rendered. */
	read: () => string;
	onSplice: (splice: Splice) => void;
};

export function SharedTextArea({ value, read, onSplice, ...rest }: Props) {
	const field = useRef<HTMLTextAreaElement>(null);
	/** The shared text that the field's content is an edit of. */
	const known = useRef(value);
	const composing = useRef(false);

	useLayoutEffect(() => {
		const element = field.current;
		if (element && !composing.current) show(element, value);
		if (!composing.current) known.current = value;
		if (element) sizeToContent(element);
	}, [value]);

	const take = () => {
		const element = field.current;
		if (!element || composing.current) return;
		const mine = difference(known.current, element.value, element.selectionStart);
		const present = read();
		const theirs = difference(known.current, present);
		if (mine) {
			const start = theirs ? moved(mine.start, theirs) : mine.start;
			onSplice({ ...mine, start, removed: Math.max(0, Math.min(mine.removed, present.length - start)) });
		}
		known.current = read();
		show(element, known.current);
		sizeToContent(element);
	};

	return (
		<textarea
			{...rest}
			ref={field}
			onInput={take}
			onCompositionStart={() => {
				// An input method owns the field until the word is chosen; foreign edits wait that long.
				composing.current = true;
			}}
			onCompositionEnd={() => {
				composing.current = false;
				take();
			}}
		/>
	);
}

/** Shows `text` and keeps the selection on its letters. */
function show(field: HTMLTextAreaElement, text: string): void {
	const splice = difference(field.value, text);
	if (!splice) return;
	if (field.value === "") {
		// A field that was just made: whoever opened it goes on behind its text, where browsers put the caret.
		field.value = text;
		return;
	}
	const { selectionStart, selectionEnd, selectionDirection, scrollTop } = field;
	field.value = text;
	// Elsewhere than in the field that has the keyboard, Safari would take this for a wish to focus it.
	if (document.activeElement !== field) return;
	field.setSelectionRange(moved(selectionStart, splice), moved(selectionEnd, splice), selectionDirection);
	field.scrollTop = scrollTop;
}

/** As high as its content, where CSS cannot do that by itself. */
function sizeToContent(field: HTMLTextAreaElement): void {
	if (CSS.supports("field-sizing", "content")) return;
	field.style.height = "auto";
	field.style.height = `${field.scrollHeight}px`;
}
