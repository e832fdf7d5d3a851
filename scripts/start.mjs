// npm start: build what has changed, start the relay with its file store, serve the demo from it.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { leaveOnSignals, root, whenTold } from "./command.mjs";
import { bold, dim, red } from "./progress.mjs";
import { ensureOrExit, targetFolder, version } from "./steps.mjs";

const USAGE = `npm start -- [--port N] [--host ADDRESS] [--store STORE] [-- RELAY OPTIONS]

  --port N        listen there instead of 4455
  --host ADDRESS  listen on this address instead of 127.0.0.1
  --store STORE   file:DIR or memory instead of file:./data
  what follows a further -- goes to the relay as it is (see hither-relay --help)`;

function readOptions() {
	try {
		const { values, positionals } = parseArgs({
			options: {
				port: { type: "string", default: "4455" },
				host: { type: "string", default: "127.0.0.1" },
				store: { type: "string", default: "file:./data" },
				help: { type: "boolean", default: false },
			},
			allowPositionals: true,
		});
		if (!/^[1-9]\d{0,4}$/.test(values.port) || Number(values.port) > 65_535)
			throw new Error(`--port ${values.port} is not a port`);
		return { ...values, port: Number(values.port), rest: positionals };
	} catch (error) {
		console.error(`${error.message}\n\n${USAGE}`);
		process.exit(2);
	}
}

/** Resolves to the error code that binding gives, or undefined when the address is free. */
function tryListening({ host, port }) {
	return new Promise((resolve) => {
		const probe = createServer();
		probe.once("error", (error) => resolve(error.code));
		probe.listen({ host, port }, () => probe.close(() => resolve(undefined)));
	});
}

function sayTaken(options) {
	console.error(red(`Port ${options.port} on ${options.host} is taken, perhaps by another npm start.`));
	console.error(`Stop that program, or choose another port: npm start -- --port ${options.port + 1}`);
}

async function startRelay(options) {
	const program = join(
		await targetFolder(),
		"release",
		process.platform === "win32" ? "hither-relay.exe" : "hither-relay",
	);
	const listen = `${options.host.includes(":") ? `[${options.host}]` : options.host}:${options.port}`;
	const args = [
		"--listen",
		listen,
		"--store",
		options.store,
		"--serve",
		join("demo-web", "dist"),
		...options.rest,
	];
	// A group of its own: Ctrl-C reaches the relay once, through us, and not a second time from the terminal.
	const relay = spawn(program, args, {
		cwd: root,
		stdio: ["ignore", "inherit", "inherit"],
		detached: process.platform !== "win32",
	});
	let stopping = false;
	whenTold((signal) => {
		stopping = true;
		relay.kill(signal === "SIGHUP" ? "SIGTERM" : signal);
	});
	process.on("exit", () => relay.kill("SIGTERM"));
	relay.on("error", (error) => {
		console.error(red(`the relay could not be started: ${error.message}`));
		process.exit(1);
	});
	relay.on("exit", (code, signal) => {
		if (!stopping) console.error(red(`the relay ended by itself (${signal ?? `exit code ${code}`})`));
		process.exit(stopping ? 0 : (code ?? 1) || 1);
	});
	await untilHealthy(`http://${listen}/healthz`);
	console.log(`\n${bold("Hither is running:")} http://${listen}/`);
	console.log(dim(`Open it in two windows. Data: ${options.store}. Stop with Ctrl-C.\n`));
}

/** The relay answers within a second; 30 s leave room for recovery of a large store. */
async function untilHealthy(address) {
	const deadline = Date.now() + 30_000;
	for (;;) {
		try {
			const answer = await fetch(address, { signal: AbortSignal.timeout(2_000) });
			if (answer.ok) return;
		} catch {
			// Not listening yet; its own exit handler reports if it never will.
		}
		if (Date.now() > deadline) {
			console.error(red(`no answer from ${address} within 30 s`));
			process.exit(1);
		}
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

const options = readOptions();
if (options.help) {
	console.log(USAGE);
	process.exit(0);
}
const stayed = leaveOnSignals();
const taken = await tryListening(options);
if (taken === "EADDRINUSE") {
	sayTaken(options);
	process.exit(1);
} else if (taken) {
	console.error(red(`cannot listen on ${options.host}:${options.port}: ${taken}`));
	process.exit(1);
}
console.log(bold(`hither ${version()}`));
await ensureOrExit(["demo", "relay"]);
// From here on a signal is for the relay, which says goodbye to its clients first.
stayed();
await startRelay(options);
