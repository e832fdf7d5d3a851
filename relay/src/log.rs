//! The log: a room's durable, ordered list of updates; the source of truth between devices.
//!
//! A node is a cache over a [`RoomLog`]: whatever it holds can be read from here again. The trait is the
//! whole of what the relay asks of a store, and the suite in [`contract`] is the whole of what a store
//! must do. A store sees bytes; what is in an update is no business of its.
//!
//! ```text
//!            floor          snapshot               head
//!   1 ─ ─ ─ ─ ─┼───────────────┼─────────────────────┤
//!   └ trimmed ─┘└ kept so that ┘└ the tail: joins     ┘
//!                 recent cursors   read snapshot + tail
//!                 still resume
//!   floor ≤ snapshot ≤ head; seqs count from 1 without gaps
//! ```
//!
//! A log lives under an epoch, a random name of one life of it. Every call but [`RoomLog::head`],
//! [`RoomLog::delete`] and [`RoomLog::rooms`] names the epoch it believes in and is refused with
//! [`LogError::EpochChanged`] if the log has another life by now or none at all. An epoch that was
//! deleted never comes back: the store remembers the last one, so an append or a compaction that was on
//! its way while the room was deleted cannot bring data back.

use std::{error::Error, future::Future, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};

#[cfg(any(test, feature = "testing"))]
pub mod contract;
pub mod file;
pub mod memory;

pub use file::FileLog;
pub use memory::MemoryLog;

/// What a [`RoomLog`] answers with: a boxed future, so that the trait stays object safe.
pub type LogFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The life of the log that the numbers below belong to.
    pub epoch: Epoch,
    /// Seq of the last entry.
    pub head: u64,
    /// Entries up to here are gone; 0 while all are there. Never above `snapshot`.
    pub floor: u64,
    /// Seq of the snapshot; 0 while there is none.
    pub snapshot: u64,
}

/// Some consecutive entries of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// `(seq, update)`, contiguous, the first one right after the position asked for.
    pub entries: Vec<(u64, Bytes)>,
}

/// One update equal to all entries up to a seq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry that the snapshot contains.
    pub seq: u64,
    /// The update.
    pub update: Bytes,
}

/// A store of logs, one per room.
///
/// Dropping a future does not undo what it asked for: a dropped append may or may not be in the log.
pub trait RoomLog: Send + Sync + 'static {
    /// Where the room's log stands; `None` if the room has none.
    fn head<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, Option<Head>>;

    /// Appends `entries` in order, all or none, and answers with the seq of the first when they are
    /// durable. A log that does not exist is created with `epoch`. No entries: nothing happens and the
    /// answer is the seq that the next entry would get.
    fn append<'a>(&'a self, room: &'a RoomName, epoch: Epoch, entries: Vec<Bytes>) -> LogFuture<'a, u64>;

    /// Entries from `after + 1` on, as many as fit in `max_bytes` of updates, but at least one if there
    /// is any; none if `after` is at or past the head. [`LogError::Trimmed`] if `after` is below the floor.
    fn read<'a>(
        &'a self,
        room: &'a RoomName,
        epoch: Epoch,
        after: u64,
        max_bytes: usize,
    ) -> LogFuture<'a, Page>;

    /// The present snapshot.
    fn snapshot<'a>(&'a self, room: &'a RoomName, epoch: Epoch) -> LogFuture<'a, Option<Snapshot>>;

    /// Puts `snapshot` in the place of the one with seq `replaces` (0: there is none) and removes the
    /// entries up to `floor`, in one step. [`LogError::Superseded`] if the present snapshot is another
    /// one, or if the new one would be older than it or newer than the head. A floor is only ever raised,
    /// and at most to the snapshot's seq.
    fn put_snapshot<'a>(
        &'a self,
        room: &'a RoomName,
        epoch: Epoch,
        replaces: u64,
        snapshot: Snapshot,
        floor: u64,
    ) -> LogFuture<'a, ()>;

    /// Removes the room's log for good; whether there was one. Its epoch is refused from now on.
    fn delete<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, bool>;

    /// Names of rooms that have a log, in byte order, at most `max`, from the first one behind `after`.
    fn rooms<'a>(&'a self, after: Option<&'a RoomName>, max: usize) -> LogFuture<'a, Vec<RoomName>>;

    /// Until when the next append had better wait, so that what arrives meanwhile goes with it; `None`: it had
    /// better not. To be asked once per append, before its entries are taken. Only a hint: an append that did not
    /// ask is as good.
    fn gather_until(&self) -> Option<Instant> {
        None
    }

    /// Waits for the appends under way, makes everything as durable as it can be, and takes nothing more. Blocks. For the
    /// end of a process; a store that is dropped does the same by itself.
    fn close(&self) {}

    /// The failure after which this store takes nothing more until it is opened anew, if there was one. A relay
    /// ends then: whoever watches over it starts another one.
    fn health(&self) -> Result<(), LogError> {
        Ok(())
    }
}

/// Why a store did not do what it was asked.
///
/// It is `Clone` because one failed commit answers many appends.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The log has another epoch by now, or there is no log.
    #[error("the room's log is not (or no longer) of this epoch")]
    EpochChanged,
    /// The entries asked for were compacted away.
    #[error("entries up to seq {floor} are compacted into the snapshot")]
    Trimmed {
        /// Entries up to here are gone.
        floor: u64,
    },
    /// Somebody else put a snapshot meanwhile.
    #[error("another snapshot was put meanwhile")]
    Superseded,
    /// The store could not do it now. Whether an append that ends so is in the log is unknown; what was
    /// acknowledged before is not touched. Retry later, after reading the head again.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// What the store holds is not what it wrote. Retrying does not help.
    #[error("the store is damaged: {what}")]
    Corrupt {
        /// What was found, and where.
        what: String,
    },
}

impl LogError {
    /// Wraps the cause of a failure that may pass.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> LogError {
        LogError::Unavailable(Arc::from(cause.into()))
    }
}
