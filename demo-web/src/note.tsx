/** The shared note: one text for everybody, edited by the character. */
import { type CSSProperties, useState } from "react";
import type { Editor } from "./board.tsx";
import { counted } from "./counted.ts";
import { useFocusOf } from "./presence.tsx";
import { type BoardRoom, useBoard } from "./room.ts";
import { SharedTextArea } from "./shared-text-area.tsx";

/** What presence calls the note, among the ids of cards. */
export const NOTE = "note";

export function Note({ room, editor }: { room: BoardRoom; editor: Editor | undefined }) {
	const value = useBoard(room, (state) => state.note);
	const [focused, setFocused] = useState(false);
	useFocusOf(focused ? NOTE : null);
	const words = value.trim() ? value.trim().split(/\s+/u).length : 0;
	return (
		<section className="note" data-anchor="note" aria-labelledby="note-title">
			<div className="note-header">
				<h2 id="note-title">Note</h2>
				{editor ? (
					<span className="taken-by" style={{ "--hue": editor.hue } as CSSProperties}>
						{editor.name} is writing
					</span>
				) : (
					<span className="count">{counted(words, "word")}</span>
				)}
			</div>
			<SharedTextArea
				value={value}
				read={() => room.state.note}
				onSplice={(splice) =>
					room.change((draft) => draft.note.replace(splice.start, splice.removed, splice.inserted))
				}
				aria-labelledby="note-title"
				placeholder="Write something that everybody on this board should know."
				spellCheck
				onFocus={() => setFocused(true)}
				onBlur={() => setFocused(false)}
			/>
		</section>
	);
}
