//! The disk of a device: rows of all rooms, shared by the tabs of the device. Batches are whole or not at all,
//! and happen in the order in which they were asked for.

use bytes::Bytes;
use hither_core::storage::{RowKey, Stored, Write};
use hither_core::{BatchId, RoomId};
use hither_protocol::{
    contents::Contents,
    ids::{Cursor, Epoch, Seq},
    scan::scan,
    varint,
};
use std::collections::{BTreeMap, VecDeque};
use yrs::updates::decoder::Decode;
use yrs::{Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update};

/// A row and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) bytes: Vec<u8>,
    pub(crate) contents: Contents,
}

/// The rows of one room.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiskRoom {
    pub(crate) meta: Option<Vec<u8>>,
    pub(crate) updates: BTreeMap<RowKey, Row>,
    pub(crate) outbox: BTreeMap<RowKey, Row>,
    /// A row was torn: the cursor claims too much until it is written again.
    pub(crate) is_torn: bool,
}

/// Something asked of a disk.
#[derive(Debug)]
pub(crate) enum Errand {
    Load { room: RoomId, name: String },
    Store { batch: BatchId, writes: Vec<Write> },
}

/// An errand and who sent it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: u64,
    pub(crate) tab: usize,
    pub(crate) life: u64,
    pub(crate) errand: Errand,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) rooms: BTreeMap<String, DiskRoom>,
    pub(crate) asked: VecDeque<Asked>,
    /// When the last errand will be done.
    pub(crate) busy_until: u64,
    pub(crate) fails_until: u64,
    pub(crate) full_until: u64,
    pub(crate) slow_until: u64,
    /// Counts how often it was emptied: who wrote to an earlier life is told once that nothing of it is left.
    pub(crate) life: u64,
    /// Whether a row was ever torn.
    pub(crate) was_torn: bool,
    /// The last batches, each with what was there before it.
    tail: VecDeque<Vec<Before>>,
}

/// What a batch wrote over.
#[derive(Debug)]
struct Before {
    write: Write,
    meta: Option<Vec<u8>>,
    row: Option<Row>,
    was_torn: bool,
}

/// Batches that a disk can lose with the power.
const TAIL_BATCHES: usize = 12;

impl Disk {
    /// Writes a batch.
    pub(crate) fn write_batch<'a>(&mut self, writes: impl IntoIterator<Item = &'a Write>) {
        let mut batch = Vec::new();
        for write in writes {
            let room = self.room(write.room());
            let row = match write {
                Write::PutUpdates { key, .. } | Write::DeleteUpdates { key, .. } => room.updates.get(key),
                Write::PutOutbox { key, .. } | Write::DeleteOutbox { key, .. } => room.outbox.get(key),
                Write::PutMeta { .. } => None,
            };
            let (meta, row, was_torn) = (room.meta.clone(), row.cloned(), room.is_torn);
            batch.push(Before { write: write.clone(), meta, row, was_torn });
            self.write(write);
        }
        self.tail.push_back(batch);
        if self.tail.len() > TAIL_BATCHES {
            self.tail.pop_front();
        }
    }

    /// Takes back the last batches; whether there were any.
    pub(crate) fn roll_back(&mut self, batches: usize) -> bool {
        let from = self.tail.len().saturating_sub(batches);
        let lost = self.tail.split_off(from);
        let is_any = !lost.is_empty();
        for Before { write, meta, row, was_torn } in
            lost.into_iter().rev().flat_map(|batch| batch.into_iter().rev())
        {
            let room = self.room(write.room());
            room.is_torn = was_torn;
            match write {
                Write::PutUpdates { key, .. } | Write::DeleteUpdates { key, .. } => {
                    match row {
                        Some(row) => room.updates.insert(key, row),
                        None => room.updates.remove(&key),
                    };
                }
                Write::PutOutbox { key, .. } | Write::DeleteOutbox { key, .. } => {
                    match row {
                        Some(row) => room.outbox.insert(key, row),
                        None => room.outbox.remove(&key),
                    };
                }
                Write::PutMeta { .. } => room.meta = meta,
            }
        }
        is_any
    }

    /// Tears the end off some row of updates; whether there was one.
    pub(crate) fn tear(&mut self, choice: usize) -> bool {
        let rows = self.rooms.values().map(|room| room.updates.len()).sum::<usize>();
        let Some(mut index) = choice.checked_rem(rows) else { return false };
        for room in self.rooms.values_mut() {
            if index >= room.updates.len() {
                index -= room.updates.len();
                continue;
            }
            if let Some(row) = room.updates.values_mut().nth(index) {
                row.bytes.truncate(choice.checked_rem(row.bytes.len()).unwrap_or(0));
                row.contents = contents_of(&unpack(&row.bytes));
            }
            room.is_torn = true;
            self.was_torn = true;
            self.tail.clear();
            return true;
        }
        false
    }

    /// Loses everything.
    pub(crate) fn lose(&mut self) {
        self.rooms.clear();
        self.tail.clear();
    }

    /// What a shell answers to a load.
    pub(crate) fn load(&self, name: &str) -> Stored {
        let Some(room) = self.rooms.get(name) else { return Stored::default() };
        let rows =
            |rows: &BTreeMap<RowKey, Row>| rows.iter().map(|(key, row)| (*key, row.bytes.clone())).collect();
        Stored { meta: room.meta.clone(), updates: rows(&room.updates), outbox: rows(&room.outbox) }
    }

    /// What a shell answers whose rows all carry the epoch of the cursor.
    pub(crate) fn load_as_of_one_life(&self, name: &str) -> Stored {
        let mut stored = self.load(name);
        if let Some(cursor) = self.rooms.get(name).and_then(DiskRoom::cursor) {
            let heads = stored.updates.iter_mut().filter_map(|(_, pack)| pack.first_chunk_mut::<16>());
            heads.for_each(|life| *life = cursor.epoch.0);
        }
        stored
    }

    /// Writes one row, or removes it.
    pub(crate) fn write(&mut self, write: &Write) {
        match write {
            Write::PutUpdates { room, key, pack } => {
                let row = Row { contents: contents_of(&unpack(pack)), bytes: pack.clone() };
                self.room(room).updates.insert(*key, row);
            }
            Write::PutOutbox { room, key, update } => {
                let contents = contents_of(&[Bytes::copy_from_slice(update)]);
                self.room(room).outbox.insert(*key, Row { bytes: update.clone(), contents });
            }
            Write::DeleteUpdates { room, key } => {
                self.room(room).updates.remove(key);
            }
            Write::DeleteOutbox { room, key } => {
                self.room(room).outbox.remove(key);
            }
            Write::PutMeta { room, meta } => {
                let room = self.room(room);
                room.meta = Some(meta.clone());
                room.is_torn = false;
            }
        }
    }

    fn room(&mut self, name: &str) -> &mut DiskRoom {
        self.rooms.entry(name.to_owned()).or_default()
    }
}

impl DiskRoom {
    /// Everything that could be read again from here.
    pub(crate) fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        for row in self.updates.values().chain(self.outbox.values()) {
            contents.merge(&row.contents);
        }
        contents
    }

    /// The contents, and the deletions that follow from them: what lies in something deleted is deleted with it, and a
    /// log may say so where a disk does not.
    fn contents_read(&self) -> Contents {
        let mut updates: Vec<Bytes> = self.updates.values().flat_map(|row| unpack(&row.bytes)).collect();
        updates.extend(self.outbox.values().map(|row| Bytes::copy_from_slice(&row.bytes)));
        let doc = Doc::with_options(Options {
            offset_kind: OffsetKind::Utf16,
            skip_gc: false,
            cleanup_formatting: false,
            ..Options::default()
        });
        let mut held = Contents::new();
        let mut before = usize::MAX;
        while updates.len() < before {
            before = updates.len();
            updates.retain(|update| {
                let Ok(scan) = scan(update) else { return false };
                let is_ready = held.is_ready_for(&scan);
                if is_ready {
                    held.absorb(&scan);
                    let update = Update::decode_v1(update).expect("the scanner took it");
                    doc.transact_mut()
                        .apply_update(update)
                        .expect("the document takes what the scanner took");
                }
                !is_ready
            });
        }
        let state = doc.transact().encode_state_as_update_v1(&StateVector::default());
        let mut contents = self.contents();
        contents.merge(&contents_of(&[state.into()]));
        contents
    }

    /// What of `log` could not be read again from here.
    pub(crate) fn lacks(&self, log: &Contents) -> Option<Contents> {
        if self.contents().covers(log) {
            return None;
        }
        let lacks = log.missing_from(&self.contents_read());
        (!lacks.is_empty()).then_some(lacks)
    }

    /// How far this disk claims to have the log.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        let (format, rest) = self.meta.as_ref()?.split_first()?;
        let (epoch, seq) = rest.split_first_chunk::<16>()?;
        let (seq, _) = varint::peek(seq).ok()?;
        (*format == 1).then_some(Cursor { epoch: Epoch(*epoch), seq: Seq(seq) })
    }
}

/// The updates of a row, behind the epoch and their number.
pub(crate) fn unpack(pack: &[u8]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(pack.get(16..).unwrap_or_default());
    let mut updates = Vec::new();
    let _ = varint::read(&mut rest);
    while !rest.is_empty() {
        match varint::read(&mut rest) {
            Ok(length) if length <= rest.len() as u64 => updates.push(rest.split_to(length as usize)),
            _ => break,
        }
    }
    updates
}

fn contents_of(updates: &[Bytes]) -> Contents {
    let mut contents = Contents::new();
    for update in updates {
        if let Ok(scan) = scan(update) {
            contents.absorb(&scan);
        }
    }
    contents
}
