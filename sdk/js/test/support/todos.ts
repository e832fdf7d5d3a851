/** A room that most tests are about. */
import type { Room } from "../../src/public.js";
import { FakeEngine, type FakeRoom, fakeClient, turn } from "./engine.js";

export interface Todos {
	todos: { title: string; done: boolean }[];
	other: { deep: { n: number } };
	note: string;
}

export const initial = (): Todos => ({
	todos: [
		{ title: "milk", done: false },
		{ title: "tea", done: false },
	],
	other: { deep: { n: 1 } },
	note: "",
});

export async function open(options: Parameters<typeof fakeClient>[0] = {}): Promise<{
	client: ReturnType<typeof fakeClient>;
	room: Room<Todos>;
	engine: FakeEngine;
	remote: FakeRoom;
}> {
	const client = fakeClient(options);
	const room = await client.open<Todos>("board", { initial: initial() });
	await turn();
	return { client, room, engine: FakeEngine.latest, remote: FakeEngine.latest.room("board") };
}
