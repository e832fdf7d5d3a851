// The package in Node: no page, no bundler, nothing fetched.
import assert from "node:assert/strict";
import { test } from "node:test";
import { newProject, run } from "./support/project.mjs";

test("the engine runs in Node", () => {
	const folder = newProject({
		"app.js": `
			import { createClient, isHitherError, text } from "hither";
			globalThis.fetch = () => { throw new Error("nothing must be fetched"); };
			const client = createClient({ url: "ws://127.0.0.1:9/sync", connect: false, storage: "memory" });
			const room = await client.open("board", { initial: { note: text("a"), list: [] } });
			const before = room.state;
			room.change((d) => { d.note.append("😀"); d.list.push({ n: 1 }); });
			room.change((d) => { d.list[0].n += 1; d.note.insert(1, "ü"); });
			let code;
			try { room.change((d) => { d.list = { not: "a list" }; }); } catch (error) { code = isHitherError(error) && error.code; }
			console.log(JSON.stringify({ before, after: room.state, code, local: room.status.local.state }));
			await client.close();
		`,
	});
	const { before, after, code, local } = JSON.parse(run(folder, "app.js"));
	assert.deepEqual(before, { note: "a", list: [] });
	assert.deepEqual(after, { note: "aü😀", list: [{ n: 2 }] });
	assert.equal(code, "bad-edit");
	assert.equal(local, "absent");
});

test("the first edit stands on the initial content, whatever is known of the relay by then", () => {
	const folder = newProject({
		"app.js": `
			import { createClient } from "hither";
			const initial = { visits: 5, todos: ["first"] };
			const states = [];
			for (const cut of [false, true]) {
				const client = createClient({ url: "ws://127.0.0.1:1", storage: "memory" });
				const room = await client.open("board", { initial });
				if (cut) client.disconnect();
				room.change((d) => { d.visits += 1; d.todos.push("second"); });
				const shown = room.state;
				// What the engine has, told to another mirror.
				await new Promise((resolve) => setTimeout(resolve, 50));
				states.push(shown, room.state);
				await client.close();
			}
			console.log(JSON.stringify(states));
		`,
	});
	const expected = { visits: 6, todos: ["first", "second"] };
	assert.deepEqual(JSON.parse(run(folder, "app.js")), [expected, expected, expected, expected]);
});

test("importing it on a server does nothing, and neither does making a client", () => {
	const folder = newProject({
		"app.js": `
			const names = Object.keys(globalThis).length;
			const { createClient } = await import("hither");
			const client = createClient();
			console.log(client.status.connection.state, Object.keys(globalThis).length - names);
		`,
	});
	assert.equal(run(folder, "app.js").trim(), "offline 0");
});

test("the entry for browsers can be imported on a server too", () => {
	const folder = newProject({
		"app.js": `
			const browser = await import("./node_modules/hither/dist/index.js");
			console.log(browser.createClient().status.connection.state);
		`,
	});
	assert.equal(run(folder, "app.js").trim(), "offline");
});
