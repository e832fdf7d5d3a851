//! The Hither client for Rust programs: the core of `hither-core` on tokio, with a file for a disk.
//!
//! | file | noun |
//! |---|---|
//! | [`client`] | a connection, a store, any number of open rooms |
//! | [`room`] | an open room: state, changes, presence |
//! | [`draft`] | what a change does, by path |
//! | [`receipt`] | how far a change has come |
//! | [`path`] | the way from a room's state to a value in it |
//! | `actor` | the task that owns the core: facts in, wishes out |
//! | `socket` | one attempt to talk to the relay |
//! | `store` | where rooms are kept: memory or a file |
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hither_client::{Client, OpenOptions};
//!
//! let client = Client::builder("ws://127.0.0.1:4455/sync").file("notes.hither").open().await?;
//! let room = client.open("board", OpenOptions::default()).await?;
//! let receipt = room.change(|draft| draft.set("title", "Plans")).await?;
//! receipt.local().await?; // on this disk
//! receipt.server().await?; // durable on the relay
//! println!("{}", room.state().await?.to_json());
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here knows a rule about syncing: those stand in `hither-core`.
#![forbid(unsafe_code)]

mod actor;
pub mod client;
pub mod draft;
pub mod path;
pub mod receipt;
pub mod room;
mod socket;
mod store;

pub use client::{Builder, Client, OpenError, StartError};
pub use draft::{ChangeError, Draft};
pub use hither_core::edit::{Node, Op};
pub use hither_core::presence::Presence;
pub use hither_core::status::{Connection, Edits, Local, Server, Status};
pub use hither_core::value::{Shape, Value};
pub use hither_core::{OpenOptions, RoomError};
pub use hither_protocol::ids::{Cursor, Epoch, Seq};
pub use path::{IntoPath, Path};
pub use receipt::{Receipt, ReceiptError};
pub use room::{Changes, Notice, Room, SyncError};

/// The client or the room is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("closed")]
pub struct Closed;
