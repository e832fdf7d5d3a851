// The packed package, and new projects that have installed it: as a stranger gets it, without this repository.
import { execFileSync, spawn } from "node:child_process";
import {
	mkdirSync,
	mkdtempSync,
	readdirSync,
	realpathSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const require = createRequire(import.meta.url);
const folders = [];

process.once("exit", () => {
	for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function newFolder() {
	const folder = realpathSync(mkdtempSync(join(tmpdir(), "hither-packaging-")));
	folders.push(folder);
	return folder;
}

let packed;

/** The tarball that `npm publish` would send. */
export function tarball() {
	if (packed === undefined) {
		const folder = newFolder();
		npm(root, "pack", "--ignore-scripts", "--workspace", "hither", "--pack-destination", folder);
		packed = join(
			folder,
			readdirSync(folder).find((name) => name.endsWith(".tgz")),
		);
	}
	return packed;
}

/** A new project with the package installed and these files. `shares` are packages that it borrows from here. */
export function newProject(files, shares = []) {
	const folder = newFolder();
	writeFileSync(join(folder, "package.json"), '{ "name": "new", "private": true, "type": "module" }\n');
	npm(folder, "install", "--offline", "--no-audit", "--no-fund", "--ignore-scripts", tarball());
	for (const name of shares) {
		const link = join(folder, "node_modules", name);
		mkdirSync(dirname(link), { recursive: true });
		symlinkSync(dirname(require.resolve(`${name}/package.json`)), link);
	}
	for (const [name, content] of Object.entries(files)) {
		mkdirSync(dirname(join(folder, name)), { recursive: true });
		writeFileSync(join(folder, name), content);
	}
	return folder;
}

/** Runs a program of Node; gives what it printed. Throws with everything that it said. */
export function run(folder, program, ...args) {
	try {
		return execFileSync(process.execPath, [program, ...args], {
			cwd: folder,
			encoding: "utf8",
			stdio: "pipe",
			timeout: 300_000,
		});
	} catch (error) {
		throw new Error(`${program} ${args.join(" ")}: ${error.message}\n${error.stdout}\n${error.stderr}`);
	}
}

/** The file of a command that comes with a package. */
export function command(name, path) {
	return join(dirname(require.resolve(`${name}/package.json`)), path);
}

/** Starts a program of Node and resolves with its address once it prints one; `stop()` ends it. */
export function serve(folder, program, ...args) {
	const child = spawn(process.execPath, [program, ...args], {
		cwd: folder,
		env: { ...process.env, NO_COLOR: "1" },
	});
	let output = "";
	// It may write until its end, and the folder is removed after that.
	const ended = new Promise((resolve) => child.once("exit", resolve));
	const stop = () => {
		child.kill();
		return ended;
	};
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => {
			child.kill();
			reject(new Error(`${program} printed no address:\n${output}`));
		}, 60_000);
		const read = (text) => {
			output += text;
			const origin = /https?:\/\/(?:127\.0\.0\.1|localhost):\d+/.exec(output)?.[0];
			if (origin === undefined) return;
			clearTimeout(timer);
			resolve({ origin, stop });
		};
		child.stdout.on("data", read);
		child.stderr.on("data", read);
		child.once("exit", (code) => reject(new Error(`${program} ended with ${code}:\n${output}`)));
	});
}

function npm(cwd, ...args) {
	const windows = process.platform === "win32";
	execFileSync(windows ? "npm.cmd" : "npm", args, { cwd, encoding: "utf8", stdio: "pipe", shell: windows });
}
