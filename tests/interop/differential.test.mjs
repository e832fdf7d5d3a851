// Random histories of people with Hither, yjs 13 and yjs 14 in one room: at the end all have the same document.
//
// A history is a function of its seed, apart from the order in which the network delivers. People edit, undo, leave
// the network and come back; then everybody is online, has seen everybody's last mark, and is compared: the
// documents of stock clients item by item (pictures.mjs), together with their state vectors and deletions, and
// Hither's state with what it should show of them. Then one newcomer of each kind joins and must have the same.
//
//   HITHER_SEEDS=300 node --test tests/interop/differential.test.mjs     seeds 1 to 300 of each pairing
//   HITHER_SEED=17 node --test tests/interop/differential.test.mjs       this one
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { startRelay } from "../e2e/support/relay.mjs";
import { KINDS } from "./crowd.mjs";
import { explained, Spoiled } from "./disagreement.mjs";
import { everybodyLeaves } from "./people.mjs";
import { stateOf } from "./pictures.mjs";
import { seeded } from "./random.mjs";

const PAIRINGS = [
	["yjs 13"],
	["yjs 13", "yjs 14"],
	["yjs 14"],
	["hither", "yjs 13"],
	["hither", "yjs 14"],
	["hither"],
	["hither", "yjs 13", "yjs 14"],
];
const only = process.env.HITHER_SEED;
const SEEDS = only
	? [Number(only)]
	: Array.from({ length: Number(process.env.HITHER_SEEDS ?? 6) }, (_, index) => index + 1);

let relay;
const complaints = [];
const complain = console.error;

before(async () => {
	relay = await startRelay();
	// What a stock client cannot apply it tells the console, and goes on without it.
	console.error = (...words) => complaints.push(words.map((word) => word?.stack ?? String(word)).join(" "));
});
after(async () => {
	console.error = complain;
	delete globalThis.crypto.getRandomValues;
	await everybodyLeaves();
	await relay?.remove();
});

for (const kinds of PAIRINGS) {
	const names = kinds.length === 1 ? `${kinds[0]} and ${kinds[0]}` : kinds.join(" and ");
	test(`[Y1] ${names} have the same after random edits, ${SEEDS.length} histories`, async () => {
		for (const seed of SEEDS) {
			try {
				await unspoiled(seed, (seed) => history(kinds, seed));
			} catch (error) {
				throw new Error(`HITHER_SEED=${seed} of ${names}: ${error.message}`, { cause: error });
			}
		}
	});
}

/** A newcomer reads a snapshot that the relay has made of the log, and not the log. */
test("[Y1] newcomers of every kind have the same from a compacted room", async () => {
	const kinds = Object.keys(KINDS);
	await unspoiled(Number(only ?? 1), async (seed) => {
		const { people, join } = await history(kinds, seed, { rounds: 3, edits: 500 });
		const deadline = Date.now() + 120_000;
		for (;;) {
			const reader = await join("yjs 13", "reader");
			await until(() => reader.isSettled(), true);
			if (reader.messagesRead() < 1_000) break;
			reader.leave();
			assert.ok(Date.now() < deadline, "the room was not compacted");
			await moment(100);
		}
		for (const kind of kinds) people.push(await join(kind, `late ${kind}`));
		await allTheSame(people);
	});
});

/** A history of which Yjs itself says two things cannot be compared; with other edits it can. */
async function unspoiled(seed, live) {
	for (let spoiled = 0; ; spoiled++) {
		try {
			return await live(seed + spoiled * 1_000_000);
		} catch (error) {
			if (!(error instanceof Spoiled) || spoiled === 2) throw error;
			complaints.length = 0;
		} finally {
			await everybodyLeaves();
		}
	}
}

async function history(kinds, seed, { rounds, edits } = {}) {
	const random = seeded(seed);
	drawIdsFrom(random);
	const room = `${kinds.join("-")}-${seed}-${edits}`.replaceAll(" ", "");
	// See writers.mjs: with embeds of yjs 14 in a text, Hither is not asked what it shows.
	const embeds = !kinds.includes("hither") && seed % 2 === 1;
	const join = (kind, name) => KINDS[kind](relay, room, name, random, { embeds });
	const people = [];
	const size = Math.max(kinds.length, 2 + random.below(2));
	for (let index = 0; index < size; index++) {
		people.push(await join(kinds[index % kinds.length], `person ${index}`));
	}
	rounds ??= 2 + random.below(3);
	for (let round = 1; round <= rounds; round++) {
		// Everybody apart, everybody together, or as it comes.
		const away = random.pick([0, 50, 100]);
		for (const person of people) if (random.chance(away)) person.leave();
		for (let left = edits ?? 5 + random.below(20); left > 0; left--) {
			random.pick(people).act();
			if (random.chance(30)) await moment(random.below(3));
			if (random.chance(3)) random.pick(people).leave();
			if (random.chance(3)) random.pick(people).back();
		}
		for (const person of people) person.back();
		for (const person of people) person.mark(round);
		await everyoneHasSeen(people, round);
	}
	await allTheSame(people);
	const late = Object.keys(KINDS).filter((kind) => kind !== "hither" || !embeds);
	for (const kind of late) people.push(await join(kind, `late ${kind}`));
	await allTheSame(people);
	assert.deepEqual(complaints, []);
	return { people, join };
}

/** The ids of Hither's clients decide who wins, as those of all do: they come from the seed too. */
function drawIdsFrom(random) {
	const value = (into) => {
		const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
		bytes.forEach((_, index) => {
			bytes[index] = random.below(256);
		});
		return into;
	};
	Object.defineProperty(globalThis.crypto, "getRandomValues", { value, configurable: true });
}

/** Nobody lacks anything that was written before the marks of this round. */
function everyoneHasSeen(people, round) {
	const expected = Object.fromEntries(people.map((_, index) => [`person ${index}`, round]));
	return until(
		() => people.map((person) => ({ ...person.marks() })),
		people.map(() => expected),
	);
}

/** Stock clients show the same, to the last id, and Hither clients what that means for them. */
async function allTheSame(people) {
	try {
		await showTheSame(people);
	} catch (error) {
		throw explained(people, error);
	}
}

async function showTheSame(people) {
	await until(
		() => people.map((person) => person.isSettled()),
		people.map(() => true),
	);
	const stock = people.filter(({ kind }) => kind !== "hither");
	const first = stock[0] ?? people[0];
	await until(
		() => people.map((person) => ({ ...person.shown(), troubles: person.troubles() })),
		() => {
			const shown = first.shown();
			const state = stock.length > 0 ? stateIn(shown) : shown;
			return people.map(({ kind }) => ({ ...(kind === "hither" ? state : shown), troubles: [] }));
		},
	);
}

const KIND_OF_ROOT = { note: "text", list: "list", map: "map", page: "fragment" };

/** What Hither shows of a stock client's document. */
function stateIn(shown) {
	const state = Object.entries(KIND_OF_ROOT).map(([root, kind]) => [root, stateOf(kind, shown[root])]);
	return Object.fromEntries(state);
}

async function until(read, expected, milliseconds = 60_000) {
	const deadline = Date.now() + milliseconds;
	for (;;) {
		const [found, wanted] = [read(), typeof expected === "function" ? expected() : expected];
		if (isDeepStrictEqual(found, wanted)) return;
		if (Date.now() > deadline) assert.deepStrictEqual(found, wanted);
		await moment(5);
	}
}

const moment = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
