// Is a build step's result still that of its inputs?
//
// A stamp is a hash over the names and contents of the input files, written after the step has succeeded. Contents
// rather than times, because a fresh checkout or a switched branch touches times without changing anything.
// All inputs together are a few megabytes: hashing them takes some tens of milliseconds.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./command.mjs";

const IGNORED = new Set(["node_modules", "target", "dist", ".git", "data"]);
const folder = join(root, "node_modules", ".hither");

/** Hash over `inputs`: files or folders, relative to the root; a missing one counts as such. */
export function hashOf(inputs) {
	const hash = createHash("sha256");
	hash.update(`${process.version}\n`);
	for (const input of inputs) addTo(hash, input);
	return hash.digest("hex");
}

/** Whether the step `name` last succeeded with this hash. */
export function isFresh(name, hash) {
	const file = join(folder, name);
	return existsSync(file) && readFileSync(file, "utf8") === hash;
}

/** Remembers that the step `name` succeeded with this hash. */
export function setStamp(name, hash) {
	const file = join(folder, name);
	mkdirSync(dirname(file), { recursive: true });
	writeFileSync(file, hash);
}

function addTo(hash, path) {
	const full = join(root, path);
	if (!existsSync(full)) {
		hash.update(`missing ${path}\n`);
	} else if (statSync(full).isDirectory()) {
		for (const name of readdirSync(full).sort()) {
			// An input that is itself a built folder was named on purpose; below it nothing is ignored by accident.
			if (!IGNORED.has(name)) addTo(hash, `${path}/${name}`);
		}
	} else {
		const content = readFileSync(full);
		hash.update(`${path} ${content.length}\n`);
		hash.update(content);
	}
}
