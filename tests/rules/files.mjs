// The files of the repository as git sees them: tracked, and new ones that are not ignored.
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const BINARY = /\.(bin|png|ico|gz|wasm|woff2?|svg|redb)$/;

/** Every file of the repository, as paths from its root with forward slashes. */
export const paths = listed().filter(
	(path) => existsSync(join(root, path)) && lstatSync(join(root, path)).isFile(),
);

/** Text files as { path, text, lines }, filtered by a pattern on the path. */
export function texts(pattern = /./) {
	return paths
		.filter((path) => pattern.test(path) && !BINARY.test(path))
		.map((path) => {
			const text = readFileSync(join(root, path), "utf8");
			return { path, text, lines: text.split("\n") };
		});
}

/** `path:line: text` of every line that `wrong` finds, in `files`. */
export function findings(files, wrong) {
	return files.flatMap(({ path, lines }) =>
		lines.flatMap((line, index) =>
			wrong(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 160)}`] : [],
		),
	);
}

function listed() {
	const options = { cwd: root, encoding: "utf8", maxBuffer: 64 << 20, stdio: ["ignore", "pipe", "ignore"] };
	try {
		const output = execFileSync(
			"git",
			["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
			options,
		);
		return [...new Set(output.split("\0").filter(Boolean))].sort();
	} catch {
		// A tarball without git: everything but what is built.
		return walk("");
	}
}

function walk(folder) {
	const built = new Set(["node_modules", "target", "dist", "data", ".git"]);
	return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
		const path = folder ? `${folder}/${entry.name}` : entry.name;
		if (built.has(entry.name)) return [];
		return entry.isDirectory() ? walk(path) : [path];
	});
}
