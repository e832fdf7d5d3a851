/** Who is here, and the name that the others see. */
import type { CSSProperties } from "react";
import type { Other } from "./presence.tsx";
import { MAX_NAME, type Profile } from "./profile.ts";

/** As many as fit beside the name on a phone; the rest is a number. */
const SHOWN = 5;

interface Props {
	profile: Profile;
	others: readonly Other[];
	onRename: (name: string) => void;
}

export function People({ profile, others, onRename }: Props) {
	const more = others.length - SHOWN;
	return (
		<div className="people">
			<ul aria-label={others.length === 0 ? "Nobody else is here" : "Also here"}>
				{others.slice(0, SHOWN).map((other) => (
					<li
						key={other.id}
						className="face"
						style={{ "--hue": other.hue } as CSSProperties}
						title={other.name}
					>
						<span aria-hidden="true">{initials(other.name)}</span>
						<span className="visually-hidden">{other.name}</span>
					</li>
				))}
				{more > 0 && <li className="face is-more">+{more}</li>}
			</ul>
			<label className="me" style={{ "--hue": profile.hue } as CSSProperties}>
				<span className="face" aria-hidden="true">
					{initials(profile.name)}
				</span>
				<span className="visually-hidden">Your name</span>
				<input
					key={profile.name}
					defaultValue={profile.name}
					maxLength={MAX_NAME}
					autoComplete="nickname"
					spellCheck={false}
					onBlur={(event) => {
						onRename(event.currentTarget.value);
						if (!event.currentTarget.value.trim()) event.currentTarget.value = profile.name;
					}}
					onKeyDown={(event) => {
						if (event.key === "Escape") event.currentTarget.value = profile.name;
						if (event.key === "Enter" || event.key === "Escape") event.currentTarget.blur();
					}}
				/>
			</label>
		</div>
	);
}

function initials(name: string): string {
	const words = name.split(/\s+/u).filter(Boolean);
	const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
	return letters.map((word) => [...(word ?? "")][0]?.toUpperCase() ?? "").join("");
}
