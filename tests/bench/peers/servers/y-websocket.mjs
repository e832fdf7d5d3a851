// @y/websocket-server as its own program starts it, on a port of the system's choice.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { setupWSConnection } from "@y/websocket-server/utils";

// The ws that it depends on itself.
const require = createRequire(import.meta.resolve("@y/websocket-server/utils"));
const sockets = new (require("ws").Server)({ noServer: true });
sockets.on("connection", setupWSConnection);
const server = createServer((_request, response) => response.end("okay"));
server.on("upgrade", (request, socket, head) => {
	sockets.handleUpgrade(request, socket, head, (socket) => sockets.emit("connection", socket, request));
});
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
