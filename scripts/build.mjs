// npm run build: everything that `npm start` would build, without starting anything.
import { endAll, leaveOnSignals } from "./command.mjs";
import { red } from "./progress.mjs";
import { ensure } from "./steps.mjs";

leaveOnSignals();
try {
	await ensure(["demo", "relay"]);
} catch (error) {
	endAll();
	console.error(`\n${error.output ?? ""}\n${red(error.message)}`);
	process.exit(1);
}
