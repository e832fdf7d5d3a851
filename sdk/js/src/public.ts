/** Everything that `hither` exports, wherever it runs, except the way in which the engine is loaded. */
export type { Client, ClientOptions, OpenOptions } from "./client.js";
export { HitherError, type HitherErrorCode, isHitherError } from "./error.js";
export type { Undo } from "./listeners.js";
export type { Peer, Presence } from "./presence.js";
export type { Receipt } from "./receipt.js";
export type { Room } from "./room.js";
export type { ClientStatus, ConnectionStatus, LocalStatus, RoomStatus, ServerStatus } from "./status.js";
export { type DraftText, type NewText, type Text, text } from "./text.js";
export type { Draft, DraftList, Input, Json, Scalar, State } from "./types.js";
