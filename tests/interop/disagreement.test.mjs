// What a disagreement is put down to decides whether a history counts, so it is tested by itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as Y from "yjs";
import { explained, Spoiled } from "./disagreement.mjs";

const DELETES_0_OF_7 = Uint8Array.from([0, 2, 6, 0, 1, 7, 1, 0, 1]);
const cause = new Error("not the same");

function person({ note = "a", deletes = {}, said = [], heard = [], reread = note } = {}) {
	const shows = (note) => () => ({ note, deletes });
	return { kind: "yjs 13", shown: shows(note), reread: shows(reread), wire: { said, heard } };
}

test("one who reads its own document differently spoils the history", () => {
	assert.ok(explained([person(), person({ note: "ab", reread: "ba" })], cause) instanceof Spoiled);
});

test("a deletion that one lacks is a finding, and says who lacks it and whose messages spoke of it", () => {
	const people = [person(), person({ deletes: { 7: [[0, 1]] }, said: [DELETES_0_OF_7] })];
	const error = explained(people, cause);
	assert.ok(!(error instanceof Spoiled));
	assert.match(error.message, /"7:0","lacking":\["0 yjs 13"\],"said":\["1 yjs 13: 0"\],"heard":\[\]/);
	people[1].wire = { said: [], heard: [] };
	assert.ok(!(explained(people, cause) instanceof Spoiled));
});

test("so is what can be seen, and a Hither client that shows something else", () => {
	assert.ok(!(explained([person(), person({ note: "b" })], cause) instanceof Spoiled));
	assert.ok(!(explained([person(), person(), { kind: "hither" }], cause) instanceof Spoiled));
});

test("the deletion of these tests is one", () => {
	const doc = new Y.Doc();
	doc.clientID = 7;
	doc.getText("note").insert(0, "a");
	Y.applyUpdate(doc, DELETES_0_OF_7.subarray(3));
	assert.equal(doc.getText("note").toString(), "");
});
