// npm run build: everything that `npm start` would build, without starting anything.
import { leaveOnSignals } from "./command.mjs";
import { ensureOrExit } from "./steps.mjs";

leaveOnSignals();
await ensureOrExit(["demo", "relay"]);
