// Why people who should have the same document do not: a fault of Yjs, which spoils the history, or a finding.
import { isDeepStrictEqual } from "node:util";
import { deletionsIn } from "./wire.mjs";

/**
 * A stock client does not read its own document as it has it, so no relay can make others agree with it. Undo in
 * Yjs 13.6.33 and 14.0.0-rc.7 can write an item whose right neighbour is not to the right of its left one (yjs/yjs#794):
 * where that stands depends on who reads it.
 */
export class Spoiled extends Error {}

/** The error to throw for a disagreement that was noticed as `cause`. */
export function explained(people, cause) {
	const stock = people.filter(({ kind }) => kind !== "hither");
	const torn = stock.filter((person) => !isDeepStrictEqual(person.reread(), person.shown()));
	if (torn.length > 0)
		return new Spoiled(`${torn.map(({ kind }) => kind)} differ from themselves`, { cause });
	const missed = missedDeletions(stock);
	const story = missed.map((miss) => `\n${JSON.stringify(miss)}`).join("");
	return new Error(`${cause.message}\n\ndeletions that somebody lacks:${story}`, { cause });
}

/**
 * Every id that one of them has deleted and another has not: who lacks it, and whose messages spoke of it (counted
 * among those that delete).
 */
function missedDeletions(stock) {
	const people = stock.map(({ kind, wire, shown }, index) => ({
		name: `${index} ${kind}`,
		deleted: new Set(idsIn(shown().deletes)),
		said: deletionsIn(wire.said).map((ids) => new Set(ids)),
		heard: deletionsIn(wire.heard).map((ids) => new Set(ids)),
	}));
	const all = new Set(people.flatMap(({ deleted }) => [...deleted]));
	const missed = [...all].filter((id) => people.some(({ deleted }) => !deleted.has(id)));
	return missed.map((id) => {
		const speakers = (way) =>
			people.flatMap((person) => {
				const places = person[way].flatMap((ids, place) => (ids.has(id) ? [place] : []));
				return places.length > 0 ? [`${person.name}: ${places}`] : [];
			});
		const lacking = people.filter(({ deleted }) => !deleted.has(id)).map(({ name }) => name);
		return { id, lacking, said: speakers("said"), heard: speakers("heard") };
	});
}

/** The ids in `{ client: [[from, to], …] }`, as strings. */
function idsIn(deletes) {
	return Object.entries(deletes).flatMap(([client, ranges]) =>
		ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, at) => `${client}:${from + at}`)),
	);
}
