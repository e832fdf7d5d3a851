/** The pointers of the others, over whatever they point at. */
import { type CSSProperties, type RefObject, useCallback, useEffect, useLayoutEffect, useRef } from "react";
import type { Other } from "./presence.tsx";
import { type BoardRoom, useBoard } from "./room.ts";

interface Props {
	room: BoardRoom;
	others: readonly Other[];
	/** The element that the pointers lie over; it is positioned, so scrolling moves them along. */
	area: RefObject<HTMLElement | null>;
}

export function Cursors({ room, others, area }: Props) {
	const layer = useRef<HTMLDivElement>(null);
	// What is pointed at moves when the content changes, and when something else changes its size (fonts, the window).
	const content = useBoard(room, (state) => state);
	const place = useCallback(() => {
		if (!area.current || !layer.current) return;
		const origin = area.current.getBoundingClientRect();
		for (const element of layer.current.children) {
			if (!(element instanceof HTMLElement)) continue;
			const { over = "", x, y } = element.dataset;
			const box = area.current.querySelector(`[data-anchor="${CSS.escape(over)}"]`)?.getBoundingClientRect();
			element.hidden = box === undefined;
			if (!box) continue;
			const left = box.left - origin.left + Number(x) * box.width;
			const top = box.top - origin.top + Number(y) * box.height;
			// At the right edge half a pointer would widen the page.
			element.style.translate = `${Math.max(0, Math.min(left, origin.width - 24))}px ${Math.max(0, top)}px`;
			element.classList.toggle("is-flipped", left > origin.width - 140);
		}
	}, [area]);
	useLayoutEffect(place);
	// biome-ignore lint/correctness/useExhaustiveDependencies: new content brings new elements to watch
	useEffect(() => {
		const observer = new ResizeObserver(place);
		for (const element of area.current?.querySelectorAll("[data-anchor]") ?? []) observer.observe(element);
		return () => observer.disconnect();
	}, [area, place, content]);
	return (
		<div className="cursors" ref={layer} aria-hidden="true">
			{others.map(
				({ id, name, hue, pointer }) =>
					pointer && (
						<div
							key={id}
							className="cursor"
							data-over={pointer.anchor}
							data-x={pointer.x}
							data-y={pointer.y}
							style={{ "--hue": hue } as CSSProperties}
						>
							<svg viewBox="0 0 18 22" aria-hidden="true">
								<path d="M2 2l13 9.5-6.2 1L5.4 18z" />
							</svg>
							<span>{name}</span>
						</div>
					),
			)}
		</div>
	);
}
