//! What a room says, in the words of each door. Members of both doors are members of one room; only the bytes
//! differ, so everything is encoded once per [`Kind`] and shared.
//!
//! A chunk is any number of bodies behind their lengths. The `/sync` socket sends it as it is, the `/yjs`
//! socket takes it apart, one WebSocket message per body.

use crate::yprotocol;
use bytes::Bytes;
use hither_protocol::{
    frames::{self, RelayFrame},
    ids::{Channel, Peer, Seq},
};

/// The door that a member came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `/sync`: `hither.v1`, with cursors and acknowledgements.
    Sync,
    /// `/yjs/{room}`: plain y-protocols.
    Yjs,
}

/// Bytes around an update in a chunk, for sizing buffers: a length, a type and two numbers.
const AROUND: usize = 24;

/// Consecutive entries of the log, encoded for one kind, with the borders between them.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) chunk: Bytes,
    /// End of each entry in `chunk`.
    ends: Vec<usize>,
}

impl Entries {
    /// Encodes `updates`, the first of which is at `first`.
    pub(crate) fn encode<'a>(
        kind: Kind,
        channel: Channel,
        first: u64,
        updates: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
    ) -> Entries {
        let size = updates.clone().map(|update| update.len() + AROUND).sum();
        let (mut out, mut ends) = (Vec::with_capacity(size), Vec::with_capacity(updates.len()));
        for (seq, update) in (first..).zip(updates) {
            match kind {
                Kind::Sync => frames::write_update(&mut out, channel, Seq(seq), update),
                Kind::Yjs => yprotocol::write_update(&mut out, update),
            }
            ends.push(out.len());
        }
        Entries { chunk: out.into(), ends }
    }

    /// The bytes of the entries `range`, counted from 0.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> &[u8] {
        let at = |index: usize| if index == 0 { 0 } else { self.ends[index - 1] };
        &self.chunk[at(range.start)..at(range.end)]
    }
}

/// A frame as a chunk of its own.
pub(crate) fn frame(frame: &RelayFrame) -> Bytes {
    message(|out| frame.encode(out))
}

/// A snapshot as a chunk of its own.
pub(crate) fn snapshot(kind: Kind, channel: Channel, seq: Seq, update: &Bytes) -> Bytes {
    match kind {
        Kind::Sync => frame(&RelayFrame::Snapshot { channel, seq, update: update.clone() }),
        Kind::Yjs => message(|out| yprotocol::write_update(out, update)),
    }
}

/// One person's presence; no state: gone.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) peer: u64,
    pub(crate) clock: u32,
    pub(crate) state: &'a [u8],
}

/// Some people's presence as one chunk.
pub(crate) fn presence(kind: Kind, channel: Channel, people: &[Seen<'_>]) -> Bytes {
    match kind {
        Kind::Sync => message(|out| {
            for seen in people {
                let state = Bytes::copy_from_slice(seen.state);
                RelayFrame::Presence { channel, peer: Peer(seen.peer), state }.encode(out);
            }
        }),
        Kind::Yjs => message(|out| {
            yprotocol::write_awareness(out, people.iter().map(|seen| (seen.peer, seen.clock, seen.state)));
        }),
    }
}

/// Whatever `write` appends, as a chunk.
pub(crate) fn message(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::new();
    write(&mut out);
    out.into()
}
