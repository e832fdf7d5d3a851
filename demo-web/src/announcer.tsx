/** Says to a screen reader what sighted people see happen. */
import { createContext, type ReactNode, use, useCallback, useState } from "react";

const Announce = createContext<(message: string) => void>(() => {});

/** Gives `useAnnounce` to what is inside and carries the live region. */
export function Announcer({ children }: { children: ReactNode }) {
	const [said, setSaid] = useState({ message: "", turn: 0 });
	const announce = useCallback((message: string) => setSaid((old) => ({ message, turn: old.turn + 1 })), []);
	return (
		<Announce value={announce}>
			{children}
			{/* Two regions take turns: the same words twice in one region would be said once. */}
			<p className="visually-hidden" aria-live="assertive" data-testid="announcer">
				{said.turn % 2 === 0 ? said.message : ""}
			</p>
			<p className="visually-hidden" aria-live="assertive" data-testid="announcer">
				{said.turn % 2 === 1 ? said.message : ""}
			</p>
		</Announce>
	);
}

export function useAnnounce(): (message: string) => void {
	return use(Announce);
}
