/** Starts the page: one client for its lifetime, connected to the relay that serves it. */
import { createClient } from "hither";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { roomFromAddress } from "./address.ts";
import { App } from "./app.tsx";
import "./style/theme.css";
import "./style/page.css";
import "./style/board.css";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");

const room = roomFromAddress();
document.title = `${room} · Hither`;
const client = createClient({ name: "hither-demo" });

createRoot(root).render(
	<StrictMode>
		<App client={client} room={room} />
	</StrictMode>,
);
