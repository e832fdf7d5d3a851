// How many tests a suite ran, read from what it printed.
//
// Each reader returns { passed, failed, notes }. A skipped or ignored test counts as failed: a test that nobody
// runs proves nothing, and nobody looks for it. Readers know one runner's summary; `judge` adds what no summary says:
// a suite that crashed, ran out of time or ran no test at all has failed.

import { stripVTControlCharacters as plain } from "node:util";

const sum = (text, pattern) =>
	[...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);

export const readers = {
	/** cargo test: one `test result:` line per test binary and per crate's documentation. */
	cargo(output) {
		const lines = plain(output)
			.split("\n")
			.filter((line) => line.startsWith("test result:"))
			.join("\n");
		const ignored = sum(lines, /(\d+) ignored/g);
		return {
			passed: sum(lines, /(\d+) passed/g),
			failed: sum(lines, /(\d+) failed/g) + ignored,
			notes: ignored ? [`${ignored} ignored`] : [],
		};
	},

	/** node --test, reporters spec (ℹ pass 3) and tap (# pass 3). */
	node(output) {
		const text = plain(output);
		const count = (word) => sum(text, new RegExp(`^(?:ℹ|#) ${word} (\\d+)$`, "gm"));
		const skipped = count("skipped") + count("todo");
		return {
			passed: count("pass"),
			failed: count("fail") + count("cancelled") + skipped,
			notes: skipped ? [`${skipped} skipped`] : [],
		};
	},

	/** vitest: `Tests  1 failed | 12 passed | 2 skipped (15)`; type errors and unhandled errors fail through the exit code. */
	vitest(output) {
		const lines = plain(output)
			.split("\n")
			.filter((line) => /^\s*Tests\s/.test(line))
			.join("\n");
		const skipped = sum(lines, /(\d+) skipped/g) + sum(lines, /(\d+) todo/g);
		return {
			passed: sum(lines, /(\d+) passed/g),
			failed: sum(lines, /(\d+) failed/g) + skipped,
			notes: skipped ? [`${skipped} skipped`] : [],
		};
	},

	/** A tool without a count, such as a formatter or a compiler: the whole run is one test. */
	check(_output, code) {
		return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, notes: [] };
	},
};

/** The verdict on one finished command of `run` (command.mjs). */
export function judge(reader, { code, output, timedOut }) {
	const { passed, failed, notes } = readers[reader](output, code);
	const verdict = { passed, failed, notes: [...notes] };
	const fail = (note) => {
		verdict.notes.push(note);
		if (verdict.failed === 0) verdict.failed = 1;
	};
	if (timedOut) fail("time was up");
	else if (code === null) fail("ended by a signal or not startable");
	else if (code !== 0 && failed === 0) fail(`exit code ${code}`);
	if (code === 0 && passed + failed === 0) fail("no test ran");
	return verdict;
}
