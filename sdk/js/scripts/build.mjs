// TypeScript to dist. What cargo xtask has put into dist/wasm stays.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("..", import.meta.url));
const dist = join(folder, "dist");

mkdirSync(dist, { recursive: true });
for (const name of readdirSync(dist)) {
	if (!name.startsWith("wasm")) rmSync(join(dist, name), { recursive: true });
}
const built = spawnSync("tsc", ["-p", "tsconfig.build.json"], {
	cwd: folder,
	stdio: "inherit",
	shell: process.platform === "win32",
});
if (built.error) console.error(`tsc cannot be started (${built.error.message}); use npm run build:js`);
if (built.status !== 0) process.exit(1);
for (const name of ["LICENSE-MIT", "LICENSE-APACHE"])
	copyFileSync(join(folder, "../..", name), join(dist, name));
if (!existsSync(join(dist, "wasm", "hither_bg.wasm"))) {
	console.error("dist/wasm is missing: run npm run build:wasm");
	process.exit(1);
}
