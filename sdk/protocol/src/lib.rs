//! The words that a Hither client and a Hither relay exchange, and nothing else: no socket, no clock, no CRDT.
//!
//! | file | noun |
//! |---|---|
//! | [`ids`] | room names, epochs, cursors, channels, peers |
//! | [`varint`] | the one integer encoding, read and written |
//! | [`frames`] | every frame of `hither.v1`, read and written side by side |
//! | [`deframe`] | WebSocket messages into frames, fragments joined |
//! | [`scan`] | the walk over an update that the relay makes instead of decoding it |
//! | [`id_set`] | which ids: what an update inserts or deletes |
//! | [`contents`] | what a whole log holds |
//! | [`enframe`] | frames into WebSocket messages |
//! | [`close`] | close codes and refusal codes |
//! | [`limits`] | every limit with its arithmetic |
//!
//! `SPEC.md` beside this crate says the same in prose with numbered rules; tests cite them.
#![forbid(unsafe_code)]

pub mod close;
pub mod contents;
pub mod deframe;
pub mod enframe;
pub mod frames;
pub mod id_set;
pub mod ids;
pub mod limits;
pub mod scan;
pub mod varint;

/// The WebSocket subprotocol of `/sync`.
pub const SUBPROTOCOL: &str = "hither.v1";

/// The number that [`frames::ClientFrame::Hello`] and [`frames::Welcome`] carry. Raised whenever the wire table changes.
pub const VERSION: u64 = 1;
