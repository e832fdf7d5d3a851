// A folder to serve: the built package under /hither, a page that runs one script of these tests.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./relay.mjs";

/** Gives { folder, remove() }. The page at / runs `support/page.js`, which opens the room of its query. */
export function makeSite() {
	const folder = mkdtempSync(join(tmpdir(), "hither-site-"));
	cpSync(join(root, "sdk", "js", "dist"), join(folder, "hither"), { recursive: true });
	cpSync(join(root, "tests", "e2e", "support", "page.js"), join(folder, "page.js"));
	writeFileSync(
		join(folder, "index.html"),
		'<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
	);
	return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
