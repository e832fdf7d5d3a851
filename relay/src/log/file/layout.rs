//! How logs lie in the embedded store: four tables, their keys and records.
//!
//! ```text
//!   meta     "format"            → u32        refused when newer than this build
//!            "next"              → u64        the next id; a log and a snapshot each take one
//!            "home"              → inode birth  which directory this is (renewal.rs); empty: not sure
//!            'S' kind id …       → nothing    a chore: what is no longer referenced and still lies there
//!   rooms    name                → record     alive(epoch, id, floor, snapshot) | dead(epoch)
//!   entries  id seq              → update
//!   chunks   snapshot-id index   → part of a snapshot
//! ```
//!
//! The record is written when a log is created, compacted, deleted or gets a new epoch, never by an append: the head is
//! the last key of the log's range. A new life of a room has a new id, so nothing that an old life left
//! behind can show up in it. Numbers in keys are big-endian, so that byte order is their order.

use hither_protocol::ids::Epoch;

use crate::log::LogError;

/// Version of this layout.
pub(super) const FORMAT: u32 = 1;
pub(super) const FORMAT_KEY: &[u8] = b"format";
pub(super) const NEXT_ID_KEY: &[u8] = b"next";
pub(super) const HOME_KEY: &[u8] = b"home";

/// A snapshot is cut into parts of this size, each a commit of its own: a commit that syncs many megabytes
/// would make every room's append wait for it.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// What is known of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Alive(Alive),
    /// Deleted: the last epoch stays refused.
    Dead(Epoch),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alive {
    pub(super) epoch: Epoch,
    pub(super) id: u64,
    pub(super) floor: u64,
    pub(super) snapshot: Option<StoredSnapshot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredSnapshot {
    pub(super) seq: u64,
    pub(super) id: u64,
    pub(super) bytes: u64,
}

const DEAD: u8 = 0;
const ALIVE: u8 = 1;
const ALIVE_WITH_SNAPSHOT: u8 = 2;

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(57);
        match self {
            Record::Dead(epoch) => {
                out.push(DEAD);
                out.extend(epoch.0);
            }
            Record::Alive(alive) => {
                out.push(if alive.snapshot.is_some() { ALIVE_WITH_SNAPSHOT } else { ALIVE });
                out.extend(alive.epoch.0);
                out.extend(alive.id.to_be_bytes());
                out.extend(alive.floor.to_be_bytes());
                if let Some(snapshot) = alive.snapshot {
                    out.extend(snapshot.seq.to_be_bytes());
                    out.extend(snapshot.id.to_be_bytes());
                    out.extend(snapshot.bytes.to_be_bytes());
                }
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Record, LogError> {
        let mut rest = bytes;
        let record = Self::decode_from(&mut rest).filter(|_| rest.is_empty());
        record.ok_or_else(|| LogError::Corrupt { what: format!("a room record of {} bytes", bytes.len()) })
    }

    fn decode_from(rest: &mut &[u8]) -> Option<Record> {
        let [tag] = take::<1>(rest)?;
        let epoch = Epoch(take(rest)?);
        if tag == DEAD {
            return Some(Record::Dead(epoch));
        }
        let id = take_u64(rest)?;
        let floor = take_u64(rest)?;
        let snapshot = match tag {
            ALIVE => None,
            ALIVE_WITH_SNAPSHOT => {
                Some(StoredSnapshot { seq: take_u64(rest)?, id: take_u64(rest)?, bytes: take_u64(rest)? })
            }
            _ => return None,
        };
        Some(Record::Alive(Alive { epoch, id, floor, snapshot }))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_be_bytes)
}

/// Reads a value or key that is one number.
pub(super) fn number(bytes: &[u8], what: &str) -> Result<u64, LogError> {
    bytes
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| LogError::Corrupt { what: format!("{what}: {} bytes instead of 8", bytes.len()) })
}

pub(super) fn entry_key(log: u64, seq: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&log.to_be_bytes());
    key[8..].copy_from_slice(&seq.to_be_bytes());
    key
}

pub(super) fn entry_seq(key: &[u8]) -> Result<u64, LogError> {
    number(key.get(8..).unwrap_or_default(), "an entry's key")
}

pub(super) fn chunk_key(snapshot: u64, index: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&snapshot.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Something that no record refers to (any more) and that has to be removed, a little at a time.
///
/// It is noted in the same commit that takes the reference away, so a crash only delays it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chore {
    /// All entries of a deleted log.
    Log(u64),
    /// The parts of a snapshot that was replaced, or that was being written when the process died.
    Chunks(u64),
    /// The entries of a living log up to its floor.
    Trim { log: u64, floor: u64 },
}

impl Chore {
    pub(super) const PREFIX: &'static [u8] = b"S";

    /// The note's key says all, so two trims of one log are two notes; its value is empty.
    pub(super) fn key(self) -> Vec<u8> {
        let (kind, id) = match self {
            Chore::Log(id) => (1, id),
            Chore::Chunks(id) => (2, id),
            Chore::Trim { log, .. } => (3, log),
        };
        let mut key = vec![b'S', kind];
        key.extend(id.to_be_bytes());
        if let Chore::Trim { floor, .. } = self {
            key.extend(floor.to_be_bytes());
        }
        key
    }

    /// The first key that may have to be removed.
    pub(super) fn first_key(self) -> Vec<u8> {
        match self {
            Chore::Log(log) | Chore::Trim { log, .. } => entry_key(log, 0).into(),
            Chore::Chunks(id) => chunk_key(id, 0).into(),
        }
    }

    /// The last one.
    pub(super) fn last_key(self) -> Vec<u8> {
        match self {
            Chore::Log(log) => entry_key(log, u64::MAX).into(),
            Chore::Trim { log, floor } => entry_key(log, floor).into(),
            Chore::Chunks(id) => chunk_key(id, u32::MAX).into(),
        }
    }

    pub(super) fn decode(key: &[u8]) -> Result<Chore, LogError> {
        let corrupt = || LogError::Corrupt { what: "a note of something to remove".into() };
        let mut rest = key.strip_prefix(Chore::PREFIX).ok_or_else(corrupt)?;
        let [kind] = take::<1>(&mut rest).ok_or_else(corrupt)?;
        let id = take_u64(&mut rest).ok_or_else(corrupt)?;
        let chore = match kind {
            1 => Chore::Log(id),
            2 => Chore::Chunks(id),
            3 => Chore::Trim { log: id, floor: take_u64(&mut rest).ok_or_else(corrupt)? },
            _ => return Err(corrupt()),
        };
        if rest.is_empty() { Ok(chore) } else { Err(corrupt()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_as_written_and_every_cut_is_refused() {
        let snapshot = Some(StoredSnapshot { seq: 9, id: 1 << 40, bytes: 77 });
        for record in [
            Record::Dead(Epoch([7; 16])),
            Record::Alive(Alive { epoch: Epoch([1; 16]), id: 3, floor: 0, snapshot: None }),
            Record::Alive(Alive { epoch: Epoch([2; 16]), id: u64::MAX, floor: 8, snapshot }),
        ] {
            let bytes = record.encode();
            assert_eq!(Record::decode(&bytes).unwrap(), record);
            for cut in 0..bytes.len() {
                assert!(matches!(Record::decode(&bytes[..cut]), Err(LogError::Corrupt { .. })), "{cut}");
            }
            let mut longer = bytes;
            longer.push(0);
            assert!(Record::decode(&longer).is_err());
        }
    }

    #[test]
    fn chores_read_back_as_written() {
        for chore in [Chore::Log(5), Chore::Chunks(6), Chore::Trim { log: 7, floor: 900 }] {
            assert_eq!(Chore::decode(&chore.key()).unwrap(), chore);
            assert!(chore.key().starts_with(Chore::PREFIX));
        }
    }

    #[test]
    fn keys_sort_as_their_numbers() {
        assert!(entry_key(1, 255) < entry_key(1, 256));
        assert!(entry_key(1, u64::MAX) < entry_key(2, 0));
        assert!(chunk_key(1, 255) < chunk_key(1, 256));
    }
}
