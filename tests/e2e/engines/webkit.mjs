// WebKit: WebKitGTK's MiniBrowser, driven through WebKitWebDriver by the W3C protocol. A device is a session of a driver
// process of its own; under automation MiniBrowser keeps its storage in memory, so a device forgets with its session.
import { spawn } from "node:child_process";
import { freePort } from "../support/relay.mjs";

const STARTS_WITHIN_MS = 60_000;
const ANSWERS_WITHIN_MS = 60_000;

export const webkitEngine = {
	name: "WebKit",
	keepsProfiles: false,
	async device() {
		let session = await startSession();
		return {
			async page(url) {
				const { call, window } = session;
				// Commands go to the window that was chosen last, which may be gone. The session's first one stays.
				await call("POST", "/window", { handle: window });
				const { handle } = await call("POST", "/window/new", { type: "tab" });
				const inWindow = async (method, path, body) => {
					await call("POST", "/window", { handle });
					return call(method, path, body);
				};
				await inWindow("POST", "/url", { url });
				return {
					async run(action, ...given) {
						const script = `const given = [...arguments], done = given.pop();
							Promise.resolve().then(() => (${action})(...given)).then(
								(value) => done({ value }),
								(error) => done({ error: error + "\\n" + error?.stack }),
							);`;
						const { value, error } = await inWindow("POST", "/execute/async", { script, args: given });
						if (error != null) throw new Error(error);
						return value;
					},
					goto: (to) => inWindow("POST", "/url", { url: to }),
					close: () => inWindow("DELETE", "/window"),
				};
			},
			async restart() {
				await session.end();
				session = await startSession();
			},
			close: () => session.end(),
		};
	},
};

/** A driver, a browser and the screen that nobody sees: one group of processes, ended together. */
async function startSession() {
	const port = await freePort();
	const program = process.env.WEBKIT_DRIVER_BIN ?? "WebKitWebDriver";
	const child = spawn("xvfb-run", ["-a", program, `--port=${port}`], {
		stdio: ["ignore", "pipe", "pipe"],
		detached: true,
	});
	let output = "";
	for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
	const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
	const end = async () => {
		if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
		await ended;
	};
	const call = async (method, path, body) => {
		const response = await fetch(`http://127.0.0.1:${port}${path}`, {
			method,
			body: body && JSON.stringify(body),
			signal: AbortSignal.timeout(ANSWERS_WITHIN_MS),
		});
		const { value } = await response.json();
		if (!response.ok) throw new Error(`${method} ${path}: ${value.error} ${value.message}`);
		return value;
	};
	try {
		await listening(call, ended);
		const { sessionId } = await call("POST", "/session", { capabilities: {} });
		const inSession = (method, path, body) => call(method, `/session/${sessionId}${path}`, body);
		await inSession("POST", "/timeouts", { script: ANSWERS_WITHIN_MS });
		return {
			call: inSession,
			window: await inSession("GET", "/window"),
			async end() {
				await inSession("DELETE", "");
				await end();
			},
		};
	} catch (error) {
		await end();
		throw new Error(`no session of WebKitWebDriver: ${error.message}\n${output}`);
	}
}

async function listening(call, ended) {
	const deadline = Date.now() + STARTS_WITHIN_MS;
	let isOver = false;
	ended.then(() => (isOver = true));
	for (;;) {
		try {
			if ((await call("GET", "/status")).ready) return;
		} catch (error) {
			if (isOver || Date.now() > deadline) throw error;
		}
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}
