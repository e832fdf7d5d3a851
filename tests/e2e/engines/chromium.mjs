// Chromium, driven through playwright. A device is a profile on the disk.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { launchOptions } from "../support/browser.mjs";

export const chromiumEngine = {
	name: "Chromium",
	keepsProfiles: true,
	async device() {
		const profile = mkdtempSync(join(tmpdir(), "hither-chromium-"));
		let context = await launch(profile);
		return {
			async page(url) {
				const page = await context.newPage();
				await page.goto(url);
				return {
					run: (action, ...given) => page.evaluate(asked(action, given)),
					goto: (to) => page.goto(to),
					close: () => page.close(),
				};
			},
			async restart() {
				await context.close();
				context = await launch(profile);
			},
			async close() {
				await context.close();
				// A process of the browser may still write there.
				rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
			},
		};
	},
};

const launch = (profile) => chromium.launchPersistentContext(profile, launchOptions);

/** A call of `action` as an expression: playwright passes only one argument. */
const asked = (action, given) => `(${action})(...${JSON.stringify(given)})`;
