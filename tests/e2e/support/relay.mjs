// A real relay process on a port of its own, with a directory of its own.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../..", import.meta.url));
const program = process.env.HITHER_RELAY_BIN ?? join(root, "target", "debug", "hither-relay");

/**
 * Starts a relay and resolves when it answers. `store` is memory or file; `serve` a folder of static files.
 * Gives { origin, port, directory, output(), pid(), kill(), stop(), start(), remove() }: a start after an end keeps port
 * and directory.
 */
export async function startRelay({ store = "file", serve } = {}) {
	if (!existsSync(program))
		throw new Error(`${program} does not exist: run the tests through npm test, or set HITHER_RELAY_BIN`);
	const directory = mkdtempSync(join(tmpdir(), "hither-e2e-"));
	const port = await freePort();
	const origin = `http://127.0.0.1:${port}`;
	let child;
	let output = "";

	async function start() {
		const args = [
			"--listen",
			`127.0.0.1:${port}`,
			"--store",
			store === "file" ? `file:${directory}` : "memory",
		];
		if (serve) args.push("--serve", serve);
		child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
		for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
		const ended = new Promise((resolve) => child.once("exit", resolve));
		child.ended = ended;
		await Promise.race([
			healthy(origin),
			ended.then((code) => {
				throw new Error(`the relay ended with ${code}:\n${output}`);
			}),
		]);
	}
	async function end(signal) {
		child.kill(signal);
		await child.ended;
	}

	await start();
	return {
		origin,
		port,
		directory,
		output: () => output,
		pid: () => child.pid,
		kill: () => end("SIGKILL"),
		stop: () => end("SIGTERM"),
		start,
		async remove() {
			if (child.exitCode === null && child.signalCode === null) await end("SIGKILL");
			rmSync(directory, { recursive: true, force: true });
		},
	};
}

/** A port that the system has just given out; a relay that restarts needs the same one again, so it is chosen here. */
export function freePort() {
	return new Promise((resolve, reject) => {
		const probe = createServer();
		probe.once("error", reject);
		probe.listen(0, "127.0.0.1", () => {
			const { port } = probe.address();
			probe.close(() => resolve(port));
		});
	});
}

async function healthy(origin) {
	const deadline = Date.now() + 60_000;
	for (;;) {
		try {
			if ((await fetch(`${origin}/healthz`, { signal: AbortSignal.timeout(5_000) })).ok) return;
		} catch {
			// Not listening yet.
		}
		if (Date.now() > deadline) throw new Error(`no answer from ${origin}/healthz within 60 s`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}
