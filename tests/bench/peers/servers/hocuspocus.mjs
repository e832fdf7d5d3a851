// @hocuspocus/server with its defaults; with a file as argument its SQLite extension keeps the documents there.
import { SQLite } from "@hocuspocus/extension-sqlite";
import { Server } from "@hocuspocus/server";

const [database] = process.argv.slice(2);
const server = new Server({
	port: 0,
	address: "127.0.0.1",
	quiet: true,
	extensions: database === undefined ? [] : [new SQLite({ database })],
});
await server.listen();
console.log(`listening on http://127.0.0.1:${server.address.port}`);
