// Real editing histories, typed into a Hither client, arrive whole at a stock Yjs client, also after everything was
// restarted from the disk. The histories lie beside the project; without them a made-up one serves. (tests/system types
// all of them keystroke by keystroke; here the longest comes in bursts, because one Node process holds both sides.)
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { text } from "hither";
import { root, startRelay } from "../e2e/support/relay.mjs";
import { eventually, everybodyLeaves, hither, stock } from "./people.mjs";

const folder = process.env.HITHER_HISTORIES ?? join(root, "..", "shared", "data");

let relay;
before(async () => {
	relay = await startRelay();
});
after(async () => {
	await everybodyLeaves();
	await relay?.remove();
});

for (const [name, burst] of [
	["sveltecomponent", 1],
	["automerge-paper", 100],
]) {
	test(`all of ${name} arrives at a stock client, also after a restart`, async (t) => {
		const { txns, endContent } = history(t, name);
		const writer = await hither(relay, name, { initial: { body: text("") } });
		let receipt;
		for (let at = 0; at < txns.length; at += burst) {
			receipt = writer.room.change(({ body }) => {
				for (const { patches } of txns.slice(at, at + burst)) {
					for (const [position, deleted, inserted] of patches) body.replace(position, deleted, inserted);
				}
			});
			if (at % 4_000 === 0) await receipt.server;
		}
		assert.equal(`${writer.room.state.body}`, endContent);
		await receipt.server;
		const reader = stock(relay, name);
		const body = reader.doc.getText("body");
		await eventually(() => body.toString() === endContent, true, 180_000);
		await everybodyLeaves();

		await relay.kill();
		await relay.start();
		const later = stock(relay, name);
		await eventually(() => later.doc.getText("body").toString() === endContent, true, 180_000);
		await everybodyLeaves();
	});
}

/** Positions of the files count code points, ours UTF-16 units: these two hold no character where that differs. */
function history(t, name) {
	const file = join(folder, `${name}.json.gz`);
	if (!existsSync(file)) {
		t.diagnostic(`${file} is not there: a made-up history of 20,000 keystrokes instead`);
		return madeUp(20_000);
	}
	const { txns, endContent } = JSON.parse(gunzipSync(readFileSync(file)).toString());
	assert.equal([...endContent].length, endContent.length);
	return { txns, endContent };
}

/** Typing that mostly goes on where it was, with corrections and jumps. The same every time. */
function madeUp(keystrokes) {
	let seed = 1;
	const random = (below) => {
		seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
		return (seed >>> 8) % below;
	};
	let endContent = "";
	let at = 0;
	const txns = [];
	for (let key = 0; key < keystrokes; key++) {
		if (random(50) === 0) at = random(endContent.length + 1);
		const deleted = random(10) === 0 ? Math.min(1, endContent.length - at) : 0;
		const inserted = deleted > 0 ? "" : "etaoin shrdlu\n"[random(14)];
		txns.push({ patches: [[at, deleted, inserted]] });
		endContent = endContent.slice(0, at) + inserted + endContent.slice(at + deleted);
		at += inserted.length;
	}
	return { txns, endContent };
}
