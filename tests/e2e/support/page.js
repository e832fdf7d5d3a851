// The page of these tests: one room of the built package, within reach of the driver as `app`.
//
//   ?room=NAME    which room        &apart    without a connection
import { createClient, text } from "/hither/index.js";

const query = new URLSearchParams(location.search);
const client = createClient({ connect: !query.has("apart") });
const room = await client.open(query.get("room"), { initial: { title: text(""), items: [] } });

const failures = [];
addEventListener("error", (event) => failures.push(event.message));
addEventListener("unhandledrejection", (event) => failures.push(String(event.reason)));
room.onError((error) => failures.push(`${error.code}: ${error.message}`));

window.app = {
	client,
	room,
	failures,
	receipts: [],
	add(item) {
		const receipt = room.change((draft) => draft.items.push(item));
		window.app.receipts.push(receipt);
		return receipt;
	},
	/** What the driver can take away as JSON. */
	seen: () => ({
		title: `${room.state.title}`,
		items: [...room.state.items],
		count: room.state.items.length,
		connection: room.status.connection.state,
		local: room.status.local.state,
		server: room.status.server.state,
		others: room.presence.others.map(({ state }) => state),
		failures,
	}),
};
