//! The Hither client as a pure state machine: facts go in, wishes come out. It owns no socket, file, clock,
//! timer, thread or random source; time is a number and randomness a seed, so a simulator runs exactly this code.
//!
//! | file | noun |
//! |---|---|
//! | [`client`] | one link, many rooms, one queue of wishes |
//! | `room` | an open room and its place in the relay's log |
//! | `document` | the CRDT; edits in, updates and patches out |
//! | `seed` | the content of a new room |
//! | `outbox` | what the relay has not acknowledged |
//! | `journal` | what is on its way to the disk |
//! | `link` | the connection: backoff, heartbeats |
//! | `outlet` | where all of these leave what they want done |
//! | [`storage`] | rows and batches as data |
//! | [`presence`] | who is in a room: what is shown there and what is seen |
//! | [`status`] | what is true about connection, disk and relay |
//! | [`edit`], [`value`] | what applications write and read |
//! | [`packet`] | both, as flat buffers |
//! | [`sorted`] | a map that is a list in the order of its keys |
//! | [`time`] | milliseconds |
//!
//! ```
//! use hither_core::{Client, Config, Event, OpenOptions, Wish};
//! use hither_core::edit::{Node, Op};
//! use hither_core::storage::Stored;
//! use hither_core::time::Millis;
//!
//! let mut client = Client::new(Config { seed: 7, connect: false, ..Config::default() });
//! let room = client.open(Millis(0), "board", OpenOptions::default()).unwrap();
//! client.handle_loaded(Millis(1), room, Ok(Stored::default()));
//! let change = [Op::MapSet { node: Node::ROOT, key: "title".into(), value: "Plans".into() }];
//! assert_eq!(client.change(Millis(2), room, &change).unwrap().edit, 1);
//! assert_eq!(client.state(room).unwrap().to_json().to_string(), r#"{"title":"Plans"}"#);
//! while let Some(wish) = client.poll_wish() {
//!     if let Wish::Store { batch, .. } = wish {
//!         client.handle_stored(Millis(3), batch, Ok(()));
//!     }
//! }
//! assert_eq!(client.edits(room).unwrap().saved, 1);
//! ```
#![forbid(unsafe_code)]

pub mod client;
mod document;
pub mod edit;
mod journal;
mod link;
mod outbox;
mod outlet;
pub mod packet;
pub mod presence;
mod room;
mod seed;
pub mod sorted;
pub mod status;
pub mod storage;
pub mod time;
pub mod value;

pub use client::Client;
pub use document::EditError;
pub use hither_protocol::SUBPROTOCOL;
pub use link::SocketId;

use bytes::Bytes;
use hither_protocol::ids::RoomNameError;
use presence::Presence;
use status::Status;
use storage::Write;
use time::Millis;
use value::Value;

/// What a client is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// How this client calls itself to the relay, at most 64 bytes. Default: the crate's name and version.
    pub name: String,
    /// Randomness for this one client: never the same twice, document ids come from it. Default: 0, for tests.
    pub seed: u64,
    /// Whether to connect at once. Default: yes.
    pub connect: bool,
    /// The time at which the client is made. Default: 0.
    pub now: Millis,
}

impl Default for Config {
    fn default() -> Self {
        let name = concat!("hither-core ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { name, seed: 0, connect: true, now: Millis(0) }
    }
}

/// An open room of one client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RoomId(pub u32);

/// One batch of writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BatchId(pub u64);

/// How to open a room.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// A map: its containers exist from the start, its content is planted if the room is empty everywhere.
    pub initial: Option<Value>,
    /// What the relay asks for to let us in.
    pub token: Vec<u8>,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The edit's number, by which [`Event::Saved`] and [`Event::Acked`] speak of it; 0 if nothing changed.
    pub edit: u64,
    /// The packet that brings a reader of the state up to date.
    pub patch: Vec<u8>,
}

/// What the core wants a shell to do.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Wish {
    /// Read everything that the disk has of a room; answer with `handle_loaded`.
    Load { room: RoomId, name: String },
    /// Write all of this or nothing, durably; answer with `handle_stored`. One batch at a time.
    Store { batch: BatchId, writes: Vec<Write> },
    /// Open a socket; answer with `handle_connected` or `handle_disconnected`.
    Connect { socket: SocketId },
    /// Send a binary message.
    Send { socket: SocketId, message: Bytes },
    /// Close a socket and forget it at once.
    Disconnect { socket: SocketId, code: u16 },
    /// Tell the application.
    Event { room: RoomId, event: Event },
}

/// What an application may want to know.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Event {
    /// The disk was read; the packet is the whole state.
    Ready { patch: Vec<u8> },
    /// The state changed other than by a call of `change`.
    Patch { patch: Vec<u8> },
    /// Edits up to this one are on this device's disk.
    Saved { edit: u64 },
    /// Edits up to this one are durable on the relay.
    Acked { edit: u64 },
    /// The relay refuses these edits; they stay on this device.
    Refused { from: u64, to: u64, code: u16, message: String },
    /// Something about connection, disk or relay changed.
    Status(Status),
    /// Somebody came, went or moved.
    Presence(Presence),
    /// Something went wrong that no call can report.
    Error(RoomError),
    /// The room is closed, everything is written.
    Closed,
}

/// An error that belongs to a room, not to a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RoomError {
    /// Stable, for programs.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

/// Something that the shell noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// The device says that it has a network.
    Online,
    /// The device says that it has none.
    Offline,
    /// People look at the page again, or it woke.
    Visible,
    /// The page may be frozen or killed from now on: write everything.
    Hidden,
}

/// Why a room cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The name cannot name a room.
    #[error(transparent)]
    Name(#[from] RoomNameError),
    /// One opening at a time.
    #[error("the room is already open in this client")]
    AlreadyOpen,
    /// No relay would take it, and the refusal would hit every room of the connection.
    #[error("the token has {bytes} bytes, at most {limit} are allowed")]
    TokenTooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The initial content must have names.
    #[error("the initial content is not a map")]
    InitialIsNoMap,
    /// The initial content cannot be planted.
    #[error("the initial content: {0}")]
    Initial(#[from] ChangeError),
}

/// Why a change was not made. Nothing happened to the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No room has this handle.
    #[error("the room is not open")]
    NotOpen,
    /// The disk is still being read.
    #[error("the room is not ready yet: wait until it is open")]
    NotReady,
    /// The relay would refuse it.
    #[error("the change takes up to {bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Its size, an upper bound.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It does not fit the document.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The bytes to import are no update.
    #[error("not a Yjs update: {0}")]
    Malformed(String),
}
