// One child process: its output collected, its time bounded, its whole group ended with it.
//
// Every command gets a process group of its own, so that a time-out or Ctrl-C reaches what it started
// as well (cargo's rustc, a test's browser), and no standard input, so that nothing can wait for an answer.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/[\\/]$/, "");

const windows = process.platform === "win32";
const running = new Set();

/**
 * Runs `argv` to its end; never rejects.
 * `onLine` sees each line of stdout and stderr as it appears; `limitSeconds` bounds the whole run.
 * Resolves to { code, output, seconds, timedOut, missing }: `code` is null when a signal ended it,
 * `missing` says that the program does not exist.
 */
export function run(argv, { cwd = root, env = {}, limitSeconds = 3600, onLine } = {}) {
	const [program, ...args] = argv;
	const started = Date.now();
	return new Promise((resolve) => {
		const child = spawn(program, args, {
			cwd,
			env: { ...process.env, ...env },
			stdio: ["ignore", "pipe", "pipe"],
			detached: !windows,
			shell: windows,
		});
		running.add(child);
		const chunks = [];
		let timedOut = false;
		let missing = false;
		const timer = setTimeout(() => {
			timedOut = true;
			endGroup(child, "SIGTERM");
			setTimeout(() => endGroup(child, "SIGKILL"), 5_000).unref();
		}, limitSeconds * 1000);

		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding("utf8");
			let partial = "";
			stream.on("data", (text) => {
				chunks.push(text);
				const lines = (partial + text).split(/\r?\n/);
				partial = lines.pop();
				for (const line of lines) onLine?.(line);
			});
			stream.on("end", () => {
				if (partial) onLine?.(partial);
			});
		}

		child.on("error", (error) => {
			missing = error.code === "ENOENT";
			chunks.push(`${program}: ${error.message}\n`);
			if (child.pid === undefined) finish(null);
		});
		// A test that leaves a process behind keeps our pipe open: the program's own end counts, then the group goes.
		// `close` comes when all that was written has been read; what has left the group may keep it from coming.
		let patience;
		child.on("exit", (code) => {
			endGroup(child, "SIGKILL");
			patience = setTimeout(() => finish(code), 5_000);
		});
		child.on("close", (code) => finish(code));

		let finished = false;
		function finish(code) {
			if (finished) return;
			finished = true;
			clearTimeout(timer);
			clearTimeout(patience);
			running.delete(child);
			endGroup(child, "SIGKILL");
			child.stdout?.destroy();
			child.stderr?.destroy();
			if (timedOut) chunks.push(`\nended after ${limitSeconds} s: its time was up\n`);
			resolve({
				code: timedOut ? null : code,
				output: chunks.join(""),
				seconds: (Date.now() - started) / 1000,
				timedOut,
				missing,
			});
		}
	});
}

/** The first line that a command prints, or undefined if it fails or does not exist. */
export async function firstLine(argv, options = {}) {
	const result = await run(argv, { limitSeconds: 120, ...options });
	return result.code === 0 ? result.output.trim().split("\n")[0] : undefined;
}

/** Ends everything that `run` has started. */
export function endAll(signal = "SIGTERM") {
	for (const child of running) endGroup(child, signal);
}

/**
 * Calls `stop(signal, exitCode)` once, on Ctrl-C, SIGTERM or SIGHUP, and when npm above us has gone: npm ends on a
 * signal without passing it on. Returns a function that takes it back.
 */
export function whenTold(stop) {
	const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
	const told = (signal) => {
		forget();
		stop(signal, codes[signal]);
	};
	const parent = process.ppid;
	const timer = setInterval(() => process.ppid !== parent && told("SIGTERM"), 500);
	timer.unref();
	// Started by hand it may well outlive the shell that started it.
	if (process.env.npm_lifecycle_event === undefined) clearInterval(timer);
	for (const signal of Object.keys(codes)) process.on(signal, told);
	const forget = () => {
		clearInterval(timer);
		for (const signal of Object.keys(codes)) process.off(signal, told);
	};
	return forget;
}

/** When told to stop: end the children, then leave with the shell's code for that signal. */
export function leaveOnSignals() {
	return whenTold((_signal, code) => {
		endAll("SIGTERM");
		setTimeout(() => {
			endAll("SIGKILL");
			process.exit(code);
		}, 500);
	});
}

function endGroup(child, signal) {
	if (child.pid === undefined) return;
	try {
		if (windows) child.kill(signal);
		else process.kill(-child.pid, signal);
	} catch {
		// The group is gone already: that is what was wanted.
	}
}
