/** One card: its handle, its text, and who else has it open. */
import { type CSSProperties, useRef, useState } from "react";
import { useAnnounce } from "./announcer.tsx";
import type { Editor } from "./board.tsx";
import type { CardDrag } from "./drag.ts";
import { type CardView, removeCard } from "./model.ts";
import { useFocusOf } from "./presence.tsx";
import type { BoardRoom } from "./room.ts";
import { SharedTextArea } from "./shared-text-area.tsx";

interface Props {
	room: BoardRoom;
	card: CardView;
	lifted: "pointer" | "keyboard" | null;
	moving: CardDrag;
	editor: Editor | undefined;
}

export function Card({ room, card, lifted, moving, editor }: Props) {
	const [editing, setEditing] = useState(false);
	const opener = useRef<HTMLButtonElement>(null);
	const announce = useAnnounce();
	useFocusOf(editing ? card.id : null);
	const name = card.text || "empty card";
	const close = (refocus: boolean) => {
		setEditing(false);
		if (refocus) requestAnimationFrame(() => opener.current?.focus());
	};
	const classes = ["card", lifted && "is-lifted", editing && "is-editing", editor && "is-taken"].filter(
		Boolean,
	);
	return (
		<li
			className={classes.join(" ")}
			data-card={card.id}
			data-anchor={`card:${card.id}`}
			style={editor ? ({ "--hue": editor.hue } as CSSProperties) : undefined}
			onPointerDown={(event) => !editing && moving.onPointerDown(event, card)}
		>
			<button
				type="button"
				className="grip"
				data-grip={card.id}
				aria-label={`Move ${name}`}
				aria-describedby="how-to-move"
				aria-pressed={lifted !== null}
				onKeyDown={(event) => moving.onKeyDown(event, card)}
			>
				<svg viewBox="0 0 10 16" aria-hidden="true">
					<path d="M3 3h.01M7 3h.01M3 8h.01M7 8h.01M3 13h.01M7 13h.01" />
				</svg>
			</button>
			{editing ? (
				<SharedTextArea
					className="card-text"
					value={card.text}
					read={() => room.state.cards[card.id]?.text ?? ""}
					onSplice={(splice) =>
						room.change((draft) =>
							draft.cards[card.id]?.text.replace(splice.start, splice.removed, splice.inserted),
						)
					}
					aria-label="Text of the card"
					rows={1}
					autoFocus
					onFocus={(event) => event.currentTarget.setSelectionRange(card.text.length, card.text.length)}
					onBlur={() => close(false)}
					onKeyDown={(event) => {
						const done = event.key === "Escape" || (event.key === "Enter" && !event.shiftKey);
						if (!done || event.nativeEvent.isComposing) return;
						event.preventDefault();
						close(true);
					}}
				/>
			) : (
				<button
					type="button"
					className="card-text"
					ref={opener}
					aria-label={`Edit ${name}`}
					onClick={() => setEditing(true)}
				>
					{card.text || <span className="placeholder">Empty card</span>}
				</button>
			)}
			<button
				type="button"
				className="icon"
				data-no-drag
				aria-label={`Delete ${name}`}
				onClick={() => {
					room.change((draft) => removeCard(draft, card.id));
					announce(`Card “${card.text.slice(0, 60)}” deleted.`);
				}}
			>
				<svg viewBox="0 0 16 16" aria-hidden="true">
					<path d="M4 4l8 8M12 4l-8 8" />
				</svg>
			</button>
			{editor && (
				<span className="taken-by" data-no-drag>
					{editor.name} is editing
				</span>
			)}
		</li>
	);
}
