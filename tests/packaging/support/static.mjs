// A plain file server, with what servers get wrong as options.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";

const TYPES = {
	".html": "text/html",
	".js": "text/javascript",
	".css": "text/css",
	".wasm": "application/wasm",
};

/**
 * Serves a folder. `types` replaces content types by extension; `missing` answers what is not there (a page of HTML,
 * as servers of single-page applications do). `requests` collects the paths asked for.
 */
export async function serveFiles(folder, { types = {}, missing } = {}) {
	const requests = [];
	const server = createServer((request, response) => {
		const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname))
			.split(sep)
			.join("/");
		requests.push(path);
		try {
			const body = readFileSync(join(folder, path === "/" ? "index.html" : path));
			const type = { ...TYPES, ...types }[extname(path) || ".html"] ?? "application/octet-stream";
			response.writeHead(200, { "content-type": type }).end(body);
		} catch {
			if (missing === undefined) response.writeHead(404).end("not found");
			else response.writeHead(200, { "content-type": "text/html" }).end(missing);
		}
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	return {
		origin: `http://127.0.0.1:${server.address().port}`,
		requests,
		stop: () => server.close(),
	};
}
