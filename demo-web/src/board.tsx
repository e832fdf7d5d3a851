/** The lists side by side, what can be done with them, and the card that is being dragged. */
import { useMemo, useRef, useState } from "react";
import { useAnnounce } from "./announcer.tsx";
import { Card } from "./card.tsx";
import { counted } from "./counted.ts";
import { type CardDrag, useCardDrag } from "./drag.ts";
import { addCard, addList, type ListView, listsOf, moveCard, removeList, renameList } from "./model.ts";
import { type BoardRoom, useBoard } from "./room.ts";

export function Board({ room, editors }: { room: BoardRoom; editors: ReadonlyMap<string, Editor> }) {
	const lists = useBoard(room, (state) => state.lists);
	const cards = useBoard(room, (state) => state.cards);
	const arranged = useMemo(() => listsOf({ lists, cards }), [lists, cards]);
	const board = useRef<HTMLDivElement>(null);
	const moving = useCardDrag(arranged, board, (id, listId, index) =>
		room.change((draft) => moveCard(draft, arranged, id, listId, index)),
	);
	return (
		<section className="board" ref={board} aria-label="Board">
			<p className="visually-hidden" id="how-to-move">
				Press Space to lift the card, the arrow keys to move it, Space again to drop it, Escape to put it
				back.
			</p>
			{moving.lists.map((list) => (
				<List key={list.id} room={room} list={list} lists={arranged} moving={moving} editors={editors} />
			))}
			<NewList room={room} lists={arranged} />
			{moving.drag?.by === "pointer" && (
				<div className="card ghost" ref={moving.ghost} aria-hidden="true">
					<span className="grip" />
					<span className="card-text">{moving.drag.card.text}</span>
				</div>
			)}
		</section>
	);
}

/** Somebody else who has a card open. */
export interface Editor {
	readonly name: string;
	readonly hue: number;
}

interface ListProps {
	room: BoardRoom;
	list: ListView;
	lists: readonly ListView[];
	moving: CardDrag;
	editors: ReadonlyMap<string, Editor>;
}

function List({ room, list, lists, moving, editors }: ListProps) {
	const { drag } = moving;
	return (
		<section
			className={drag?.listId === list.id ? "list is-target" : "list"}
			data-list={list.id}
			data-anchor={`list:${list.id}`}
			aria-label={`${list.title}, ${counted(list.cards.length, "card")}`}
		>
			<ListHeader room={room} list={list} lists={lists} />
			<ul className="cards">
				{list.cards.map((card) => (
					<Card
						key={card.id}
						room={room}
						card={card}
						lifted={drag?.card.id === card.id ? drag.by : null}
						moving={moving}
						editor={editors.get(card.id)}
					/>
				))}
			</ul>
			{list.cards.length === 0 && <p className="empty">Nothing here yet. Drop a card, or add one.</p>}
			<NewCard room={room} list={list} lists={lists} />
		</section>
	);
}

function ListHeader({ room, list, lists }: { room: BoardRoom; list: ListView; lists: readonly ListView[] }) {
	const [asking, setAsking] = useState(false);
	const announce = useAnnounce();
	const rename = (title: string) => {
		const next = title.trim();
		if (next && next !== list.title) room.change((draft) => renameList(draft, list.id, next));
	};
	const remove = () => {
		room.change((draft) => removeList(draft, lists, list.id));
		announce(`List “${list.title}” deleted.`);
	};
	if (asking) {
		return (
			<div className="list-header is-asking" role="alertdialog" aria-label={`Delete list ${list.title}`}>
				<span>Delete with {counted(list.cards.length, "card")}?</span>
				<button type="button" className="danger" onClick={remove}>
					Delete
				</button>
				{/* biome-ignore lint/a11y/noAutofocus: the question replaces the button that was pressed; the harmless answer takes its focus */}
				<button type="button" className="plain" autoFocus onClick={() => setAsking(false)}>
					Keep
				</button>
			</div>
		);
	}
	return (
		<div className="list-header">
			<input
				key={list.title}
				className="list-title"
				defaultValue={list.title}
				aria-label="Name of the list"
				maxLength={60}
				onBlur={(event) => {
					rename(event.currentTarget.value);
					event.currentTarget.value = event.currentTarget.value.trim() || list.title;
				}}
				onKeyDown={(event) => {
					if (event.key === "Escape") event.currentTarget.value = list.title;
					if (event.key === "Enter" || event.key === "Escape") event.currentTarget.blur();
				}}
			/>
			<span className="count" aria-hidden="true">
				{list.cards.length}
			</span>
			<button
				type="button"
				className="icon"
				aria-label={`Delete list ${list.title}`}
				onClick={() => (list.cards.length === 0 ? remove() : setAsking(true))}
			>
				<svg viewBox="0 0 16 16" aria-hidden="true">
					<path d="M4 4l8 8M12 4l-8 8" />
				</svg>
			</button>
		</div>
	);
}

function NewCard({ room, list, lists }: { room: BoardRoom; list: ListView; lists: readonly ListView[] }) {
	const announce = useAnnounce();
	return (
		<AddForm
			className="new-card"
			placeholder="Add a card"
			label={`Add a card to ${list.title}`}
			maxLength={500}
			onAdd={(wanted) => {
				room.change((draft) => {
					addCard(draft, lists, list.id, wanted);
				});
				announce(`Card “${wanted.slice(0, 60)}” added to ${list.title}.`);
			}}
		/>
	);
}

function NewList({ room, lists }: { room: BoardRoom; lists: readonly ListView[] }) {
	const announce = useAnnounce();
	return (
		<AddForm
			className="new-list"
			placeholder="Add a list"
			label="Add a list"
			maxLength={60}
			onAdd={(wanted) => {
				room.change((draft) => {
					addList(draft, lists, wanted);
				});
				announce(`List “${wanted}” added.`);
			}}
		/>
	);
}

interface AddFormProps {
	className: string;
	placeholder: string;
	label: string;
	maxLength: number;
	onAdd: (wanted: string) => void;
}

/** A field for the words of something new, and the button that adds it. */
function AddForm({ className, placeholder, label, maxLength, onAdd }: AddFormProps) {
	const [content, setContent] = useState("");
	const wanted = content.trim();
	return (
		<form
			className={className}
			onSubmit={(event) => {
				event.preventDefault();
				if (!wanted) return;
				onAdd(wanted);
				setContent("");
			}}
		>
			<input
				value={content}
				onChange={(event) => setContent(event.currentTarget.value)}
				placeholder={placeholder}
				aria-label={label}
				maxLength={maxLength}
				enterKeyHint="done"
			/>
			<button type="submit" className="plain" disabled={!wanted}>
				Add
			</button>
		</form>
	);
}
