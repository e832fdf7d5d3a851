//! What the core asks of a disk, as data. A shell keeps rows as they are and looks into none of them.
//!
//! ```text
//! meta     room                 → cursor                      how far the log was read
//! updates  room, at, writer, n  → epoch, pack of updates      what is in the document
//! outbox   room, at, writer, n  → one update                  what the relay has not acknowledged
//! ```
//!
//! The epoch of a row of updates names the life of the log that accounts for it: what is in the row was in that log, or
//! in the outbox, when the row was written. A row of another life than the cursor's may hold what the present log lost,
//! whoever wrote it.
//!
//! Keys are unique among all tabs of a profile (`writer` is random), so tabs may share a disk without knowing of
//! each other; `at` first, so that rows load in about the order in which they were made.

use crate::time::Millis;
use bytes::Bytes;
use hither_protocol::ids::{Cursor, Epoch, Seq};
use hither_protocol::varint;

/// The key of a row within its room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RowKey {
    /// When it was made.
    pub at: Millis,
    /// Who made it: a random number of 53 bits, new for every opening of a room.
    pub writer: u64,
    /// The writer's count.
    pub n: u64,
}

/// One write of a batch. Writing it twice is the same as once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Write {
    PutUpdates { room: String, key: RowKey, pack: Vec<u8> },
    DeleteUpdates { room: String, key: RowKey },
    PutOutbox { room: String, key: RowKey, update: Vec<u8> },
    DeleteOutbox { room: String, key: RowKey },
    PutMeta { room: String, meta: Vec<u8> },
}

impl Write {
    /// The room that it belongs to.
    pub fn room(&self) -> &str {
        match self {
            Write::PutUpdates { room, .. }
            | Write::DeleteUpdates { room, .. }
            | Write::PutOutbox { room, .. }
            | Write::DeleteOutbox { room, .. }
            | Write::PutMeta { room, .. } => room,
        }
    }
}

/// Everything that a disk has of a room, rows in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stored {
    pub meta: Option<Vec<u8>>,
    pub updates: Vec<(RowKey, Vec<u8>)>,
    pub outbox: Vec<(RowKey, Vec<u8>)>,
}

/// Why a disk did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {cause}")]
pub struct StorageError {
    /// What kind of trouble.
    pub kind: StorageErrorKind,
    /// In words.
    pub cause: String,
}

/// Kinds of trouble with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageErrorKind {
    /// It is full, or the quota is.
    #[error("no space")]
    Quota,
    /// The handle died; the shell reopens it.
    #[error("closed")]
    Closed,
    /// It cannot be reached now.
    #[error("unavailable")]
    Unavailable,
    /// There is none, and there will be none: rooms live as long as the client.
    #[error("none")]
    Absent,
    /// What was written is not there any more, or came back as something else: everything is written again.
    #[error("damaged")]
    Corrupt,
}

/// The version of the rows. A newer one is never written over.
const FORMAT: u8 = 1;

pub(crate) fn encode_meta(cursor: Option<Cursor>) -> Vec<u8> {
    let mut meta = vec![FORMAT];
    if let Some(cursor) = cursor {
        meta.extend_from_slice(&cursor.epoch.0);
        varint::write(&mut meta, cursor.seq.0);
    }
    meta
}

/// The cursor of a meta row. `Err` if a newer version of Hither wrote it.
pub(crate) fn decode_meta(meta: &[u8]) -> Result<Option<Cursor>, u8> {
    match meta.split_first() {
        Some((&FORMAT, rest)) => Ok(rest.split_first_chunk::<16>().and_then(|(epoch, seq)| {
            let (seq, _) = varint::peek(seq).ok()?;
            Some(Cursor { epoch: Epoch(*epoch), seq: Seq(seq) })
        })),
        Some((&newer, _)) if newer > FORMAT => Err(newer),
        _ => Ok(None),
    }
}

/// No log: there was none, or it is not known yet what it has of the row.
const NO_EPOCH: Epoch = Epoch([0; 16]);

/// Updates behind their lengths, and their number before them: a row of many costs a reader as much as a row of one.
pub(crate) fn pack<'a, I>(life: Option<Epoch>, updates: I) -> Vec<u8>
where
    I: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
{
    let updates = updates.into_iter();
    let mut pack = life.unwrap_or(NO_EPOCH).0.to_vec();
    varint::write(&mut pack, updates.len() as u64);
    for update in updates {
        varint::write(&mut pack, update.len() as u64);
        pack.extend_from_slice(update);
    }
    pack
}

/// A pack as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpacked {
    pub(crate) life: Option<Epoch>,
    pub(crate) updates: Vec<Bytes>,
    /// Whether that is all that was written.
    pub(crate) is_whole: bool,
}

pub(crate) fn unpack(pack: Vec<u8>) -> Unpacked {
    let mut rest = Bytes::from(pack);
    let mut unpacked = Unpacked { life: None, updates: Vec::new(), is_whole: false };
    let Some(life) = rest.first_chunk::<16>() else { return unpacked };
    unpacked.life = Some(Epoch(*life)).filter(|life| *life != NO_EPOCH);
    let _ = rest.split_to(16);
    let Ok(count) = varint::read(&mut rest) else { return unpacked };
    while (unpacked.updates.len() as u64) < count {
        match varint::read(&mut rest) {
            Ok(length) if length <= rest.len() as u64 => {
                unpacked.updates.push(rest.split_to(length as usize));
            }
            _ => return unpacked,
        }
    }
    unpacked.is_whole = rest.is_empty();
    unpacked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_cursors_survive_the_round_trip() {
        let updates: [&[u8]; 3] = [&[1, 2, 3], &[], &[9; 300]];
        for life in [None, Some(Epoch([7; 16]))] {
            let back = unpack(pack(life, updates));
            assert!(back.is_whole && back.life == life && back.updates == updates);
            let whole = pack(life, updates);
            for length in 0..whole.len() {
                let back = unpack(whole[..length].to_vec());
                assert!(!back.is_whole && back.updates == updates[..back.updates.len()], "torn at {length}");
            }
        }
        assert!(!unpack(vec![5, 1]).is_whole);

        let cursor = Cursor { epoch: Epoch([7; 16]), seq: Seq(1 << 40) };
        assert_eq!(decode_meta(&encode_meta(Some(cursor))), Ok(Some(cursor)));
        assert_eq!(decode_meta(&encode_meta(None)), Ok(None));
        assert_eq!(decode_meta(&[2, 0]), Err(2));
        assert_eq!(decode_meta(&[]), Ok(None));
    }
}
