//! Every limit of the wire, with its arithmetic. What happens at a limit is said in SPEC.md.

/// The longest name of a room, in bytes: fits a NATS subject token and a database index after escaping.
pub const MAX_ROOM_NAME_BYTES: usize = 256;

/// The longest token of a Join: twice the 4 KiB that cookies allow, room for a JWT with many claims.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest name that a client gives itself in Hello.
pub const MAX_CLIENT_NAME_BYTES: usize = 64;

/// The longest reason in a refusal: the 123 bytes that a WebSocket close frame can carry.
pub const MAX_REASON_BYTES: usize = 123;

/// The largest update that a client may push, in bytes. A photograph fits, a film does not: an update is held
/// whole in memory by every socket that it passes.
pub const MAX_UPDATE_BYTES: usize = 8 * 1024 * 1024;

/// The largest snapshot that a relay sends: a room of this size takes about a second to load in a page.
pub const MAX_SNAPSHOT_BYTES: usize = 256 * 1024 * 1024;

/// The longest presence state, UTF-8 JSON: a name, a colour, a cursor and a selection take a few hundred bytes.
pub const MAX_PRESENCE_BYTES: usize = 4 * 1024;

/// How deep lists and maps of one plain value may be nested. Every reader of an update recurses once per level:
/// at up to a kilobyte of stack each (an unoptimised build) this takes 64 KiB of the 512 KiB to 1 MiB that the
/// smallest thread and a page's WebAssembly have. JSON that people write is rarely deeper than ten.
pub const MAX_VALUE_DEPTH: usize = 64;

/// How deep shared containers may lie in each other. Every reader deletes and collects them by recursion: yrs
/// overflows 1 MiB of stack between 3,000 and 4,000 levels (measured), a page has less to spare. An outline with
/// two containers per level still goes a hundred levels deep.
pub const MAX_CONTAINER_DEPTH: u32 = 256;

/// A frame body longer than this travels in fragments, so that a ping or another room's keystroke never waits
/// for more than one of them: 64 KiB take 5 ms at 100 Mbit/s.
pub const FRAGMENT_BYTES: usize = 64 * 1024;

/// The largest WebSocket message that either side sends: four fragments and their headers.
pub const MAX_MESSAGE_BYTES: usize = 4 * (FRAGMENT_BYTES + MAX_FRAME_HEADER_BYTES);

/// Rooms that one socket may be in: an application with a room for every open tab, panel and user still fits.
pub const MAX_ROOMS_PER_SOCKET: usize = 1_000;

/// Bytes around the payload of the largest frame: a type, three numbers of at most ten bytes, rounded up.
pub const MAX_FRAME_HEADER_BYTES: usize = 64;

/// The largest frame body that a relay accepts.
pub const MAX_CLIENT_FRAME_BYTES: usize = MAX_UPDATE_BYTES + MAX_FRAME_HEADER_BYTES;

/// The largest frame body that a client accepts.
pub const MAX_RELAY_FRAME_BYTES: usize = MAX_SNAPSHOT_BYTES + MAX_FRAME_HEADER_BYTES;

const _: () = assert!(FRAGMENT_BYTES + MAX_FRAME_HEADER_BYTES < MAX_MESSAGE_BYTES);
const _: () = assert!(MAX_TOKEN_BYTES + MAX_ROOM_NAME_BYTES < FRAGMENT_BYTES);
