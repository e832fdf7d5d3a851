// The demo as people use it: two of them, each in a browser of their own, on a relay that serves the page.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { newPerson, startBrowser } from "./support/browser.mjs";
import { root, startRelay } from "./support/relay.mjs";

let relay;
let browser;
let rooms = 0;

before(async () => {
	relay = await startRelay({ serve: join(root, "demo-web", "dist") });
	browser = await startBrowser();
});

after(async () => {
	await browser?.close();
	await relay?.remove();
});

/** A board that is shown and connected. */
async function visit(room, options) {
	const page = await newPerson(browser, options);
	await page.goto(`${relay.origin}/?room=${room}`);
	await headline(page, "Saved on the relay");
	return page;
}

/** A new room with two people in it. */
async function pair() {
	const room = `demo-${++rooms}`;
	return { room, alice: await visit(room), bob: await visit(room) };
}

async function leave(...pages) {
	for (const page of pages) {
		assert.deepEqual(page.errors, []);
		await page.context().close();
	}
}

const headline = (page, text) => page.getByTestId("headline").filter({ hasText: text }).waitFor();
const list = (page, title) =>
	page.locator("[data-list]", { has: page.locator(`input.list-title[value="${title}"]`) });
const titles = (page) =>
	page.locator("input.list-title").evaluateAll((inputs) => inputs.map((input) => input.value));
const cards = (page, title) => list(page, title).locator("[data-card] .card-text").allTextContents();
const note = (page) => page.locator(".note textarea");

/** Waits until `read` gives `expected`; fails with what it gave last. */
async function eventually(read, expected) {
	const deadline = Date.now() + 60_000;
	for (;;) {
		const found = await read();
		try {
			assert.deepEqual(found, expected);
			return;
		} catch (error) {
			if (Date.now() > deadline) throw error;
		}
		await new Promise((resolve) => setTimeout(resolve, 25));
	}
}

async function addCard(page, title, text) {
	await list(page, title).getByPlaceholder("Add a card").fill(text);
	await page.keyboard.press("Enter");
}

async function addList(page, title) {
	await page.getByPlaceholder("Add a list").fill(title);
	await page.keyboard.press("Enter");
}

test("who knows only the relay meets everybody else who does", async () => {
	const [alice, bob] = await Promise.all([newPerson(browser), newPerson(browser)]);
	for (const page of [alice, bob]) {
		await page.goto(relay.origin);
		await headline(page, "Saved on the relay");
	}
	assert.equal(alice.url(), bob.url());
	await note(alice).fill("is anybody here?");
	await eventually(() => note(bob).inputValue(), "is anybody here?");
	await leave(alice, bob);
});

test("the engine is fetched once, before the scripts have run that ask for it", async () => {
	const page = await newPerson(browser);
	const fetched = [];
	page.on("request", (request) => {
		if (request.url().endsWith(".wasm")) fetched.push(request.url());
	});
	await page.goto(relay.origin);
	await headline(page, "Saved on the relay");
	assert.equal(fetched.length, 1, `fetched ${fetched}`);
	const begun = await page.evaluate(() => {
		const entries = performance.getEntriesByType("resource");
		const of = (ending) => entries.find(({ name }) => name.endsWith(ending));
		return { by: of(".wasm").initiatorType, early: of(".wasm").startTime <= of(".js").responseEnd };
	});
	assert.deepEqual(begun, { by: "link", early: true });
	await leave(page);
});

describe("two people on one board", () => {
	test("what one adds, renames, edits and deletes the other sees", async () => {
		const { alice, bob } = await pair();
		await addList(alice, "Later");
		await eventually(() => titles(bob), ["To do", "In progress", "Done", "Later"]);
		await addCard(alice, "Later", "Water the plants");
		await eventually(() => cards(bob, "Later"), ["Water the plants"]);

		await list(bob, "Later").locator("[data-card] .card-text").click();
		await bob.keyboard.type(" on Monday");
		await bob.keyboard.press("Enter");
		await eventually(() => cards(alice, "Later"), ["Water the plants on Monday"]);

		await list(bob, "Later").locator("input.list-title").fill("Soon");
		await bob.keyboard.press("Enter");
		await eventually(() => titles(alice), ["To do", "In progress", "Done", "Soon"]);

		await alice.getByRole("button", { name: "Delete Water the plants on Monday" }).click();
		await eventually(() => cards(bob, "Soon"), []);
		await alice.getByRole("button", { name: "Delete list Soon" }).click();
		await eventually(() => titles(bob), ["To do", "In progress", "Done"]);
		await leave(alice, bob);
	});

	test("a card is dragged with the mouse to another list and to another place in it", async () => {
		const { alice, bob } = await pair();
		for (const text of ["one", "two", "three"]) await addCard(alice, "Done", text);
		await eventually(() => cards(bob, "Done"), ["one", "two", "three"]);
		await drag(alice, "three", () => list(alice, "Done").locator("[data-card]").first());
		await eventually(() => cards(bob, "Done"), ["three", "one", "two"]);
		await drag(alice, "one", () => list(alice, "In progress"));
		await eventually(() => cards(bob, "Done"), ["three", "two"]);
		assert.ok((await cards(bob, "In progress")).includes("one"));
		await leave(alice, bob);
	});

	test("a card is moved with the keyboard, every step is announced, Escape puts it back", async () => {
		const { alice, bob } = await pair();
		await addCard(alice, "Done", "first");
		await addCard(alice, "Done", "second");
		await eventually(() => cards(bob, "Done"), ["first", "second"]);
		const said = () =>
			alice
				.getByTestId("announcer")
				.allTextContents()
				.then((texts) => texts.join(""));
		await alice.getByRole("button", { name: "Move first" }).focus();
		await alice.keyboard.press("Space");
		await eventually(async () => /lifted in Done, 1 of 2/.test(await said()), true);
		await alice.keyboard.press("ArrowDown");
		await eventually(said, "in Done, 2 of 2.");
		await alice.keyboard.press("ArrowLeft");
		await eventually(said, "in In progress, 2 of 2.");
		assert.equal(
			await alice.evaluate(() => document.activeElement?.getAttribute("aria-label")),
			"Move first",
		);
		assert.deepEqual(
			await cards(bob, "Done"),
			["first", "second"],
			"nobody else sees it before it is dropped",
		);
		await alice.keyboard.press("Space");
		await eventually(() => cards(bob, "Done"), ["second"]);
		assert.equal((await cards(bob, "In progress")).at(-1), "first");
		await eventually(async () => /dropped in In progress, 2 of 2/.test(await said()), true);

		await alice.getByRole("button", { name: "Move second" }).focus();
		await alice.keyboard.press("Space");
		await alice.keyboard.press("ArrowLeft");
		await alice.keyboard.press("Escape");
		await eventually(async () => /put back/.test(await said()), true);
		assert.deepEqual(await cards(alice, "Done"), ["second"]);
		await leave(alice, bob);
	});

	test("two who move one card at once have it once, at one place", async () => {
		const { alice, bob } = await pair();
		await addCard(alice, "To do", "contested");
		await eventually(async () => (await cards(bob, "To do")).includes("contested"), true);
		for (const page of [alice, bob]) await page.getByRole("switch").click();
		for (const page of [alice, bob]) await headline(page, "Offline");
		await drag(alice, "contested", () => list(alice, "In progress"));
		await drag(bob, "contested", () => list(bob, "Done"));
		for (const page of [alice, bob]) await page.getByRole("switch").click();
		for (const page of [alice, bob]) await headline(page, "Saved on the relay");
		const places = async (page) => {
			const found = await Promise.all(["To do", "In progress", "Done"].map((title) => cards(page, title)));
			return found.map((texts) => texts.filter((text) => text === "contested").length);
		};
		await eventually(
			async () => JSON.stringify(await places(bob)) === JSON.stringify(await places(alice)),
			true,
		);
		assert.equal(
			(await places(alice)).reduce((sum, count) => sum + count),
			1,
		);
		await leave(alice, bob);
	});

	test("both write in the note at once; the caret stays at its letter", async () => {
		const { alice, bob } = await pair();
		await note(alice).fill("The end.");
		await eventually(() => note(bob).inputValue(), "The end.");
		await note(bob).focus();
		await note(bob).evaluate((field) => field.setSelectionRange(8, 8));
		// What the others then see of bob makes his own page render again.
		await alice.getByText("is writing").waitFor();
		assert.equal(await note(bob).evaluate((field) => field.selectionStart), 8);
		await note(alice).focus();
		await note(alice).evaluate((field) => field.setSelectionRange(0, 0));
		await Promise.all([alice.keyboard.type("Once upon a time. "), bob.keyboard.type(" Or is it?")]);
		const whole = "Once upon a time. The end. Or is it?";
		await eventually(() => note(alice).inputValue(), whole);
		await eventually(() => note(bob).inputValue(), whole);
		assert.equal(await note(bob).evaluate((field) => field.selectionStart), whole.length);
		assert.equal(await note(alice).evaluate((field) => field.selectionStart), "Once upon a time. ".length);
		await leave(alice, bob);
	});

	test("each sees who is here, where they point and what they edit, and that they have left", async () => {
		const { alice, bob } = await pair();
		await bob.locator(".me input").fill("Bob Bobsen");
		await bob.keyboard.press("Enter");
		await alice.locator(".people li", { hasText: "Bob Bobsen" }).waitFor();
		const target = await list(bob, "Done").boundingBox();
		await bob.mouse.move(target.x + target.width / 2, target.y + 20);
		const pointer = alice.locator(".cursor", { hasText: "Bob Bobsen" });
		await pointer.waitFor();
		const done = await list(alice, "Done").boundingBox();
		await eventually(async () => {
			const box = await pointer.boundingBox();
			return Math.abs(box.x - (done.x + done.width / 2)) < 4 && Math.abs(box.y - (done.y + 20)) < 4;
		}, true);
		await note(bob).focus();
		await alice.getByText("Bob Bobsen is writing").waitFor();
		await bob.reload();
		await headline(bob, "Saved on the relay");
		assert.equal(await bob.locator(".me input").inputValue(), "Bob Bobsen");
		await leave(bob);
		await alice.locator(".people li").first().waitFor({ state: "detached" });
		await leave(alice);
	});
});

describe("the status light", () => {
	test("the switch cuts the connection; edits wait, are counted, and arrive when it is back", async () => {
		const { alice, bob } = await pair();
		const connection = alice.getByRole("switch", { name: "Connection" });
		assert.equal(await connection.getAttribute("aria-checked"), "true");
		await connection.click();
		await headline(alice, "Offline, saved on this device");
		await addCard(alice, "Done", "made in a tunnel");
		await alice.getByTestId("relay").filter({ hasText: "1 change waiting" }).waitFor();
		await alice.getByTestId("device").filter({ hasText: "saved" }).waitFor();
		assert.deepEqual(await cards(bob, "Done"), []);
		await connection.click();
		await headline(alice, "Saved on the relay");
		await eventually(() => cards(bob, "Done"), ["made in a tunnel"]);
		await leave(alice, bob);
	});

	test("a relay that is gone shows as waiting with a countdown; reloads keep everything; it heals by itself", async () => {
		const { alice, bob } = await pair();
		await relay.kill();
		try {
			await headline(alice, "Waiting for the relay");
			await addCard(alice, "Done", "while it was down");
			await alice.getByTestId("relay").filter({ hasText: "1 change waiting" }).waitFor();
			await alice.locator(".countdown").waitFor();
		} finally {
			await relay.start();
		}
		await headline(alice, "Saved on the relay");
		await eventually(() => cards(bob, "Done"), ["while it was down"]);
		await alice.reload();
		await eventually(() => cards(alice, "Done"), ["while it was down"]);
		await leave(alice, bob);
	});
});

describe("on a phone", () => {
	const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

	test("nothing is wider than the screen, with long words and names, too", async () => {
		const page = await visit("phone-width", phone);
		await addCard(page, "To do", "x".repeat(200));
		await addList(page, "A list with a name that is much longer than a phone is wide");
		await page.locator(".me input").fill("W".repeat(32));
		const guest = await visit("phone-width");
		await page.locator(".people li").waitFor();
		assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
		await leave(page, guest);
	});

	test("a card is dragged by its handle with a finger", async () => {
		const page = await visit("phone-drag", phone);
		await addCard(page, "Done", "by hand");
		const from = await page.getByRole("button", { name: "Move by hand" }).boundingBox();
		const to = await list(page, "In progress").boundingBox();
		const touch = await page.context().newCDPSession(page);
		const point = (box) => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
		const send = (type, at) => touch.send("Input.dispatchTouchEvent", { type, touchPoints: at ? [at] : [] });
		await send("touchStart", point(from));
		for (let step = 1; step <= 10; step++) {
			const [a, b] = [point(from), point(to)];
			await send("touchMove", { x: a.x + ((b.x - a.x) * step) / 10, y: a.y + ((b.y - a.y) * step) / 10 });
		}
		await send("touchEnd");
		await eventually(async () => (await cards(page, "In progress")).includes("by hand"), true);
		await leave(page);
	});
});

/** Drags the card with this text by the mouse onto the middle of what `target` gives (its upper part for a card). */
async function drag(page, text, target) {
	const from = await page.locator("[data-card]", { hasText: text }).boundingBox();
	await page.mouse.move(from.x + from.width / 2, from.y + from.height / 2);
	await page.mouse.down();
	await page.mouse.move(from.x + from.width / 2 + 8, from.y + from.height / 2 + 8, { steps: 2 });
	const to = await target().boundingBox();
	await page.mouse.move(to.x + to.width / 2, to.y + 8, { steps: 8 });
	await page.locator(".ghost").waitFor();
	await page.mouse.up();
}
