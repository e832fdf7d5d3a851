//! A member: one join of one connection, and how far the room has told it the log.
//!
//! ```text
//!  join ─► Arriving ──head──► Waiting ── turn, at the head ─────────────────────────► Live
//!                             ▲  ▲ │                                                  ▲ │
//!                             │  │ ├─ turn, no cursor ──► ReadingSnapshot ─┐          │ │
//!                             │  │ └─ turn, a cursor ───► Reading{after} ──┤          │ │
//!                             │  └─── sent, there is more ─────────────────┴─ sent all ┘ │
//!                             └────── its queue is too long ────────────────────────────┘
//! ```
//!
//! A Live member gets every entry as it becomes durable. All others read the log in pages from where they
//! are. A turn comes when the queue of the member's socket is short, and only a few members of a socket have one
//! at once: so a slow peer costs a few pages and no more, in however many rooms it is.

use super::words::Kind;
use crate::yprotocol::StateVector;
use hither_protocol::{
    frames::Access,
    id_set::IdSet,
    ids::{Cursor, Peer, Seq},
};
use std::collections::BTreeMap;

/// One join of one connection. The caller counts them and uses no number twice in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) kind: Kind,
    pub(crate) access: Access,
    pub(crate) peer: Peer,
    pub(crate) phase: Phase,
    pub(crate) pushing: Pushing,
    /// Own pushes that became durable while this member was reading the log: acknowledged when it has read
    /// that far.
    pub(crate) owed: Option<Owed>,
    pub(crate) hearing: Hearing,
    /// What a stock client told us that it has.
    pub(crate) yjs: Option<Box<YjsSync>>,
}

/// How far the log was told.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The room does not know its own head yet.
    Arriving { cursor: Option<Cursor> },
    /// A stock client that has not said yet what it has: it is told nothing of the log.
    Unasked,
    /// The snapshot is being read for it.
    ReadingSnapshot,
    /// A page behind `after` is being read for it.
    Reading { after: u64 },
    /// Told up to here; more when its turn comes.
    Waiting { begin: Begin },
    /// Told everything that is durable.
    Live,
}

/// Where a member goes on with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At the very beginning, with the snapshot if there is one.
    Everything,
    /// Behind this entry.
    After(u64),
}

/// What this join may still push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushing {
    /// Push `last + 1` is next.
    Open { last: u64 },
    /// A push was refused, and so is everything behind it.
    Refused,
}

/// An acknowledgement that waits for the reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owed {
    pub(crate) n: u64,
    pub(crate) seq: Seq,
}

/// What a member was told of the others' presence.
#[derive(Debug)]
pub(crate) enum Hearing {
    /// Nothing yet, or nothing that counts: it is told of all when it is live, a stock client when its queue is short.
    Nothing,
    /// Everything.
    All,
    /// Everything but the changes of these, at these clocks, while its queue was too long.
    AllBut(BTreeMap<u64, u32>),
}

/// The side of a stock client in one exchange of step 1 and step 2.
#[derive(Debug, Default)]
pub(crate) struct YjsSync {
    /// From its step 1.
    pub(crate) vector: StateVector,
    /// Deletions of updates that were not sent because it has their inserts; they go with step 2.
    pub(crate) deletes: IdSet,
}

impl YjsSync {
    /// Whether the client has all of these ids.
    pub(crate) fn has(&self, inserts: &IdSet) -> bool {
        inserts.iter().all(|(client, ranges)| {
            let known = self.vector.get(&client).copied().unwrap_or(0);
            ranges.last().is_none_or(|last| last.end <= known)
        })
    }
}
