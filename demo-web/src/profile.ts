/** Who this browser is to the others: a name and a colour, kept in localStorage. */
import { useCallback, useState } from "react";

export interface Profile {
	readonly name: string;
	/** Degrees on the colour wheel; each theme chooses its own lightness. */
	readonly hue: number;
}

const KEY = "hither-demo.profile";
const FIRST = ["Quiet", "Swift", "Bright", "Gentle", "Bold", "Clever", "Merry", "Calm"];
const SECOND = ["Otter", "Heron", "Fox", "Badger", "Finch", "Marten", "Hare", "Owl"];
/** Far enough apart to be told from each other as cursors. */
const HUES = [8, 32, 78, 142, 178, 212, 262, 318];
export const MAX_NAME = 32;

/** The profile and a way to rename; a page that may not store anything keeps it for its own lifetime. */
export function useProfile(): [Profile, (name: string) => void] {
	const [profile, setProfile] = useState(load);
	const rename = useCallback((name: string) => {
		setProfile((old) => {
			const next = { ...old, name: name.trim().slice(0, MAX_NAME) || old.name };
			save(next);
			return next;
		});
	}, []);
	return [profile, rename];
}

function load(): Profile {
	try {
		const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "null");
		if (isProfile(stored)) return stored;
	} catch {
		// Storage is blocked or holds something else: a new guest is as good.
	}
	const fresh = { name: `${pick(FIRST)} ${pick(SECOND)}`, hue: pick(HUES) };
	save(fresh);
	return fresh;
}

function save(profile: Profile): void {
	try {
		localStorage.setItem(KEY, JSON.stringify(profile));
	} catch {
		// Blocked or full: the name then lasts as long as the page.
	}
}

/** Whether something from storage or from another person is a profile. */
export function isProfile(value: unknown): value is Profile {
	if (typeof value !== "object" || value === null) return false;
	const { name, hue } = value as { name?: unknown; hue?: unknown };
	return (
		typeof name === "string" &&
		name.length > 0 &&
		name.length <= MAX_NAME &&
		typeof hue === "number" &&
		Number.isFinite(hue)
	);
}

function pick<Item>(items: readonly [Item, ...Item[]] | Item[]): Item {
	return items[Math.floor(Math.random() * items.length)] as Item;
}
