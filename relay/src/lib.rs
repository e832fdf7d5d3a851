//! The relay: appends updates to durable logs and fans them out. It treats updates as bytes.
//!
//! | file | noun |
//! |---|---|
//! | [`room`] | one room's logic: facts in, wishes out; no sockets, clocks or tasks |
//! | [`log`] | the log of a room, and the stores of logs |
//! | [`compaction`] | snapshots out of snapshots and entries |
//! | [`node`] | rooms in use, driven against a log and sockets |
//! | [`outbox`] | what waits to be sent to one socket |
//! | `socket` | the task that moves bytes of one socket |
//! | `traffic` | when bytes of a connection last moved |
//! | `doors` | what `hither.v1` and stock Yjs clients say, as facts of rooms |
//! | [`yprotocol`] | the words of stock Yjs clients |
//! | [`server`] | the listener with both doors, health and web pages |
//! | `pages` | the web pages |
//! | `panicked` | what code of others said when it gave up |
//! | [`config`] | flags, environment and file |
//! | [`limits`] | every limit with its arithmetic |
//!
//! One push, from socket to socket:
//! ```text
//!   socket ─► door: scan ─► room: known? ─► line ─► Append ─► log: fsync
//!                                                              │
//!   sockets ◄─ outboxes ◄─ room: one chunk, shared ◄───────────┘
//! ```
#![forbid(unsafe_code)]

pub mod compaction;
pub mod config;
pub(crate) mod doors;
pub mod limits;
pub mod log;
pub mod node;
pub mod outbox;
pub(crate) mod pages;
pub(crate) mod panicked;
pub mod room;
pub mod server;
pub(crate) mod socket;
pub(crate) mod traffic;
pub mod yprotocol;
