// The history that is typed: a real one where it lies beside the project, otherwise a made-up one of the same length.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = process.env.HITHER_HISTORIES ?? join(root, "..", "shared", "data");
const file = join(folder, "automerge-paper.json.gz");

/** Keystrokes of the automerge-paper history, which the field calls B4. */
export const B4_KEYSTROKES = 259_778;

/**
 * The first `keystrokes` edits as `[position, deleted, inserted]`, the text that they make, and where they come from.
 * Positions count UTF-16 units: the history holds no character where that differs from code points.
 */
export function history(keystrokes = B4_KEYSTROKES) {
	if (!existsSync(file)) return { name: "made up", ...madeUp(keystrokes) };
	const { txns, endContent } = JSON.parse(gunzipSync(readFileSync(file)).toString());
	const edits = txns.flatMap(({ patches }) => patches).slice(0, keystrokes);
	return { name: "automerge-paper", edits, end: edits.length < B4_KEYSTROKES ? typed(edits) : endContent };
}

function typed(edits) {
	let text = "";
	for (const [at, deleted, inserted] of edits) text = text.slice(0, at) + inserted + text.slice(at + deleted);
	return text;
}

/** Typing that mostly goes on where it was, with corrections and jumps. The same every time. */
function madeUp(keystrokes) {
	let seed = 1;
	const random = (below) => {
		seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
		return (seed >>> 8) % below;
	};
	const edits = [];
	let length = 0;
	let at = 0;
	for (let key = 0; key < keystrokes; key++) {
		if (random(50) === 0) at = random(length + 1);
		const deleted = random(6) === 0 && at < length ? 1 : 0;
		const inserted = deleted > 0 ? "" : "etaoin shrdlu\n"[random(14)];
		edits.push([at, deleted, inserted]);
		length += inserted.length - deleted;
		at += inserted.length;
	}
	return { edits, end: typed(edits) };
}
