// Chromium, and people in it: each with a storage of their own, as on a device of their own.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const executablePath =
	process.env.CHROMIUM_BIN ?? ["/usr/bin/chromium", "/usr/bin/google-chrome"].find(existsSync);

/** How Chromium is launched. As root it needs its sandbox off. */
export const launchOptions = { executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] };

/** One browser for a test file. */
export function startBrowser() {
	return chromium.launch(launchOptions);
}

/**
 * A page in a new context. Whatever the page reports as an error is collected in `page.errors`, for the test to
 * look at: a page that only seems to work is not accepted.
 */
export async function newPerson(browser, options = {}) {
	const context = await browser.newContext({
		viewport: { width: 1280, height: 800 },
		locale: "en-GB",
		...options,
	});
	context.setDefaultTimeout(60_000);
	const page = await context.newPage();
	page.errors = [];
	page.on("pageerror", (error) => page.errors.push(error.message));
	page.on("console", (message) => {
		// A connection that the test cut is a fact, not a defect of the page; the browser reports it all the same.
		if (message.type() === "error" && !/WebSocket|ERR_(CONNECTION|INTERNET)/.test(message.text()))
			page.errors.push(message.text());
	});
	return page;
}
