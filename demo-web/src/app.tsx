/** The page: opens the room that the address names and lays out what is in it. */
import type { Client } from "hither";
import { HitherProvider, usePresence, useRoom, useStatus } from "hither/react";
import { Component, type ReactNode, useMemo, useRef, useState } from "react";
import { copyLink } from "./address.ts";
import { Announcer, useAnnounce } from "./announcer.tsx";
import { Board, type Editor } from "./board.tsx";
import { Cursors } from "./cursors.tsx";
import { type BoardData, initial } from "./model.ts";
import { NOTE, Note } from "./note.tsx";
import { People } from "./people.tsx";
import { type Person, PresencePublisher, useOthers } from "./presence.tsx";
import { useProfile } from "./profile.ts";
import type { BoardRoom } from "./room.ts";
import { Status } from "./status.tsx";

export function App({ client, room }: { client: Client; room: string }) {
	return (
		<Failure>
			<HitherProvider client={client}>
				<Announcer>
					<Opening client={client} name={room} />
				</Announcer>
			</HitherProvider>
		</Failure>
	);
}

function Opening({ client, name }: { client: Client; name: string }) {
	const room = useRoom<BoardData, Person>(name, { initial });
	if (!room) {
		return (
			<main className="opening" aria-busy="true">
				<p>Opening {name}…</p>
			</main>
		);
	}
	return <Page client={client} room={room} />;
}

function Page({ client, room }: { client: Client; room: BoardRoom }) {
	const [profile, rename] = useProfile();
	const [connected, setConnected] = useState(true);
	const status = useStatus(room);
	const others = useOthers(usePresence(room).others);
	const area = useRef<HTMLElement>(null);
	const editors = useMemo(
		() =>
			new Map<string, Editor>(
				others.flatMap((other) => (other.focus === null ? [] : [[other.focus, other]])),
			),
		[others],
	);
	return (
		<PresencePublisher room={room} profile={profile}>
			<header className="top">
				<div className="brand">
					<svg viewBox="0 0 24 24" aria-hidden="true">
						<path d="M5 4v16M5 12h9M14 12l-4-4M14 12l-4 4M19 4v16" />
					</svg>
					<div>
						<h1>{room.name}</h1>
						<p>A shared board on Hither</p>
					</div>
				</div>
				<People profile={profile} others={others} onRename={rename} />
				<Share />
				<Status
					status={status}
					connected={connected}
					onSwitch={(on) => {
						setConnected(on);
						if (on) client.connect();
						else client.disconnect();
					}}
				/>
			</header>
			<main className="content" ref={area}>
				<Board room={room} editors={editors} />
				<Note room={room} editor={editors.get(NOTE)} />
				<Cursors room={room} others={others} area={area} />
			</main>
		</PresencePublisher>
	);
}

function Share() {
	const [shown, setShown] = useState<"button" | "copied" | "address">("button");
	const announce = useAnnounce();
	if (shown === "address") {
		return (
			<input
				className="share"
				readOnly
				value={location.href}
				aria-label="Address of this board"
				onFocus={(event) => event.currentTarget.select()}
				onBlur={() => setShown("button")}
			/>
		);
	}
	return (
		<button
			type="button"
			className="share"
			onClick={async () => {
				const copied = await copyLink();
				setShown(copied ? "copied" : "address");
				if (!copied) return;
				announce("Link copied.");
				setTimeout(() => setShown("button"), 2_000);
			}}
		>
			{shown === "copied" ? "Link copied" : "Copy link"}
		</button>
	);
}

/** A room that cannot be opened, or a defect of this page: said, not a blank page. */
class Failure extends Component<{ children: ReactNode }, { error: unknown }> {
	override state = { error: undefined };

	static getDerivedStateFromError(error: unknown) {
		return { error };
	}

	override render() {
		const error: unknown = this.state.error;
		if (error === undefined) return this.props.children;
		return (
			<main className="opening" role="alert">
				<h1>This board could not be shown</h1>
				<p>{error instanceof Error ? error.message : String(error)}</p>
				<button type="button" className="share" onClick={() => location.reload()}>
					Try again
				</button>
			</main>
		);
	}
}
