// Bar charts as SVG: one row per subject, the reader's own colours for light and dark.

const WIDTH = 720;
const LABEL = 190;
const ROW = 24;
const TOP = 56;

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.unit, .axis { font-size: 12px; fill: #57606a }
.ours { fill: #1f6feb } .peer { fill: #8c959f } .reference { fill: #d0d7de }
line { stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
	text { fill: #e6edf3 } .unit, .axis { fill: #9198a1 }
	.peer { fill: #656c76 } .reference { fill: #3d444d } line { stroke: #3d444d }
}`;

/**
 * `rows` are { name, value, role }: ours, peer or reference. With values that lie far apart the scale is logarithmic, and
 * says so.
 */
export function bars({ title, unit, rows }) {
	const values = rows.map(({ value }) => value).filter((value) => value > 0);
	const [least, most] = [Math.min(...values), Math.max(...values)];
	const isLogarithmic = most / least > 50;
	const room = WIDTH - LABEL - 110;
	const floor = 10 ** Math.floor(Math.log10(least));
	const length = (value) =>
		isLogarithmic
			? (room * Math.log10(Math.max(value / floor, 1.05))) / Math.log10(most / floor)
			: (room * value) / most;
	const height = TOP + rows.length * ROW + 12;
	const lines = rows.map(({ name, value, role }, index) => {
		const y = TOP + index * ROW;
		const width = Math.max(1, length(value)).toFixed(1);
		return [
			`<text x="${LABEL - 8}" y="${y + 13}" text-anchor="end">${escaped(name)}</text>`,
			`<rect class="${role}" x="${LABEL}" y="${y}" width="${width}" height="${ROW - 6}" rx="2"/>`,
			`<text class="axis" x="${LABEL + Number(width) + 6}" y="${y + 13}">${short(value)}</text>`,
		].join("");
	});
	const scale = isLogarithmic ? `${unit}; logarithmic scale` : unit;
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
		`<title>${escaped(title)}</title><style>${STYLE}</style>`,
		`<text class="title" x="8" y="20">${escaped(title)}</text>`,
		`<text class="unit" x="8" y="40">${escaped(scale)}</text>`,
		`<line x1="${LABEL}" x2="${LABEL}" y1="${TOP - 6}" y2="${height - 8}"/>`,
		...lines,
		"</svg>\n",
	].join("\n");
}

/** Three digits that count, thousands apart. */
export function short(value) {
	if (value === 0) return "0";
	const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
	return value.toLocaleString("en", { maximumFractionDigits: Math.min(digits, 5) });
}

function escaped(text) {
	return text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
}
