// The package's types in somebody else's strict project, with libraries checked.
import assert from "node:assert/strict";
import { test } from "node:test";
import { command, newProject, run } from "./support/project.mjs";

const APP = `
import { createClient, type Draft, isHitherError, type Room, type RoomStatus, type Text, text } from "hither";
import { HitherProvider, usePresence, useRoom, useShared, useStatus } from "hither/react";

interface Board {
	title: Text;
	todos: { title: string; done: boolean }[];
}

const client = createClient({ url: "ws://127.0.0.1:4455/sync" });

function add(draft: Draft<Board>, title: string): void {
	draft.todos.push({ title, done: false });
}

export async function main(): Promise<void> {
	const room: Room<Board> = await client.open<Board>("board", { initial: { title: text("Plans"), todos: [] } });
	const undo = room.subscribe((state) => state.todos.length, (count: number) => console.log(count));
	const receipt = room.change((d) => {
		add(d, "Milk");
		d.title.append("!");
	});
	await receipt.local;
	await receipt.server.catch((error: unknown) => console.log(isHitherError(error) && error.code));
	undo();
}

export function Todos() {
	const room = useRoom<Board, { name: string }>("board");
	const titles = useShared(room, (state) => state.todos.map((todo) => todo.title), (a, b) => a.join() === b.join());
	const status: RoomStatus | undefined = useStatus(room);
	const { others } = usePresence(room);
	return <p title={status?.connection.state}>{titles?.join()} {others.map((peer) => peer.state.name)}</p>;
}

export const app = <HitherProvider client={client}><Todos /></HitherProvider>;
`;

const config = (options) =>
	JSON.stringify({
		compilerOptions: {
			strict: true,
			noEmit: true,
			skipLibCheck: false,
			exactOptionalPropertyTypes: true,
			noUncheckedIndexedAccess: true,
			target: "ES2022",
			lib: ["ES2022", "DOM", "DOM.Iterable"],
			jsx: "react-jsx",
			types: [],
			...options,
		},
		include: ["app.tsx"],
	});

for (const [name, options] of [
	["bundlers", { module: "ESNext", moduleResolution: "Bundler" }],
	["Node", { module: "NodeNext", moduleResolution: "NodeNext" }],
]) {
	test(`types fit when resolved as ${name} do`, () => {
		const folder = newProject({ "app.tsx": APP, "tsconfig.json": config(options) }, [
			"react",
			"@types/react",
			"csstype",
		]);
		assert.equal(run(folder, command("typescript", "bin/tsc"), "-p", "."), "");
	});
}
