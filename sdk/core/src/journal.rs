//! What of a room is on its way to this device's disk.
//!
//! An edit is urgent: it goes with the next batch. What the relay sent can be had again, so it waits a moment and
//! goes in one row with whatever else came; the cursor that counts it is in the same batch, never in an earlier
//! one. While nothing happens, many rows become one.

use crate::outbox::{Outbox, Row};
use crate::storage::{RowKey, Write, encode_meta, pack};
use crate::time::Millis;
use bytes::Bytes;
use hither_protocol::ids::{Cursor, Epoch};

/// How long remote updates wait for company, in milliseconds.
const GATHER_MS: u64 = 250;

/// How long a room must be quiet before its rows are merged, in milliseconds.
const QUIET_MS: u64 = 3_000;

/// Rows that are left alone: reading them costs less than writing them anew.
const MAX_ROWS: usize = 24;

/// Rows that are merged at once, however busy the room is: each costs the next opening some 50 µs.
const TOO_MANY_ROWS: usize = 500;

/// The writes of one room that no batch has yet.
#[derive(Debug)]
pub(crate) struct Journal {
    room: String,
    writer: u64,
    last_row: u64,
    /// The time of the newest row that this document contains.
    latest: Millis,
    /// Rows of `updates` that this document contains.
    rows: Vec<RowKey>,
    /// Some of them are of another life of the log than the present one.
    has_old_rows: bool,
    /// How many rows of the outbox there are.
    outbox_rows: usize,
    writes: Vec<Write>,
    unsaved: Vec<Bytes>,
    cursor: Option<Cursor>,
    is_cursor_new: bool,
    /// The newest edit in `writes`.
    edit: u64,
    flush_at: Option<Millis>,
    compact_at: Option<Millis>,
    /// Nothing may be written, or nowhere.
    is_sealed: bool,
}

impl Journal {
    pub(crate) fn new(room: &str, writer: u64) -> Self {
        Self {
            room: room.to_owned(),
            writer,
            last_row: 0,
            latest: Millis(0),
            rows: Vec::new(),
            has_old_rows: false,
            outbox_rows: 0,
            writes: Vec::new(),
            unsaved: Vec::new(),
            cursor: None,
            is_cursor_new: false,
            edit: 0,
            flush_at: None,
            compact_at: None,
            is_sealed: false,
        }
    }

    /// A newer version wrote this room, or there is no disk.
    pub(crate) fn seal(&mut self) {
        self.is_sealed = true;
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Rows that the disk gave.
    pub(crate) fn found(&mut self, now: Millis, rows: impl IntoIterator<Item = RowKey>) {
        self.rows.extend(rows);
        // Reading again finds rows that are known.
        self.rows.sort_unstable();
        self.rows.dedup();
        self.plan_compaction(now);
    }

    /// A row of the outbox that the disk gave: what is written from now on builds on it, and sorts behind it whatever
    /// the clock shows by then.
    pub(crate) fn found_in_outbox(&mut self, now: Millis, row: RowKey) {
        self.latest = self.latest.max(row.at);
        self.outbox_rows += 1;
        self.plan_compaction(now);
    }

    /// Whether a row is one that this document contains.
    pub(crate) fn has(&self, key: RowKey) -> bool {
        self.rows.contains(&key)
    }

    pub(crate) fn next_key(&mut self, now: Millis) -> RowKey {
        self.last_row += 1;
        self.latest = self.latest.max(now);
        RowKey { at: self.latest, writer: self.writer, n: self.last_row }
    }

    /// A local update; urgent.
    pub(crate) fn add_local(&mut self, now: Millis, row: &Row) {
        self.put_outbox(row.key, &row.update);
        self.edit = row.edit;
        self.flush_at = Some(now);
    }

    fn put_outbox(&mut self, key: RowKey, update: &[u8]) {
        let room = self.room.clone();
        self.writes.push(Write::PutOutbox { room, key, update: update.to_vec() });
        self.outbox_rows += 1;
    }

    fn delete_outbox(&mut self, key: RowKey) {
        let room = self.room.clone();
        self.writes.push(Write::DeleteOutbox { room, key });
        self.outbox_rows = self.outbox_rows.saturating_sub(1);
    }

    /// An update of somebody else.
    pub(crate) fn add_remote(&mut self, now: Millis, update: Bytes) {
        self.unsaved.push(update);
        self.gather(now);
    }

    /// An update that waits in the document, for a disk that has lost it.
    pub(crate) fn add_waiting(&mut self, update: &[u8]) {
        self.unsaved.push(Bytes::copy_from_slice(update));
    }

    /// Local updates that the relay has now. `rest` has what it lacks still, some of it in the same rows.
    pub(crate) fn acknowledged(&mut self, now: Millis, rows: Vec<Row>, rest: &Outbox) {
        let mut keys: Vec<RowKey> = rows.iter().map(|row| row.key).collect();
        keys.dedup();
        keys.into_iter().filter(|key| !rest.has(*key)).for_each(|key| self.delete_outbox(key));
        self.unsaved.extend(rows.into_iter().map(|row| row.update));
        self.gather(now);
    }

    /// The document contains the log up to here.
    pub(crate) fn advance(&mut self, now: Millis, cursor: Cursor) {
        if self.cursor != Some(cursor) {
            self.cursor = Some(cursor);
            self.is_cursor_new = true;
            self.gather(now);
        }
    }

    /// Everything with the next batch: the page may be about to go.
    pub(crate) fn hurry(&mut self, now: Millis) {
        if self.has_writes() {
            self.flush_at = Some(now);
        }
    }

    /// Ends a fact: what is never written is not kept.
    pub(crate) fn settle(&mut self) {
        if self.is_sealed {
            self.writes.clear();
            self.unsaved.clear();
        }
    }

    pub(crate) fn has_writes(&self) -> bool {
        !self.is_sealed && (!self.writes.is_empty() || !self.unsaved.is_empty() || self.is_cursor_new)
    }

    pub(crate) fn is_due(&self, now: Millis) -> bool {
        self.has_writes() && self.flush_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn is_compaction_due(&self, now: Millis) -> bool {
        !self.is_sealed && self.compact_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn next_timeout(&self) -> Option<Millis> {
        if self.is_sealed {
            return None;
        }
        let flush = self.flush_at.filter(|_| self.has_writes());
        [flush, self.compact_at].into_iter().flatten().min()
    }

    /// The writes for a batch and the newest edit among them. `life`: the log that accounts for everything in the
    /// document that is not in the outbox, if that is known.
    pub(crate) fn take(&mut self, now: Millis, life: Option<Epoch>) -> (Vec<Write>, u64) {
        let mut writes = Vec::new();
        if !self.unsaved.is_empty() {
            let key = self.next_key(now);
            let pack = pack(life, self.unsaved.iter().map(|update| &update[..]));
            self.unsaved.clear();
            self.rows.push(key);
            writes.push(Write::PutUpdates { room: self.room.clone(), key, pack });
        }
        writes.append(&mut self.writes);
        if std::mem::take(&mut self.is_cursor_new) {
            writes.push(Write::PutMeta { room: self.room.clone(), meta: encode_meta(self.cursor) });
        }
        self.flush_at = None;
        self.compact_at = None;
        self.plan_compaction(now);
        (writes, self.edit)
    }

    /// The rows that are there were of another life of the log than the present one, which accounts for them now.
    pub(crate) fn on_new_life(&mut self, now: Millis) {
        self.has_old_rows = !self.rows.is_empty();
        self.plan_compaction(now);
    }

    fn plan_compaction(&mut self, now: Millis) {
        if self.rows.len().max(self.outbox_rows) > TOO_MANY_ROWS {
            self.compact_at = Some(now);
        } else if self.has_many_rows() || self.has_many_outbox_rows() {
            self.compact_at = Some(now + QUIET_MS);
        }
    }

    /// Whether the rows that the document is in are worth it.
    pub(crate) fn has_many_rows(&self) -> bool {
        self.rows.len() > MAX_ROWS || self.has_old_rows
    }

    /// Whether the rows of the outbox are.
    pub(crate) fn has_many_outbox_rows(&self) -> bool {
        self.outbox_rows > MAX_ROWS
    }

    /// Not before more is written.
    pub(crate) fn put_off_compaction(&mut self) {
        self.compact_at = None;
    }

    /// One row instead of many: `state` is the whole document, which contains all of them.
    pub(crate) fn compact(&mut self, now: Millis, life: Option<Epoch>, state: &[u8]) {
        self.compact_at = None;
        self.has_old_rows = false;
        let key = self.next_key(now);
        let room = &self.room;
        self.writes.push(Write::PutUpdates { room: room.clone(), key, pack: pack(life, [state]) });
        let old = self.rows.drain(..).map(|key| Write::DeleteUpdates { room: room.clone(), key });
        self.writes.extend(old);
        self.rows.push(key);
        self.unsaved.clear();
        self.flush_at = Some(now);
    }

    /// One row of the outbox instead of `old`: `update` says what all of them said.
    pub(crate) fn compact_outbox(&mut self, now: Millis, key: RowKey, update: &[u8], old: Vec<RowKey>) {
        self.put_outbox(key, update);
        old.into_iter().for_each(|key| self.delete_outbox(key));
        self.flush_at = Some(now);
    }

    /// Everything once more, at `at`: the document, what the relay lacks, and the cursor over them.
    pub(crate) fn write_again<'a>(
        &mut self,
        now: Millis,
        at: Millis,
        life: Option<Epoch>,
        state: &[u8],
        outbox: impl Iterator<Item = &'a Row>,
    ) {
        self.rows.clear();
        self.writes.clear();
        self.compact(now, life, state);
        self.outbox_rows = 0;
        outbox.for_each(|row| self.put_outbox(row.key, &row.update));
        self.is_cursor_new = self.cursor.is_some();
        self.flush_at = Some(at);
    }

    fn gather(&mut self, now: Millis) {
        let at = now + GATHER_MS;
        self.flush_at = Some(self.flush_at.map_or(at, |due| due.min(at)));
        if self.compact_at.is_some_and(|at| at > now) {
            self.compact_at = Some(now + QUIET_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_written_is_not_kept() {
        let now = Millis(0);
        let mut journal = Journal::new("room", 1);
        let key = journal.next_key(now);
        let kept = |journal: &Journal| journal.writes.len() + journal.unsaved.len();
        let take_in = |journal: &mut Journal| {
            journal.add_local(now, &Row { edit: 1, key, update: Bytes::from_static(b"mine") });
            journal.add_remote(now, Bytes::from_static(b"theirs"));
            journal.settle();
        };

        take_in(&mut journal);
        assert_eq!(kept(&journal), 2, "an open journal keeps what waits for a batch");

        journal.seal();
        take_in(&mut journal);
        assert_eq!(kept(&journal), 0, "what came before and after it was sealed");
        assert!(!journal.has_writes());
    }
}
