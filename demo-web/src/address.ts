/** The room's name lives in the address (?room=…), so the address is the invitation. */

/** The longest name that a relay accepts. */
const MAX_NAME_BYTES = 256;

/** Where everybody meets who only knows the relay. */
const WELCOME = "welcome";

/** The room that the address names; without one it is the room of all who come so, and the address says it from then on. */
export function roomFromAddress(): string {
	const address = new URL(location.href);
	const named = address.searchParams.get("room")?.trim();
	if (named && new TextEncoder().encode(named).length <= MAX_NAME_BYTES) return named;
	address.searchParams.set("room", WELCOME);
	history.replaceState(null, "", address);
	return WELCOME;
}

/** Copies the page's address; false if this browser does not let a page do so. */
export async function copyLink(): Promise<boolean> {
	try {
		await navigator.clipboard.writeText(location.href);
		return true;
	} catch {
		// Without https, or refused by the person: the caller shows the address instead.
		return false;
	}
}
