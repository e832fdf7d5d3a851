// @vitest-environment happy-dom
import { act, Component, createElement as h, memo, type ReactNode, StrictMode, useEffect } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Room } from "../src/public.js";
import {
	HitherProvider,
	useClientStatus,
	usePresence,
	useRoom,
	useShared,
	useStatus,
} from "../src/react/index.js";
import { FakeEngine, fakeClient, ONLINE, turn } from "./support/engine.js";

interface Counters {
	a: number;
	b: number;
	list: { n: number }[];
}

const initial: Counters = { a: 1, b: 1, list: [{ n: 1 }, { n: 2 }] };

let page: HTMLElement;
let root: Root | undefined;

beforeEach(() => {
	vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
	page = document.createElement("div");
});

afterEach(async () => {
	await act(async () => root?.unmount());
	root = undefined;
	vi.unstubAllGlobals();
	vi.restoreAllMocks();
});

async function show(node: ReactNode): Promise<void> {
	await act(async () => {
		root ??= createRoot(page);
		root.render(node);
		await turn();
	});
}

const remote = () => FakeEngine.latest.room("board");

describe("hooks", () => {
	test("show a room when it is loaded, and render again only for what they select", async () => {
		const renders = { a: 0, all: 0 };
		function OnlyA({ room }: { room: Room<Counters> }) {
			renders.a += 1;
			return h(
				"i",
				null,
				useShared(room, (state) => state.a),
			);
		}
		function Board() {
			const room = useRoom<Counters>("board", { initial });
			const state = useShared(room);
			renders.all += 1;
			return room === undefined ? "opening" : [h(OnlyA, { key: 1, room }), ` b${state?.b}`];
		}
		const client = fakeClient();
		await show(h(HitherProvider, { client }, h(Board)));
		expect(page.textContent).toMatch(/^1 b1/);

		const room = await client.open<Counters>("board");
		await act(async () => {
			room.change((d) => {
				d.a = 2;
			});
		});
		expect(page.textContent).toMatch(/^2 b1/);
		const before = { ...renders };
		await act(async () => {
			remote().remote((d) => {
				d.list[0].n = 7;
			});
			await turn();
		});
		expect(renders.all).toBe(before.all + 1);
	});

	test("one remote change among 1,000 rows renders one row", async () => {
		type Table = { rows: { n: number }[] };
		const renders = new Map<number, number>();
		const Row = memo(function Row({ index, row }: { index: number; row: { readonly n: number } }) {
			renders.set(index, (renders.get(index) ?? 0) + 1);
			return h("li", null, row.n);
		});
		function Rows() {
			const room = useRoom<Table>("board", {
				initial: { rows: Array.from({ length: 1_000 }, (_, n) => ({ n })) },
			});
			const rows = useShared(room, (state) => state.rows);
			return h(
				"ul",
				null,
				rows?.map((row, index) => h(Row, { key: index, index, row })),
			);
		}
		await show(h(HitherProvider, { client: fakeClient() }, h(Rows)));
		expect(renders.size).toBe(1_000);

		renders.clear();
		await act(async () => {
			remote().remote((d) => {
				d.rows[500].n = -1;
			});
			await turn();
		});
		expect(page.querySelectorAll("li")[500]?.textContent).toBe("-1");
		expect([...renders]).toEqual([[500, 1]]);
	});

	test("a selector that builds something new each time is compared by equals", async () => {
		const client = fakeClient();
		const room = await client.open<Counters>("board", { initial });
		const seen: (readonly number[])[] = [];
		function Numbers({ factor }: { factor: number }) {
			const numbers = useShared(
				room,
				(state) => state.list.map((item) => item.n * factor),
				(one, other) => one.join() === other.join(),
			);
			seen.push(numbers);
			return numbers.join();
		}
		await show(h(Numbers, { factor: 1 }));
		await act(async () => {
			room.change((d) => {
				d.a += 1;
			});
		});
		await show(h(Numbers, { factor: 1 }));
		expect(new Set(seen).size).toBe(1);
		await show(h(Numbers, { factor: 2 }));
		expect(page.textContent).toBe("2,4");
		await act(async () => {
			room.change((d) => d.list.push({ n: 3 }));
		});
		expect(page.textContent).toBe("2,4,6");
	});

	test("StrictMode mounts twice and opens once", async () => {
		function Board() {
			return useRoom<Counters>("board", { initial }) === undefined ? "opening" : "open";
		}
		const client = fakeClient();
		const node = h(StrictMode, null, h(HitherProvider, { client }, h(Board)));
		await show(node);
		expect(page.textContent).toBe("open");
		expect(FakeEngine.latest.rooms).toHaveLength(1);
		expect(remote().isOpen).toBe(true);
	});

	test("another name is another room, never the old one under the new name", async () => {
		const shown: string[] = [];
		function Board({ name }: { name: string }) {
			const room = useRoom(name);
			shown.push(`${name}:${room?.name}`);
			return room?.name ?? "opening";
		}
		const client = fakeClient();
		const at = (name: string) => h(HitherProvider, { client }, h(Board, { name }));
		await show(at("one"));
		await show(at("two"));
		expect(page.textContent).toBe("two");
		expect(shown).not.toContain("two:one");
	});

	test("unmounting lets go of the room", async () => {
		function Board() {
			return useRoom("board")?.name;
		}
		const client = fakeClient();
		await show(h(HitherProvider, { client }, h(Board)));
		vi.useFakeTimers();
		await act(async () => root?.render(null));
		await vi.advanceTimersByTimeAsync(2_000);
		vi.useRealTimers();
		expect(remote().isOpen).toBe(false);
	});

	test("what is undone when a component goes may still edit", async () => {
		const undone: unknown[] = [];
		function Field({ room }: { room: Room<Counters> }) {
			useEffect(
				() => () => {
					undone.push(room.change((d) => d.list.push({ n: 3 })));
				},
				[room],
			);
			return null;
		}
		function Board() {
			const room = useRoom<Counters>("board", { initial });
			return room && h(Field, { room });
		}
		const client = fakeClient();
		await show(h(HitherProvider, { client }, h(Board)));
		await show(h(HitherProvider, { client }));
		expect(undone).toHaveLength(1);
		expect(remote().packets).toHaveLength(1);
	});

	test("a room that cannot be opened reaches the error boundary", async () => {
		class Boundary extends Component<{ children: ReactNode }, { message?: string }> {
			override state: { message?: string } = {};
			static getDerivedStateFromError(error: Error) {
				return { message: error.message };
			}
			override render() {
				return this.state.message ?? this.props.children;
			}
		}
		function Board() {
			return useRoom("board")?.name;
		}
		vi.spyOn(console, "error").mockImplementation(() => undefined);
		const client = fakeClient();
		FakeEngine.opening = "fails";
		await show(h(HitherProvider, { client }, h(Boundary, null, h(Board))));
		expect(page.textContent).toBe("the disk is gone");
	});

	test("status and presence", async () => {
		const client = fakeClient();
		const room = await client.open<Counters, { name: string }>("board", { initial });
		function People() {
			const { self, others, set } = usePresence(room);
			const status = useStatus(room);
			return h("button", { type: "button", onClick: () => set({ name: "Ada" }) }, [
				`${self?.name} ${others.map((peer) => peer.state.name)} ${status.server.state} ${useClientStatus().connection.state}`,
			]);
		}
		await show(h(HitherProvider, { client }, h(People)));
		expect(page.textContent).toBe("undefined  saved online");
		await act(async () => {
			page.querySelector("button")?.click();
			remote().tell("presence", { self: 1, others: [{ id: 2, state: { name: "Bob" } }] });
			remote().tell("status", { ...ONLINE, server: { state: "pending", count: 1, oldestAt: 1 } });
			await turn();
		});
		expect(page.textContent).toBe("Ada Bob pending online");
	});

	test("a server renders the opening state, and the page takes it over", async () => {
		function Board() {
			const room = useRoom<Counters>("board", { initial });
			const a = useShared(room, (state) => state.a);
			const status = useStatus(room);
			const { others } = usePresence(room);
			return h("p", null, room === undefined ? "opening" : `a${a} ${status?.local.state} ${others.length}`);
		}
		const client = fakeClient();
		const node = h(HitherProvider, { client }, h(Board));
		const html = renderToString(node);
		expect(html).toBe("<p>opening</p>");
		page.innerHTML = html;
		await act(async () => {
			root = hydrateRoot(page, node, {
				onRecoverableError: (error) => {
					throw error;
				},
			});
			await turn();
		});
		expect(page.textContent).toBe("a1 saved 0");
	});

	test("without a provider the message says what is missing", () => {
		function Board() {
			return useRoom("board")?.name;
		}
		vi.spyOn(console, "error").mockImplementation(() => undefined);
		expect(() => renderToString(h(Board))).toThrow(/no <HitherProvider/);
	});
});
