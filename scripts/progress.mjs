// Progress on a terminal or in a log: one line per step with its seconds.
//
// On a terminal the line of the running step is redrawn; in a log a long step says every 20 seconds that it is alive.
const terminal = process.stdout.isTTY === true && process.env.CI === undefined;
const colours = terminal && process.env.NO_COLOR === undefined;
const paint = (code) => (text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);

export const bold = paint("1");
export const dim = paint("2");
export const red = paint("31");
export const green = paint("32");

const LOG_EVERY_SECONDS = 20;

/**
 * Shows `title` as running and returns { note(text), end(mark, text) }.
 * `note` replaces the small text behind the title (what the step is doing now).
 */
export function begin(title) {
	const started = Date.now();
	let note = "";
	const draw = () => {
		const room = (process.stdout.columns ?? 100) - title.length - 14;
		const tail = note && room > 10 ? dim(` ${note.slice(0, room)}`) : "";
		process.stdout.write(`\r\u001b[2K… ${title} ${dim(seconds(started))}${tail}`);
	};
	const timer = setInterval(
		() => {
			if (terminal) draw();
			else console.log(`  … ${title}, ${seconds(started)} so far${note ? `: ${note.slice(0, 100)}` : ""}`);
		},
		terminal ? 200 : LOG_EVERY_SECONDS * 1000,
	);
	if (terminal) draw();
	else console.log(`  … ${title}`);
	return {
		note(text) {
			note = text.trim() || note;
		},
		end(ok, text = "") {
			clearInterval(timer);
			if (terminal) process.stdout.write("\r\u001b[2K");
			const mark = ok ? green("✓") : red("✗");
			console.log(`${mark} ${title} ${dim(seconds(started))}${text ? `  ${text}` : ""}`);
		},
	};
}

const seconds = (started) => `${((Date.now() - started) / 1000).toFixed(1)} s`;
