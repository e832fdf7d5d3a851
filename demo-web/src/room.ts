/** The board's room, typed once for all components. */
import type { Room, State } from "hither";
import { useShared } from "hither/react";
import type { BoardData } from "./model.ts";
import type { Person } from "./presence.tsx";

export type BoardRoom = Room<BoardData, Person>;

/** What `selector` picks from the board; renders again only when that has changed. */
export function useBoard<Selected>(
	room: BoardRoom,
	selector: (state: State<BoardData>) => Selected,
): Selected {
	return useShared(room, selector);
}
