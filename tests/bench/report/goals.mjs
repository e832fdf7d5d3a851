// The goals, and how this run stands to each. Every goal is a share: ours of somebody else's, or of a fixed amount.

const OURS = "Hither, file store";
export const REFERENCES = [
	...["bare Rust", "bare axum", "bare axum, coalescing"],
	...["native yrs", "the database alone"],
];

/** Rows of { work, goal, found, isReached, beside }; `found` is undefined where the run has no figure. */
export function goals({ server = [], client = {}, browser = {}, size = {} }) {
	const work = (id) => server.find((entry) => entry.work === id)?.servers ?? {};
	const figure = (id, name, field = "figure") => work(id)[name]?.[field];
	const peers = (id, field = "figure") =>
		Object.entries(work(id))
			.filter(([name]) => !REFERENCES.includes(name) && !name.startsWith("Hither"))
			.map(([name, row]) => [name, row[field]])
			.filter(([, value]) => value !== undefined);
	const best = (id, field, pick) => {
		const found = peers(id, field);
		if (found.length === 0) return [undefined, undefined];
		return found.reduce((one, other) => (pick(one[1], other[1]) === one[1] ? one : other));
	};
	const rows = [];
	const atLeast = (title, share, value, whole, beside) =>
		rows.push(row(title, `≥ ${share}`, ratio(value, whole), (found) => found >= share, beside));
	const atMost = (title, share, value, whole, beside) =>
		rows.push(row(title, `≤ ${share}`, ratio(value, whole), (found) => found <= share, beside));

	for (const [id, title] of [
		["fanout-one-room", "fan-out 1×50×5, deliveries per server CPU second"],
		["fanout-many-rooms", "fan-out 200×5×1, deliveries per server CPU second"],
	]) {
		const ours = figure(id, OURS);
		atLeast(title, 0.8, ours, figure(id, "bare axum"), "of bare axum");
		const [name, most] = best(id, "figure", Math.max);
		rows.push(row(title, "> 1", ratio(ours, most), (found) => found > 1, `of the best peer, ${name}`));
	}
	const sync = figure("acknowledgement", OURS, "sync_ms");
	const crowd = figure("fanout-crowd", OURS, "p99_ms");
	const [soonest, p99] = best("fanout-crowd", "p99_ms", Math.min);
	const title = "fan-out 1×500×1, p99";
	rows.push(row(title, "< 1", ratio(crowd, p99), (found) => found < 1, `of the soonest peer, ${soonest}`));
	const bare = figure("fanout-crowd", "bare axum", "p99_ms");
	atMost(
		title,
		1,
		crowd,
		bare === undefined || sync === undefined ? undefined : bare + sync,
		"of bare axum's plus one sync",
	);
	const loop = "closed loop, deliveries per server CPU second";
	const closed = figure("closed-loop", OURS);
	atLeast(loop, 0.5, closed, figure("closed-loop", "bare axum, coalescing"), "of the coalescing bare axum");
	atLeast(loop, 3, closed, figure("closed-loop", "Hocuspocus, memory"), "of Hocuspocus");
	atLeast(loop, 8, closed, figure("closed-loop", "@y/websocket-server"), "of @y/websocket-server");
	const idle = figure("idle", OURS);
	rows.push(
		row(
			"idle joined connection",
			"≤ 11 KB",
			idle,
			(found) => found <= 11,
			"KB",
			(found) => `${found.toFixed(1)} KB`,
		),
	);
	const [smallest, kb] = best("idle", "figure", Math.min);
	rows.push(
		row(
			"idle joined connection",
			"< 1",
			ratio(idle, kb),
			(found) => found < 1,
			`of the smallest peer, ${smallest}`,
		),
	);
	for (const updates of [10_000, 100_000]) {
		for (const temperature of ["warm", "cold"]) {
			const id = `join-${updates}-${temperature}`;
			for (const [field, what] of [
				["figure", "time"],
				["server_cpu_ms", "server CPU"],
			]) {
				const [name, least] = best(id, field, Math.min);
				const title = `join of ${updates.toLocaleString("en")} updates, ${temperature}, ${what}`;
				const found = ratio(figure(id, OURS, field), least);
				rows.push(row(title, "< 1", found, (found) => found < 1, `of the quickest peer, ${name}`));
			}
		}
	}
	const [few, many] = [figure("rejoin-10", OURS, "kb"), figure("rejoin-10000", OURS, "kb")];
	const grows = "rejoin, KB for 10,000 missed updates to KB for 10";
	rows.push(
		row(
			grows,
			"grows",
			ratio(many, few),
			(found) => found > 50,
			"times",
			(found) => `${found.toFixed(0)}×`,
		),
	);
	const [first, wait] = best("reconnect", "figure", Math.min);
	const again = "1,000 clients reconnect, all in sync";
	rows.push(
		row(
			again,
			"< 1",
			ratio(figure("reconnect", OURS), wait),
			(found) => found < 1,
			`of the soonest peer, ${first}`,
		),
	);
	const syncs = figure("acknowledgement", OURS);
	rows.push(
		row("acknowledgement at 100 updates/s, p50", "≤ 2", syncs, (found) => found <= 2, "syncs of this disk"),
	);
	atLeast(
		"durable updates over 1,000 rooms",
		0.98,
		figure("durable-rooms", OURS),
		20_000,
		"of 20,000 a second",
	);
	const start = figure("start", OURS);
	rows.push(
		row(
			"start with 100,000 rooms on disk",
			"< 1,000 ms",
			start,
			(found) => found < 1_000,
			"ms",
			(found) => `${found.toFixed(0)} ms`,
		),
	);

	for (const [name, share] of CLIENT) {
		const { hither, yjs } = client[name] ?? {};
		atMost(TITLES[name], share, hither, yjs, "of yjs");
	}
	for (const updates of [1_000, 10_000, 100_000]) {
		const { hither, yjs } = browser[`open-${updates}`] ?? {};
		atMost(
			`open a page with ${updates.toLocaleString("en")} stored updates`,
			0.5,
			hither,
			yjs,
			"of y-indexeddb",
		);
	}
	atMost(
		"typing with persistence, inside the call",
		0.5,
		browser.typing?.hither,
		browser.typing?.yjs,
		"of y-indexeddb",
	);
	const longest = browser["typing-longest"]?.hither;
	rows.push(
		row(
			"typing with persistence, longest call",
			"< 16 ms",
			longest,
			(found) => found < 16,
			"ms",
			(found) => `${found.toFixed(1)} ms`,
		),
	);
	const kib = size.hither === undefined ? undefined : size.hither / 1024;
	rows.push(
		row(
			"what a page loads, gzipped",
			"≤ 160 KB",
			kib,
			(found) => found <= 160,
			"KiB",
			(found) => `${found.toFixed(1)} KiB`,
		),
	);
	return rows;
}

const CLIENT = [
	["typed", 0.8],
	["remote", 0.2],
	["createEach", 0.6],
	["setEach", 0.6],
	["createOnce", 0.1],
	["setOnce", 0.1],
	["plain", 0.01],
	["loadText", 0.25],
	["loadItems", 0.25],
];
const TITLES = {
	typed: "B4 typed through the SDK's text, updates out, receipts on",
	remote: "one remote keystroke in B4, patch delivered",
	createEach: "10,000 items created, one transaction each",
	setEach: "100,000 fields set, one transaction each",
	createOnce: "10,000 items created in one transaction",
	setOnce: "100,000 fields set in one transaction",
	plain: "whole state read as plain objects after a change",
	loadText: "load of B4",
	loadItems: "load of 10,000 nested items",
};

function row(work, goal, found, isReached, beside, show = (value) => value.toPrecision(3)) {
	if (found === undefined) return { work, goal, beside: "", shown: "not measured in this run" };
	return { work, goal, beside, shown: show(found), isReached: isReached(found), found };
}

function ratio(part, whole) {
	// Nothing of something, or of nothing, is below what was measured with, not a ratio.
	return part === undefined || whole === undefined || whole === 0 || part === 0 ? undefined : part / whole;
}
