import { describe, expect, test } from "vitest";
import { type DraftText, text } from "../src/text.js";
import { type Any, Pair, problem } from "./support/pair.js";
import { type Random, random } from "./support/random.js";

describe("objects in a draft", () => {
	test("are read, set and deleted like objects", () => {
		const pair = new Pair((d) => {
			d.a = 1;
			d.b = { c: { d: [1, 2] } };
		});
		pair.edit((d) => {
			expect(d.b.c.d[1]).toBe(2);
			expect(d.missing).toBeUndefined();
			expect("a" in d && !("z" in d)).toBe(true);
			d.b.c.e = "new";
			expect(d.b.c).toEqual({ d: [1, 2], e: "new" });
			delete d.a;
			expect(Object.keys(d)).toEqual(["b"]);
			expect(Object.entries(d.b.c).map(([key]) => key)).toEqual(["d", "e"]);
			expect(JSON.stringify(d)).toBe('{"b":{"c":{"d":[1,2],"e":"new"}}}');
			expect({ ...d.b.c }).toEqual({ d: [1, 2], e: "new" });
			expect(`${d}`).toBe("[object Object]");
			expect(Object.hasOwn(d, "b") && !Object.hasOwn(d, "a")).toBe(true);
		});
		expect(pair.state).toEqual({ b: { c: { d: [1, 2], e: "new" } } });
	});

	test("take every kind of value", () => {
		const pair = new Pair();
		const values = {
			n: null,
			t: true,
			f: 1.5,
			nan: Number.NaN,
			inf: -Infinity,
			zero: -0,
			s: "x😀",
		};
		pair.edit((d) => Object.assign(d, values, { bytes: new Uint8Array([1]), skipped: undefined }));
		expect(pair.state).toEqual({ ...values, bytes: new Uint8Array([1]) });
		expect(Object.is(pair.state.zero, -0)).toBe(true);
	});

	test("keep the key __proto__ for themselves", () => {
		const pair = new Pair();
		pair.edit((d) => {
			d.o = JSON.parse('{"__proto__": 1}');
			d.p = {};
			Object.defineProperty(d.p, "__proto__", {
				value: [1],
				enumerable: true,
				configurable: true,
				writable: true,
			});
			// biome-ignore lint/suspicious/noProto: an entry of that name
			expect(d.p["__proto__"]).toEqual([1]);
		});
		expect(Object.keys(pair.state.o)).toEqual(["__proto__"]);
		expect(Object.getPrototypeOf(pair.state.o)).toBe(Object.prototype);
	});

	test("what is put in is copied, and can be read and changed through the draft", () => {
		const pair = new Pair();
		const mine = { tags: ["a"] };
		pair.edit((d) => {
			d.item = mine;
			d.item.tags.push("b");
			mine.tags.push("not shared");
			expect(d.item.tags).toEqual(["a", "b"]);
			expect(d.item).not.toBe(mine);
			expect(d.item).toBe(d.item);
		});
		expect(pair.state.item.tags).toEqual(["a", "b"]);
	});

	test("assigning a part of the draft copies it", () => {
		const pair = new Pair((d) => {
			d.a = { list: [1], note: text("hi") };
		});
		pair.edit((d) => {
			d.b = d.a;
			d.b.list.push(2);
			d.b.note.append("!");
		});
		expect(pair.state).toEqual({ a: { list: [1], note: "hi" }, b: { list: [1, 2], note: "hi!" } });
		expect(pair.document.at("b", "note").kind).toBe("text");
	});

	test("assigning a piece of state copies it, and texts stay texts", () => {
		const pair = new Pair((d) => {
			d.a = { note: text("hi"), name: "x", all: [text("one"), "two"] };
		});
		const old = pair.state.a;
		pair.edit((d) => {
			d.a.note.append("!");
			d.a.all.shift();
		});
		pair.edit((d) => {
			d.b = old;
		});
		expect(pair.state.b).toEqual({ note: "hi", name: "x", all: ["one", "two"] });
		expect(pair.document.at("b", "note").kind).toBe("text");
		expect(pair.document.at("b", "all", 0).kind).toBe("text");
		expect(() => pair.document.at("b", "name")).toThrow("plain");
	});

	test("writing what is there already is no operation", () => {
		const pair = new Pair((d) =>
			Object.assign(d, { a: 1, b: { c: Number.NaN }, bytes: new Uint8Array([1]) }),
		);
		const edit = (d: Any) => {
			d.a = 2;
			d.a = 1;
			d.b.c = Number.NaN;
			// biome-ignore lint/correctness/noSelfAssign: that is the point
			d.b = d.b;
			d.bytes = new Uint8Array([1]);
			d.x = 1;
			delete d.x;
			delete d.never;
			d.never = undefined;
		};
		expect(pair.operations(edit)).toEqual([]);
	});

	test("a key set several times is one operation", () => {
		const pair = new Pair((d) => {
			d.o = {};
		});
		const edit = (d: Any) => {
			for (let n = 0; n < 100; n++) d.o.n = n;
		};
		expect(pair.operations(edit)).toEqual(["set 1 n"]);
	});

	test("a container at the top is refilled, not replaced", () => {
		const pair = new Pair((d) => Object.assign(d, { list: [1], map: { a: 1, b: 2 }, note: text("hello") }));
		const before = { list: pair.document.at("list"), map: pair.document.at("map") };
		pair.edit((d) => {
			d.list = [2, 3];
			d.map = { b: 2, c: 3 };
			d.note = "hallo";
		});
		expect(pair.state).toEqual({ list: [2, 3], map: { b: 2, c: 3 }, note: "hallo" });
		expect(pair.document.at("list")).toBe(before.list);
		expect(pair.document.at("map")).toBe(before.map);
		expect(problem((d) => Object.assign(d, { list: {} }), pair)).toMatch(
			/^bad-edit: list: .*a list stays a list/,
		);
		expect(problem((d) => Object.assign(d, { note: 1 }), pair)).toMatch(/a text stays a text/);
	});
});

describe("lists in a draft", () => {
	test("are arrays to whoever reads them", () => {
		const pair = new Pair((d) => {
			d.l = [{ n: 1 }, { n: 2 }, { n: 3 }];
		});
		pair.edit((d) => {
			expect(Array.isArray(d.l)).toBe(true);
			expect(d.l.length).toBe(3);
			expect(d.l.map((item: Any) => item.n)).toEqual([1, 2, 3]);
			expect(d.l.filter((item: Any) => item.n > 1)).toHaveLength(2);
			expect(d.l.find((item: Any) => item.n === 2)).toBe(d.l[1]);
			expect([...d.l].at(-1)).toBe(d.l[2]);
			expect(d.l.slice(1)).toEqual([{ n: 2 }, { n: 3 }]);
			expect(d.l.concat([4])).toHaveLength(4);
			expect(d.l.some((item: Any) => item.n === 3)).toBe(true);
			expect(d.l.reduce((sum: number, item: Any) => sum + item.n, 0)).toBe(6);
			expect(Object.keys(d.l)).toEqual(["0", "1", "2"]);
			expect(JSON.stringify(d.l)).toBe('[{"n":1},{"n":2},{"n":3}]');
			expect(d.l.indexOf(d.l[1])).toBe(1);
			expect(d.l.indexOf(pair.state.l[2])).toBe(2);
			expect(d.l.includes({ n: 1 })).toBe(false);
			for (const [index, item] of d.l.entries()) item.index = index;
		});
		expect(pair.state.l[2]).toEqual({ n: 3, index: 2 });
	});

	test("what is taken out can be changed and put elsewhere", () => {
		const pair = new Pair((d) =>
			Object.assign(d, {
				todo: [
					{ title: text("milk"), n: 1 },
					{ title: text("tea"), n: 2 },
				],
				done: [],
			}),
		);
		pair.edit((d) => {
			const item = d.todo.shift();
			item.n = 10;
			item.title.append("!");
			d.done.push(item);
			item.n = 99;
			const [other] = d.todo.splice(0, 1);
			d.done.unshift(other);
		});
		expect(pair.state).toEqual({
			todo: [],
			done: [
				{ title: "tea", n: 2 },
				{ title: "milk!", n: 10 },
			],
		});
		expect(pair.document.at("done", 1, "title").kind).toBe("text");
	});

	test("changes to what was taken out and dropped are no operations", () => {
		const pair = new Pair((d) => {
			d.l = [{ n: 1 }];
		});
		const edit = (d: Any) => {
			const item = d.l[0];
			item.n = 2;
			d.l.pop();
			item.n = 3;
		};
		expect(pair.operations(edit)).toEqual(["splice 1 0 1 0"]);
	});

	test("a loop of pushes, of pops or of shifts is one operation", () => {
		const pair = new Pair((d) => {
			d.l = [1, 2, 3, 4, 5, 6];
		});
		const loop = (step: (d: Any, n: number) => void) => (d: Any) => {
			for (let n = 0; n < 3; n++) step(d, n);
		};
		expect(pair.operations(loop((d, n) => d.l.push(n)))).toEqual(["splice 1 6 0 3"]);
		expect(pair.operations(loop((d) => d.l.pop()))).toEqual(["splice 1 3 3 0".replace("3 3", "6 3")]);
		expect(pair.operations(loop((d) => d.l.shift()))).toEqual(["splice 1 0 3 0"]);
		expect(pair.operations(loop((d, n) => d.l.unshift(n)))).toEqual(["splice 1 0 0 3"]);
	});

	test("an index, the end and a shorter length can be assigned", () => {
		const pair = new Pair((d) => {
			d.l = [1, 2, 3];
		});
		pair.edit((d) => {
			d.l[0] = { a: 1 };
			d.l[3] = 4;
			d.l.length = 3;
		});
		expect(pair.state.l).toEqual([{ a: 1 }, 2, 3]);
		pair.edit((d) => {
			d.l.length = 0;
		});
		expect(pair.state.l).toEqual([]);
	});

	test("two items can be swapped", () => {
		const pair = new Pair((d) => {
			d.l = [{ n: 1 }, { n: 2 }, 3];
		});
		pair.edit((d) => {
			[d.l[0], d.l[1]] = [d.l[1], d.l[0]];
			[d.l[1], d.l[2]] = [d.l[2], d.l[1]];
		});
		expect(pair.state.l).toEqual([{ n: 2 }, 3, { n: 1 }]);
	});

	test("what would lose other people's work is refused, with what to do instead", () => {
		const pair = () =>
			new Pair((d) => {
				d.l = [3, 1];
			});
		expect(problem((d) => d.l.sort(), pair())).toMatch(
			/^bad-edit: l: sort\(\) .*\[\.\.\.room\.state\.list\]\.sort/,
		);
		expect(problem((d) => d.l.reverse(), pair())).toMatch(/reverse\(\)/);
		expect(problem((d) => d.l.fill(0), pair())).toMatch(/fill\(\)/);
		expect(problem((d) => d.l.copyWithin(0, 1), pair())).toMatch(/copyWithin\(\)/);
		expect(problem((d) => delete d.l[0], pair())).toMatch(/splice\(index, 1\)/);
		expect(problem((d) => Object.assign(d.l, { 5: 1 }), pair())).toMatch(/l\[5\]: the list has 2 items/);
		expect(problem((d) => Object.assign(d.l, { length: 9 }), pair())).toMatch(/cut shorter/);
		expect(problem((d) => Object.assign(d.l, { name: 1 }), pair())).toMatch(/indexes only/);
	});

	test.each(Array.from({ length: 60 }, (_, seed) => seed))(
		"random edits do to a draft what they do to plain values (seed %i)",
		(seed) => {
			const dice = random(seed);
			const plain: Any = { list: [], map: {} };
			const pair = new Pair((d) => Object.assign(d, structuredClone(plain)));
			for (let round = 0; round < 15; round++) {
				const turns = dice.below(1_000_000);
				const run = (target: Any) => {
					const same = random(turns);
					for (let left = 1 + same.below(12); left > 0; left--) randomEdit(target, same);
				};
				run(plain);
				pair.edit((d) => {
					run(d);
					expect(d).toEqual(plain);
				});
				expect(pair.state).toEqual(plain);
			}
		},
	);

	test("a hundred thousand items at once", () => {
		const pair = new Pair((d) => {
			d.l = Array.from({ length: 100_000 }, (_, index) => index);
		});
		expect(pair.operations((d) => d.l.push(...Array.from({ length: 50_000 }, () => 7)))).toEqual([
			"splice 1 100000 0 50000",
		]);
		expect(pair.operations((d) => d.l.splice(10, 149_980))).toEqual(["splice 1 10 149980 0"]);
		expect(pair.state.l).toHaveLength(20);
	});
});

/** One edit that means the same on plain values and on a draft. Copies what it moves, as a draft does. */
function randomEdit(target: Any, dice: Random): void {
	let place = target;
	for (let depth = dice.below(4); depth > 0; depth--) {
		// Sorted: a key that was deleted and set again stands last in a plain object, and where it was in a draft.
		const inner = Object.keys(place)
			.sort()
			.map((key) => place[key])
			.filter((value) => typeof value === "object" && value !== null);
		if (inner.length === 0) break;
		place = dice.pick(inner);
	}
	const copy = (value: Any) =>
		typeof value === "object" && value !== null ? JSON.parse(JSON.stringify(value)) : value;
	const make = () =>
		dice.pick([
			() => dice.below(5),
			() => "s",
			() => null,
			() => [dice.below(5)],
			() => ({ k: [1], l: {} }),
		])();
	if (Array.isArray(place)) {
		const index = dice.below(place.length + 1);
		const edits = [
			() => place.push(make(), make()),
			() => place.unshift(make()),
			() => place.pop(),
			() => place.shift(),
			() => place.splice(index, dice.below(3), make()),
			() => place.splice(index, dice.below(3)),
			() => {
				place[index] = make();
			},
			() => place.push(copy(target.list)),
			() => {
				const [out] = place.splice(index, 1);
				if (out !== undefined) place.unshift(copy(out));
			},
			() => {
				place.length = index;
			},
		];
		dice.pick(edits)();
	} else {
		const key = place === target ? dice.pick(["x", "y"]) : dice.pick(["k", "l", "x", "y"]);
		const isRootContainer = place === target && typeof place[key] === "object" && place[key] !== null;
		if (dice.chance(0.3) && !isRootContainer) delete place[key];
		else if (!isRootContainer) place[key] = place === target ? dice.below(5) : make();
	}
}

describe("texts in a draft", () => {
	test("are edited by position", () => {
		const pair = new Pair((d) => {
			d.note = text("hello");
		});
		pair.edit((d) => {
			const note: DraftText = d.note;
			note.insert(0, "> ");
			note.append("!");
			note.delete(2, 1);
			note.replace(2, 1, "E");
			expect(note.toString()).toBe("> Ello!".replace("El", "El"));
			expect(note.length).toBe(7);
			expect(`${note}`).toBe("> Ello!");
		});
		expect(pair.state.note).toBe("> Ello!");
	});

	test("typing is one operation", () => {
		const pair = new Pair((d) => {
			d.note = text("ab");
		});
		const edit = (d: Any) => {
			for (const [index, letter] of [..."hello"].entries()) d.note.insert(1 + index, letter);
			d.note.delete(5, 1);
		};
		expect(pair.operations(edit)).toEqual(["text 1 1 0 hell"]);
	});

	test("a plain string assigned to a text changes only what differs", () => {
		const pair = new Pair((d) => Object.assign(d, { note: text("The quick fox"), list: [text("abc")] }));
		expect(
			pair.operations((d) => {
				d.note = "The quiet fox";
			}),
		).toEqual(["text 1 7 2 et"]);
		expect(pair.operations((d) => d.note.set("The quiet fox"))).toEqual([]);
		expect(
			pair.operations((d) => {
				d.list[0] = "abbc";
			}),
		).toEqual(["text 3 2 0 b"]);
		expect(
			pair.operations((d) => {
				d.note = text("");
			}),
		).toEqual(["text 1 0 13 "]);
	});

	test("an edit never leaves half of a surrogate pair", () => {
		const pair = new Pair((d) => {
			d.note = text("a😀b");
		});
		pair.edit((d) => {
			// 😀 and 😁 begin with the same unit.
			d.note = "a😁b";
		});
		expect(pair.state.note).toBe("a😁b");
		pair.edit((d) => d.note.replace(2, 1, "\ude03"));
		expect(pair.state.note).toBe("a😃b");
		pair.edit((d) => d.note.insert(2, "x"));
		expect(pair.state.note.isWellFormed()).toBe(true);
		expect(pair.state.note).toHaveLength(5);
	});

	test("positions outside are refused", () => {
		const pair = new Pair((d) => {
			d.o = { note: text("abc") };
		});
		for (const edit of [
			(d: Any) => d.o.note.insert(4, "x"),
			(d: Any) => d.o.note.insert(-1, "x"),
			(d: Any) => d.o.note.delete(1, 3),
			(d: Any) => d.o.note.delete(0.5, 1),
		]) {
			expect(problem(edit, pair)).toMatch(/^bad-edit: o\.note: .* not inside a text of 3/);
		}
	});

	test.each(Array.from({ length: 40 }, (_, seed) => seed))(
		"random splices do what they do to a string (seed %i)",
		(seed) => {
			const dice = random(seed);
			const pair = new Pair((d) => {
				d.note = text("start");
			});
			let plain = "start";
			for (let round = 0; round < 10; round++) {
				pair.edit((d) => {
					for (let left = 1 + dice.below(8); left > 0; left--) {
						const index = dice.below(plain.length + 1);
						const count = Math.min(dice.below(4), plain.length - index);
						const piece = "abcdef".slice(dice.below(7));
						d.note.replace(index, count, piece);
						plain = plain.slice(0, index) + piece + plain.slice(index + count);
						expect(String(d.note)).toBe(plain);
					}
				});
				expect(pair.state.note).toBe(plain);
			}
		},
	);
});

describe("what cannot be stored is refused with its path", () => {
	class Point {
		x = 1;
	}
	const cycle: Any = { inner: {} };
	cycle.inner.back = cycle;

	test.each<[string, unknown, RegExp]>([
		["a Date", { when: new Date() }, /^bad-value: box\.when: a Date cannot be stored; use date\.toISOString/],
		["a function", [() => 1], /^bad-value: box\[0\]: a function cannot be stored/],
		["a symbol", { "odd key": Symbol("x") }, /^bad-value: box\["odd key"\]: a symbol cannot be stored/],
		[
			"a class instance",
			{ deep: [{ point: new Point() }] },
			/^bad-value: box\.deep\[0\]\.point: an instance of Point/,
		],
		["a Map", new Map(), /^bad-value: box: a Map or Set/],
		["a cycle", cycle, /^bad-value: box\.inner\.back: it contains itself/],
		["undefined in a list", [1, undefined], /^bad-value: box\[1\]: undefined cannot be stored/],
		["a bigint", 1n, /^bad-value: box: a bigint cannot be stored/],
		["another typed array", new Float32Array(1), /^bad-value: box: binary data is stored as Uint8Array/],
		["a promise", Promise.resolve(), /^bad-value: box: a Promise cannot be stored; await it/],
	])("%s", (_name, value, message) => {
		expect(
			problem((d) => {
				d.box = value;
			}),
		).toMatch(message);
	});

	test("and with the path inside of what is there", () => {
		const pair = new Pair((d) => {
			d.todos = [{}, { tags: [] }];
		});
		expect(problem((d) => d.todos[1].tags.push("ok", new Date()), pair)).toMatch(
			/^bad-value: todos\[1\]\.tags\[1\]: a Date/,
		);
	});

	test("nesting deeper than 100", () => {
		let deep: unknown = 1;
		for (let depth = 0; depth < 101; depth++) deep = [deep];
		expect(problem((d) => Object.assign(d, { deep }))).toMatch(/nested 100 deep/);
	});

	test("the same object twice is no cycle", () => {
		const pair = new Pair();
		const tag = { name: "x" };
		pair.edit((d) => {
			d.tags = [tag, tag];
		});
		expect(pair.state.tags).toEqual([tag, tag]);
	});
});

describe("what other clients stored", () => {
	const foreign = () => {
		const pair = new Pair((d) => {
			d.box = {};
		});
		const box = pair.document.at("box");
		if (box.kind !== "map") throw new Error("box");
		box.entries.set("json", { kind: "plain", value: { a: [1, { b: 2 }], u: undefined } });
		box.entries.set("xml", { kind: "opaque", id: 99, content: "<p>hi</p>" });
		pair.document.shared.set(99, box.entries.get("xml") as Any);
		pair.mirror.apply(pair.document.reset());
		return pair;
	};

	test("plain JSON is read, and an edit inside says to assign a new value", () => {
		const pair = foreign();
		pair.edit((d) => {
			expect(d.box.json.a[1].b).toBe(2);
			expect(d.box.json).toEqual({ a: [1, { b: 2 }] });
			expect(d.box.json.a.map((item: unknown) => typeof item)).toEqual(["number", "object"]);
		});
		expect(
			problem((d) => {
				d.box.json.a[1].b = 3;
			}, pair),
		).toMatch(/^bad-edit: box\.json.*assign a new value/);
		expect(problem((d) => d.box.json.a.push(1), pair)).toMatch(/assign a new value/);
		expect(problem((d) => delete d.box.json.a, pair)).toMatch(/assign a new value/);
	});

	test("plain JSON can be replaced, and copied into something shared", () => {
		const pair = foreign();
		pair.edit((d) => {
			d.copy = { of: d.box.json.a };
			d.copy.of.push("shared now");
			d.box.json = d.box.json.a[1];
			d.box.json.b = 4;
		});
		expect(pair.state.copy.of).toEqual([1, { b: 2 }, "shared now"]);
		expect(pair.state.box.json).toEqual({ b: 4 });
	});

	test("an integer past what a number holds is read as a bigint, and is not copied", () => {
		const pair = foreign();
		const box = pair.document.at("box");
		if (box.kind !== "map") throw new Error("box");
		box.entries.set("large", { kind: "plain", value: { of: [-(2n ** 60n)] } });
		pair.mirror.apply(pair.document.reset());
		expect(pair.state.box.large).toEqual({ of: [-(2n ** 60n)] });
		const copying = (edit: (draft: Any) => void) => problem(edit, pair);
		expect(copying((d) => Object.assign(d, { copy: d.box.large }))).toMatch(
			/^bad-value: copy\.of\[0\]: a bigint cannot be stored/,
		);
		expect(copying((d) => Object.assign(d, { copy: d.box }))).toMatch(/^bad-value: a bigint cannot/);
		expect("copy" in pair.state).toBe(false);
	});

	test("XML is a string that can be deleted but not edited", () => {
		const pair = foreign();
		expect(
			problem((d) => {
				d.box.xml = "<b/>";
			}, pair),
		).toMatch(/^bad-edit: box\.xml: .*delete it first/);
		pair.edit((d) => {
			expect(d.box.xml).toBe("<p>hi</p>");
			delete d.box.xml;
		});
		expect("xml" in pair.state.box).toBe(false);
	});

	test("bytes in a draft are a copy", () => {
		const pair = new Pair((d) => {
			d.bytes = new Uint8Array([1]);
		});
		pair.edit((d) => {
			d.bytes[0] = 9;
		});
		expect(pair.state.bytes).toEqual(new Uint8Array([1]));
	});
});

describe("the life of a draft", () => {
	test("ends with its function", () => {
		const pair = new Pair((d) => Object.assign(d, { l: [{}], note: text("") }));
		const kept: Any = {};
		pair.edit((d) => Object.assign(kept, { d, l: d.l, item: d.l[0], note: d.note }));
		for (const use of [
			() => kept.d.x,
			() => kept.l.push(1),
			() => kept.item.x,
			() => kept.note.append("x"),
			() => Object.keys(kept.l),
		]) {
			expect(use).toThrow(/only inside its change\(\)/);
		}
	});

	test("an async function is refused, and nothing happens", () => {
		expect(
			problem(async (d) => {
				d.x = 1;
				await Promise.resolve();
				d.y = 1;
			}),
		).toMatch(/^bad-draft: .*must not be async/);
	});

	test("only touched containers cost something", () => {
		const pair = new Pair((d) => {
			d.l = Array.from({ length: 1000 }, (_, n) => ({ n, tags: ["x"] }));
		});
		expect(
			pair.operations((d) => {
				d.l[500].tags.push("y");
				d.l[3].n = 4;
			}),
		).toHaveLength(2);
	});
});
