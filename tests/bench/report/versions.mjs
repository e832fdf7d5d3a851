// What was measured where: the machine without its name, and the versions that were installed.
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

const PEERS = [
	"yjs",
	"y-indexeddb",
	"@y/websocket-server",
	"@hocuspocus/server",
	"better-sqlite3",
	"ywasm",
	"loro-crdt",
	"@automerge/automerge",
	"@automerge/automerge-repo",
	"ws",
];

const read = (path) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8");

export function versions() {
	const lock = JSON.parse(read("../peers/package-lock.json")).packages;
	const crate = (name, folder) =>
		new RegExp(`^${name} = "=([^"]+)"`, "m").exec(read(`../peers/${folder}/Cargo.toml`))[1];
	return {
		machine: {
			processor: cpus()[0]?.model ?? "unknown",
			processors: cpus().length,
			memory_gb: Math.round(totalmem() / 2 ** 30),
			system: `${process.platform} ${process.arch}`,
		},
		versions: {
			hither: JSON.parse(read("../../../package.json")).version,
			node: process.version,
			...Object.fromEntries(PEERS.map((name) => [name, lock[`node_modules/${name}`]?.version])),
			yrs: crate("yrs", "plain-yrs"),
			"yrs-axum": crate("yrs-axum", "yrs-axum"),
			"y-sweet": /Y_SWEET = "([^"]+)"/.exec(read("../../../scripts/bench.mjs"))[1],
		},
	};
}
