// One work of one subject in a process of its own: prints the figure as the last line.
//
//   node one.mjs FILE WORK [--small]
import { readFileSync } from "node:fs";
import { FULL, SMALL } from "./work.mjs";

const [file, work, size] = process.argv.slice(2);
const { works } = await import(file);
const recorded = process.env.HITHER_BENCH_RECORDINGS;
const figure = await works[work]({
	...(size === "--small" ? SMALL : FULL),
	...(recorded ? read(recorded) : {}),
});
console.log(figure);
process.exit(0);

/** What `write` in node.mjs has written. */
function read(file) {
	const bytes = readFileSync(file);
	const { lengths, ...rest } = JSON.parse(readFileSync(`${file}.json`, "utf8"));
	let at = 0;
	const take = (length) => {
		at += length;
		// A copy: a Buffer's own slice would share.
		return new Uint8Array(bytes.subarray(at - length, at));
	};
	const base = take(rest.base);
	const updates = lengths.map(take);
	rest.text.update = take(rest.text.length);
	rest.nested.update = take(rest.nested.length);
	return { ...rest, base, updates };
}
