/** The status light: what is stored where, and the switch that cuts the connection. */
import type { RoomStatus } from "hither";
import { useEffect, useState } from "react";
import { type Tone, wordsFor } from "./status-words.ts";

interface Props {
	status: RoomStatus;
	connected: boolean;
	onSwitch: (on: boolean) => void;
}

export function Status({ status, connected, onSwitch }: Props) {
	const words = wordsFor(status);
	return (
		<section className="status" data-tone={words.tone} aria-label="Saving and connection">
			<p className="headline" role="status">
				<Light tone={words.tone} />
				<span data-testid="headline">{words.headline}</span>
			</p>
			<dl className="lights">
				<div>
					<dt>This device</dt>
					<dd>
						<Light tone={words.device.tone} />
						<span data-testid="device">{words.device.text}</span>
					</dd>
				</div>
				<div>
					<dt>Relay</dt>
					<dd>
						<Light tone={words.relay.tone} />
						<span data-testid="relay">{words.relay.text}</span>
						{words.retryAt !== null && <Countdown until={words.retryAt} />}
					</dd>
				</div>
			</dl>
			<button
				type="button"
				role="switch"
				className="switch"
				aria-checked={connected}
				onClick={() => onSwitch(!connected)}
			>
				<span className="track" aria-hidden="true" />
				Connection
			</button>
		</section>
	);
}

function Light({ tone }: { tone: Tone }) {
	return <span className="light" data-tone={tone} aria-hidden="true" />;
}

/** Hidden from screen readers: a number that is read out every second is noise. */
function Countdown({ until }: { until: number }) {
	const [now, setNow] = useState(Date.now);
	useEffect(() => {
		setNow(Date.now());
		const timer = setInterval(() => setNow(Date.now()), 250);
		return () => clearInterval(timer);
	}, []);
	const seconds = Math.ceil((until - now) / 1_000);
	return (
		<span className="countdown" aria-hidden="true">
			{seconds > 0 ? `again in ${seconds} s` : "trying now"}
		</span>
	);
}
