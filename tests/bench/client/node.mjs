// The client's work in Node, subjects side by side.
//
//   node tests/bench/client/node.mjs [--small] [--runs N] [--only WORK,…] [--subjects NAME,…] [--json FILE]
//                                    [--plain-yrs FOLDER] [--native-yrs PROGRAM]
//
// The last two are what tests/bench/peers/plain-yrs was built into: its border to JavaScript, and its program.
// Every figure comes from a process of its own, subjects take turns, and the median of the runs counts. Milliseconds are
// those that the thread computed (work.mjs, `clock`); the ratio is to yjs in this run.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { history } from "./history.mjs";
import { FULL, median, SMALL, WORKS } from "./work.mjs";
import { recordings } from "./yjs.mjs";

const SUBJECTS = ["hither", "yjs"];
/** The same work without a page, by a program of its own. */
const NATIVE = "nativeYrs";
const LIMIT_MS = 600_000;
const one = fileURLToPath(new URL("one.mjs", import.meta.url));

/** work → subject → figure; a work that a subject does not do is missing. */
export async function measureClient({
	small = false,
	runs = 3,
	works = Object.keys(WORKS),
	subjects = SUBJECTS,
	plainYrs,
	nativeYrs,
	onFigure = () => {},
}) {
	const folder = mkdtempSync(join(tmpdir(), "hither-client-"));
	try {
		const size = small ? SMALL : FULL;
		const recordings = write(folder, size);
		if (plainYrs !== undefined) process.env.HITHER_BENCH_PLAIN_YRS = plainYrs;
		const env = { ...process.env, HITHER_BENCH_RECORDINGS: recordings };
		const measure = async (subject, work) =>
			subject === NATIVE
				? figureOf(nativeYrs, ["measure", work, JSON.stringify(size), recordings], env)
				: measureOne(subject, work, small, env);
		const figures = {};
		for (const work of works) {
			const found = Object.fromEntries(subjects.map((subject) => [subject, []]));
			for (let run = 0; run < runs; run++) {
				for (const subject of subjects) {
					const figure = await measure(subject, work).catch((error) => {
						// A peer that fails has no figure; ours and the one that everything is compared with must not.
						if (SUBJECTS.includes(subject)) throw error;
						console.error(`${subject}, ${work}: ${error.message}`);
					});
					if (figure !== undefined) found[subject].push(figure);
				}
			}
			figures[work] = {};
			for (const subject of subjects)
				if (found[subject].length > 0) figures[work][subject] = median(found[subject]);
			onFigure(work, figures[work]);
		}
		return figures;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

async function measureOne(subject, work, small, env) {
	const file = fileOf(subject);
	const { works } = await import(file);
	if (works[work] === undefined) return undefined;
	return figureOf(process.execPath, [one, file, work, ...(small ? ["--small"] : [])], env);
}

/** The number that a program ends with. */
async function figureOf(program, args, env) {
	const { stdout } = await promisify(execFile)(program, args, { env, timeout: LIMIT_MS });
	const figure = Number(stdout.trim().split("\n").at(-1));
	if (!(figure >= 0)) throw new Error(`no figure in ${JSON.stringify(stdout)}`);
	return figure;
}

/** Peers stand where their packages are installed. */
function fileOf(subject) {
	const folder = SUBJECTS.includes(subject) ? "." : "../peers/client";
	return fileURLToPath(new URL(`${folder}/${subject}.mjs`, import.meta.url));
}

/** The recordings as one file of bytes and one of words; one.mjs and the native program read them. */
function write(folder, size) {
	const { base, updates, text, nested, end } = recordings(size);
	const file = join(folder, "recordings");
	writeFileSync(file, Buffer.concat([base, ...updates, text.update, nested.update]));
	const words = {
		base: base.length,
		lengths: updates.map(({ length }) => length),
		text: { length: text.update.length, end },
		nested: { length: nested.update.length },
		end,
		edits: history(size.keystrokes).edits,
	};
	writeFileSync(`${file}.json`, JSON.stringify(words));
	return file;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const { values } = parseArgs({
		options: {
			small: { type: "boolean" },
			runs: { type: "string" },
			only: { type: "string" },
			subjects: { type: "string" },
			"plain-yrs": { type: "string" },
			"native-yrs": { type: "string" },
			json: { type: "string" },
		},
	});
	const figures = await measureClient({
		small: values.small,
		...(values.runs && { runs: Number(values.runs) }),
		...(values.only && { works: values.only.split(",") }),
		...(values.subjects && { subjects: values.subjects.split(",") }),
		plainYrs: values["plain-yrs"],
		nativeYrs: values["native-yrs"],
		onFigure(work, found) {
			for (const [subject, figure] of Object.entries(found)) {
				const ratio = found.yjs === undefined ? "" : `${(figure / found.yjs).toFixed(3)} of yjs`;
				console.log(
					`${WORKS[work].title.padEnd(46)} ${subject.padEnd(12)} ${figure.toFixed(4).padStart(12)} ms  ${ratio}`,
				);
			}
		},
	});
	if (values.json) writeFileSync(values.json, `${JSON.stringify(figures, null, "\t")}\n`);
}
