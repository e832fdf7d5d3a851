// Firefox, driven through puppeteer by WebDriver BiDi. A device is a profile on the disk.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const executablePath =
	process.env.FIREFOX_BIN ?? ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find((path) => existsSync(path));

export const firefoxEngine = {
	name: "Firefox",
	keepsProfiles: true,
	async device() {
		const profile = mkdtempSync(join(tmpdir(), "hither-firefox-"));
		let browser = await launch(profile);
		return {
			async page(url) {
				const page = await browser.newPage();
				await page.goto(url);
				return {
					run: (action, ...given) => page.evaluate(action, ...given),
					goto: (to) => page.goto(to),
					close: () => page.close(),
				};
			},
			async restart() {
				await end(browser);
				browser = await launch(profile);
			},
			async close() {
				await end(browser);
				// A process of the browser may still write there.
				rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
			},
		};
	},
};

const launch = (userDataDir) =>
	puppeteer.launch({ browser: "firefox", executablePath, headless: true, userDataDir, timeout: 90_000 });

/** Puppeteer waits five seconds for the process. The profile is free when that has ended. */
async function end(browser) {
	const child = browser.process();
	const ended = new Promise((resolve) => child.once("exit", resolve));
	await browser.close();
	if (child.exitCode === null && child.signalCode === null) await ended;
}
