// Gives the demo exactly the files that `npm pack` would publish, and nothing else of sdk/js.
//
// The workspace link node_modules/hither shows the whole folder, sources included, so a file missing from the
// published list would go unnoticed. The packed files go to demo-web/node_modules/hither, which Node and Vite
// find before the link.
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./command.mjs";

/** Packs sdk/js and unpacks the tarball below the demo; takes about a second. */
export async function packForDemo() {
	const modules = join(root, "demo-web", "node_modules");
	const work = join(modules, ".hither-pack");
	rmSync(work, { recursive: true, force: true });
	mkdirSync(work, { recursive: true });
	await must(["npm", "pack", "--ignore-scripts", "--workspace", "hither", "--pack-destination", work]);
	const tarball = readdirSync(work).find((name) => name.endsWith(".tgz"));
	await must(["tar", "-xzf", join(work, tarball), "-C", work]);
	rmSync(join(modules, "hither"), { recursive: true, force: true });
	renameSync(join(work, "package"), join(modules, "hither"));
	rmSync(work, { recursive: true, force: true });
	// Vite keeps what it has bundled of dependencies for `vite dev`; the files behind it are new.
	rmSync(join(modules, ".vite"), { recursive: true, force: true });
}

async function must(argv) {
	const result = await run(argv, { limitSeconds: 120 });
	if (result.code !== 0) throw new Error(`${argv.join(" ")} failed:\n${result.output}`);
}
