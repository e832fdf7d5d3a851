// Figures to docs/benchmarks.md and its plots.
//
//   node tests/bench/report/page.mjs FIGURES_FOLDER DOCS_FOLDER
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WORKS } from "../client/work.mjs";
import { goals, REFERENCES } from "./goals.mjs";
import { bars, short } from "./plot.mjs";
import { REASONS } from "./reasons.mjs";

const [figuresFolder, docs] = process.argv.slice(2);
const read = (name) => {
	const file = join(figuresFolder, `${name}.json`);
	return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
};
const figures = Object.fromEntries(["server", "client", "browser", "size"].map((name) => [name, read(name)]));
const about = read("about");
const plots = join(docs, "benchmarks");
mkdirSync(plots, { recursive: true });

/** References, ours, peers: as they are measured. */
const ORDER = ["reference", "ours", "peer"];
const role = (name) => (REFERENCES.includes(name) ? "reference" : /^Hither/.test(name) ? "ours" : "peer");

function plot(name, title, unit, entries) {
	const rows = entries
		.filter(([, value]) => value > 0)
		.map(([name, value]) => ({ name, value, role: role(name) }));
	if (rows.length === 0) return "";
	writeFileSync(join(plots, `${name}.svg`), bars({ title, unit, rows }));
	return `\n![${title}](benchmarks/${name}.svg)\n`;
}

function table(head, rows) {
	return [
		"",
		`| ${head.join(" | ")} |`,
		`|${head.map(() => "---").join("|")}|`,
		...rows.map((row) => `| ${row.join(" | ")} |`),
		"",
	].join("\n");
}

function goalsTable() {
	const rows = goals(figures).map(({ work, goal, shown, beside, isReached }) => [
		work,
		goal,
		beside === "" || /^(KB|KiB|ms|times)$/.test(beside) ? shown : `${shown} ${beside}`,
		isReached === undefined ? "" : isReached ? "reached" : "**not reached**",
	]);
	return table(["work", "goal", "this run", ""], rows);
}

function missed() {
	const open = new Set(
		goals(figures)
			.filter(({ isReached }) => isReached === false)
			.map(({ work }) => work),
	);
	const known = Object.entries(REASONS).filter(([work]) => [...open].some((title) => title.startsWith(work)));
	if (known.length === 0) return "";
	return `\nWhy, as far as known:\n\n${known.map(([work, reason]) => `- **${work}**: ${reason}`).join("\n")}\n`;
}

const NOTES = {
	p99_ms: "p99 ms",
	p50_ms: "p50 ms",
	server_cpu_share: "server CPU",
	generator_cpu_share: "generator CPU",
	server_cpu_ms: "server CPU ms",
	kb: "KB",
	ms: "ms",
	round_ms: "ms a round",
	sync_ms: "one sync, ms",
	resident_mb: "MB resident",
	resident_mb_without_rooms: "MB without rooms",
};

function serverPart() {
	if (figures.server === undefined) return "\nNot measured in this run.\n";
	return figures.server
		.map(({ work, title, unit, servers }) => {
			const entries = Object.entries(servers).sort(
				([one], [other]) => ORDER.indexOf(role(one)) - ORDER.indexOf(role(other)),
			);
			const notes = Object.keys(NOTES).filter((note) => entries.some(([, row]) => row[note] !== undefined));
			const rows = entries.map(([name, row]) => [
				name,
				row.failed === undefined ? short(row.figure) : `failed: ${row.failed}`,
				...notes.map((note) => (row[note] === undefined ? "" : short(row[note]))),
			]);
			const picture = /^rejoin|^acknowledgement|^durable|^start/.test(work)
				? ""
				: plot(
						work,
						title,
						unit,
						entries.map(([name, row]) => [name, row.figure]),
					);
			return `\n### ${title}\n${picture}${table(["server", unit, ...notes.map((note) => NOTES[note])], rows)}`;
		})
		.join("");
}

const CLIENT_NAMES = {
	hither: "Hither",
	yjs: "yjs",
	ywasm: "ywasm",
	plainYrs: "plain yrs",
	loro: "Loro",
	automerge: "Automerge",
	nativeYrs: "native yrs",
};

function clientPart() {
	if (figures.client === undefined) return "\nNot measured in this run.\n";
	const subjects = Object.keys(CLIENT_NAMES).filter((name) =>
		Object.values(figures.client).some((row) => row[name] !== undefined),
	);
	const rows = Object.entries(figures.client).map(([work, row]) => [
		WORKS[work].title,
		...subjects.map((name) =>
			row[name] === undefined ? "" : `${short(row[name])} (${(row[name] / row.yjs).toPrecision(2)})`,
		),
	]);
	const pictures = ["typed", "remote", "createEach", "setEach"].filter((work) => figures.client[work]);
	const drawn = pictures.map((work) =>
		plot(
			`client-${work}`,
			WORKS[work].title,
			"ms",
			subjects.map((name) => [CLIENT_NAMES[name], figures.client[work][name]]),
		),
	);
	return `${table(["work, ms (as a share of yjs)", ...subjects.map((name) => CLIENT_NAMES[name])], rows)}${drawn.join("")}`;
}

const BROWSER = {
	"open-0": "navigation to an empty room that can be edited, ms",
	"open-1000": "the same with 1,000 stored updates, ms",
	"open-10000": "with 10,000, ms",
	"open-100000": "with 100,000, ms",
	typing: "typing with persistence, inside the edit call, median ms",
	"typing-longest": "the longest of these calls, ms",
};

const PAGES = {
	hither: "Hither",
	yjs: "yjs, y-indexeddb",
	automerge: "automerge-repo",
	raw: "the database alone",
};

function browserPart() {
	if (figures.browser === undefined) return "\nNot measured in this run.\n";
	const show = (value) => (value === undefined ? "" : short(value));
	const subjects = Object.keys(PAGES).filter((name) => figures.browser["open-0"]?.[name] !== undefined);
	const rows = Object.entries(BROWSER)
		.filter(([name]) => figures.browser[name])
		.map(([name, title]) => [title, ...subjects.map((subject) => show(figures.browser[name][subject]))]);
	const { "rows-rendered": rendered = {}, "rows-ms": ms = {} } = figures.browser;
	const react = Object.entries({
		hither: "Hither, `useShared` and keyed rows",
		yjsRows: "yjs, each row observes its map, by hand",
		yjsPlain: "yjs, `toJSON()` as state",
	})
		.filter(([name]) => rendered[name] !== undefined)
		.map(([name, title]) => [title, show(rendered[name]), show(ms[name])]);
	const open = Object.entries(figures.browser["open-100000"] ?? {}).map(([name, value]) => [
		PAGES[name],
		value,
	]);
	return [
		table(["work", ...subjects.map((name) => PAGES[name])], rows),
		plot(
			"open-100000",
			"open a page with 100,000 stored updates",
			"ms from navigation to a document that can be edited",
			open,
		),
		table(["1,000 rows of React, one remote change", "rows rendered", "ms to the document"], react),
	].join("");
}

function sizePart() {
	if (figures.size === undefined) return "\nNot measured in this run.\n";
	const entries = Object.entries(figures.size).map(([name, bytes]) => [
		name === "hither" ? "Hither" : name,
		bytes / 1024,
	]);
	return (
		plot("weight", "what a page loads", "KiB gzipped, WebAssembly included", entries) +
		table(
			["", "KiB gzipped"],
			entries.map(([name, kib]) => [name, kib.toFixed(1)]),
		)
	);
}

/** Subjects of the whole benchmark that this run has no figure of. */
function absent() {
	const servers = new Set((figures.server ?? []).flatMap(({ servers }) => Object.keys(servers)));
	const clients = new Set(Object.values(figures.client ?? {}).flatMap((row) => Object.keys(row)));
	const wanted = {
		"yrs-axum": servers,
		"y-sweet, memory": servers,
		ywasm: clients,
		loro: clients,
		automerge: clients,
		plainYrs: clients,
		nativeYrs: clients,
	};
	const missing = Object.keys(wanted).filter((name) => !wanted[name].has(name));
	if (missing.length === 0) return "";
	const named = missing.map((name) => CLIENT_NAMES[name] ?? name.replace(/,.*/, ""));
	return `\nNot part of this run, for want of time to build or to wait for them: ${named.join(", ")}.`;
}

const { machine, versions, date, amount } = about;
const page = `# Benchmarks

Hither beside what people use today, side by side on one machine. \`npm run bench -- --write\` makes this page; \`npm test\` runs each of
our own benchmarks small, so that they do not rot, and looks at no figure.

Figures of ${date}, amounts as in \`${amount === "quick" ? "npm run bench -- --quick" : "npm run bench"}\`, on ${machine.processors} processors (${machine.processor}),
${machine.memory_gb} GB, ${machine.system}. Times on the wall move from run to run and are upper bounds. What counts are CPU
seconds and the ratios within a work, whose subjects take turns; figures of different works cannot be compared.

## Goals

Ratios are ours to theirs.
${goalsTable()}${missed()}
## Servers

The server has processor 0 to itself and the generator processor 1. A figure is the median of ${amount === "quick" ? "three" : "five"} runs, each with a new server process;
idle connections and rejoins are one run. Idle memory is what comes on top of a server that 100 others have visited before. CPU seconds are the server process's, user and system, from \`/proc\`. The people of the
generator write hand-made Yjs updates and hold no document; every receiver checks that it got every update exactly once, a newcomer that no letter
is missing, and a run where that is not so has no figure. *Generator CPU* is the share of its processor that the generator used: below 0.9 it is not what
limits; in the closed loop and where it is higher, deliveries per CPU second still count, since an idle server uses none.
Hither stores on disk and syncs before it passes on (*file store*), except where *memory* is said. The bare broadcasts keep and check nothing.
y-sweet is built by \`cargo install\` from crates.io, yrs-axum as its documentation shows it.${absent()}
${serverPart()}
## Client, in Node

Each figure comes from a process of its own, subjects take turns, medians. Milliseconds are those that the thread computed, without the
time that it waited for a processor. B4 is the history of a paper, 259,778 keystrokes. Hither works through drafts with a receipt for each edit, its socket
ends in the same process and acknowledges; the others have an observer that takes each update. Automerge sets a hundredth of the fields and
creates a tenth of the items one by one, multiplied. *Plain yrs* is the CRDT behind a border that does nothing else, *native yrs* the same
without a page, both compiled for speed and with the items to be set at hand. A document is compared with what it should be after every run.
${clientPart()}
## Client, in Chromium

The page scripts are bundled and minified; every opening is a new page of the same profile, medians. The stored updates are words typed one by one; the page is closed when all are on
the disk. *The database alone* is a page that keeps a row for each edit and reads all of them when it is opened: no page that asks the disk can be
sooner, unless it keeps fewer rows. React's rows are measured with a relay inside the page, from the message of the change to the changed document.
${browserPart()}
## What a page loads
${sizePart()}
## Versions
${table(
	["", "version"],
	Object.entries(versions)
		.filter(([, version]) => version)
		.map(([name, version]) => [name, String(version).replace(/^v/, "")]),
)}`;
writeFileSync(join(docs, "benchmarks.md"), `${page.trimEnd()}\n`);
