// What has to be on the machine: found, installed where that is ours to do, or named with the way to get it.
//
// Installed without asking: the Rust target and tools that rust-toolchain.toml names (rustup), and, only as root on
// Debian, a C linker and three browsers from Debian's packages. Everything else is the owner's decision.
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { firstLine, run } from "./command.mjs";

const NODE = [20, 19];
const FIREFOX_NAMES = ["firefox-esr", "firefox"];
const FIREFOX_PLACES = ["/Applications/Firefox.app/Contents/MacOS/firefox"];
/** The driver, and the screen that its browser shows itself on. */
const WEBKIT_PROGRAMS = ["WebKitWebDriver", "xvfb-run", "xauth"];
const CHROMIUM_NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const CHROMIUM_PLACES = [
	"/Applications/Chromium.app/Contents/MacOS/Chromium",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** A tool is missing and we may not install it: `message` says what to do. */
export class MissingTool extends Error {}

/** Node of this process is recent enough. */
export function checkNode() {
	const [major, minor] = process.versions.node.split(".").map(Number);
	if (major < NODE[0] || (major === NODE[0] && minor < NODE[1])) {
		throw new MissingTool(
			`Node ${NODE.join(".")} or newer is needed; this is ${process.version}. Get it from https://nodejs.org`,
		);
	}
}

/** The Rust toolchain of rust-toolchain.toml with its components and targets, and a linker. */
export async function ensureRust(onLine) {
	await ensureLinker(onLine);
	const { channel, components, targets } = wantedToolchain();
	if (!(await firstLine(["rustup", "--version"]))) {
		if (!(await firstLine(["cargo", "--version"]))) {
			throw new MissingTool(
				"Rust is needed. Install it with rustup: https://rustup.rs, then open a new shell.",
			);
		}
		throw new MissingTool(
			`This cargo was not installed by rustup, which brings Rust ${channel} with ${[...targets, ...components].join(", ")}.\n` +
				"Install rustup (https://rustup.rs, or on Debian and Ubuntu: apt-get install rustup).",
		);
	}
	const installed = async (what) => {
		const argv = ["rustup", what, "list", "--installed", "--toolchain", channel];
		return (await run(argv, { limitSeconds: 600 })).output;
	};
	const present = (await installed("target")) + (await installed("component"));
	if ([...targets, ...components].every((name) => present.includes(name))) return;
	const install = ["rustup", "toolchain", "install", channel, "--profile", "minimal", "--no-self-update"];
	for (const name of components) install.push("--component", name);
	for (const name of targets) install.push("--target", name);
	const result = await run(install, { limitSeconds: 900, onLine });
	if (result.code !== 0) throw new MissingTool(`rustup could not install Rust ${channel}:\n${result.output}`);
}

/** What rust-toolchain.toml asks for. */
function wantedToolchain() {
	const text = readFileSync(new URL("../rust-toolchain.toml", import.meta.url), "utf8");
	const list = (key) => new RegExp(`^${key}\\s*=\\s*\\[(.*)\\]`, "m").exec(text)?.[1].match(/[\w-]+/g) ?? [];
	const channel = /^channel\s*=\s*"([^"]+)"/m.exec(text)?.[1];
	return { channel, components: list("components"), targets: list("targets") };
}

/** Path of a Chromium for the browser tests; CHROMIUM_BIN chooses another one. */
export function ensureChromium(onLine) {
	return ensureBrowser(
		{
			name: "Chromium",
			variable: "CHROMIUM_BIN",
			find: () => findProgram(CHROMIUM_NAMES, CHROMIUM_PLACES),
			packages: ["chromium"],
			advice: [
				"  Debian   sudo apt-get install chromium",
				"  Ubuntu   sudo snap install chromium, or Google Chrome's own .deb package",
				"  Fedora   sudo dnf install chromium",
				"  macOS    brew install --cask chromium",
				"  others   install Chromium or Chrome and set CHROMIUM_BIN to the program's path",
			],
		},
		onLine,
	);
}

/** Path of a Firefox for the browser tests; FIREFOX_BIN chooses another one. */
export function ensureFirefox(onLine) {
	return ensureBrowser(
		{
			name: "Firefox",
			variable: "FIREFOX_BIN",
			find: () => findProgram(FIREFOX_NAMES, FIREFOX_PLACES),
			packages: ["firefox-esr"],
			advice: [
				"  Debian   sudo apt-get install firefox-esr",
				"  Ubuntu   Firefox from Mozilla's own archive (the snap cannot be driven with a profile of the tests)",
				"  Fedora   sudo dnf install firefox",
				"  macOS    brew install --cask firefox",
				"  others   install Firefox and set FIREFOX_BIN to the program's path",
			],
		},
		onLine,
	);
}

/** Path of WebKitGTK's driver for the browser tests; WEBKIT_DRIVER_BIN chooses another one. */
export function ensureWebkit(onLine) {
	return ensureBrowser(
		{
			name: "WebKitGTK with its driver and a virtual screen",
			variable: "WEBKIT_DRIVER_BIN",
			find: () => WEBKIT_PROGRAMS.every((program) => findProgram([program])) && findProgram(WEBKIT_PROGRAMS),
			packages: ["webkit2gtk-driver", "xvfb", "xauth"],
			advice: [
				"  Debian   sudo apt-get install webkit2gtk-driver xvfb xauth",
				"  Ubuntu   the same",
				"  Fedora   sudo dnf install webkitgtk6.0 xorg-x11-server-Xvfb xauth",
				"  others   put WebKitWebDriver, xvfb-run and xauth on the PATH; macOS has no WebKitGTK, run these tests in a Debian container",
			],
		},
		onLine,
	);
}

/** What `find` finds, now or after it was installed from Debian's packages. */
async function ensureBrowser({ name, variable, find, packages, advice }, onLine) {
	const chosen = process.env[variable];
	if (chosen) {
		if (existsSync(chosen)) return chosen;
		throw new MissingTool(`${variable} names ${chosen}, which does not exist.`);
	}
	const found = find();
	if (found) return found;
	if (mayInstallPackages()) {
		const result = await aptInstall(packages, onLine);
		const installed = find();
		if (installed) return installed;
		throw new MissingTool(`${name} could not be installed from Debian's packages:\n${result.output}`);
	}
	throw new MissingTool([`The browser tests need ${name}, which is not installed:`, ...advice].join("\n"));
}

/** The first of these programs that is on the PATH or at one of these places. */
function findProgram(names, places = []) {
	const folders = (process.env.PATH ?? "").split(delimiter);
	const candidates = names.flatMap((name) => folders.map((folder) => join(folder, name)));
	return [...candidates, ...places].find((path) => existsSync(path));
}

/** rustc links with the C compiler; rustup does not bring one. */
async function ensureLinker(onLine) {
	if (process.platform === "win32" || (await firstLine(["cc", "--version"]))) return;
	if (mayInstallPackages()) {
		const result = await aptInstall(["gcc", "libc6-dev"], onLine);
		if (result.code === 0) return;
		throw new MissingTool(`A C compiler could not be installed from Debian's packages:\n${result.output}`);
	}
	throw new MissingTool(
		"Rust needs a C compiler to link with:\n  Debian, Ubuntu   sudo apt-get install gcc libc6-dev\n  macOS            xcode-select --install",
	);
}

/** Only Debian itself: Ubuntu's chromium package is an installer for a snap, which does not work in a container. */
function mayInstallPackages() {
	if (process.getuid?.() !== 0 || !existsSync("/etc/os-release")) return false;
	return /^ID="?debian"?$/m.test(readFileSync("/etc/os-release", "utf8"));
}

async function aptInstall(packages, onLine) {
	const env = { DEBIAN_FRONTEND: "noninteractive" };
	await run(["apt-get", "update"], { env, limitSeconds: 300, onLine });
	const install = ["apt-get", "install", "--yes", "--no-install-recommends", ...packages];
	return run(install, { env, limitSeconds: 900, onLine });
}
