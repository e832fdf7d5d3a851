//! A room and this device's disk: what is read when it opens, what is told when it was written.

use super::{Phase, Room, Session};
use crate::journal::Journal;
use crate::outbox::Row;
use crate::outlet::Outlet;
use crate::storage::{RowKey, StorageError, StorageErrorKind, Stored, Write, decode_meta, unpack};
use crate::time::Millis;
use crate::{Event, Wish};
use bytes::Bytes;
use hither_protocol::frames::Mode;
use hither_protocol::ids::Epoch;
use hither_protocol::scan::scan;

/// The first wait before a disk that could not be read is asked again, doubled up to half a minute, in milliseconds.
const RELOAD_MS: u64 = 500;

/// How much of the disk the document takes in at a time. At the end of a transaction yrs 0.28.1 joins the blocks that it
/// brought from right to left and copies, each time, what it has joined so far: 100,000 words typed in a row took a minute,
/// or more memory than a page has.
const UPDATES_PER_TRANSACTION: usize = 500;

impl Room {
    pub(crate) fn on_loaded(&mut self, now: Millis, stored: Result<Stored, StorageError>, out: &mut Outlet) {
        let was_ready = self.is_ready();
        let failures = match self.phase {
            Phase::Unread { failures, .. } => failures + 1,
            Phase::Loading => 0,
            Phase::Open if self.reloads > 0 => {
                self.reloads -= 1;
                0
            }
            Phase::Open | Phase::Closing => return,
        };
        match stored {
            Ok(stored) => {
                // A disk that can be read once more may still refuse, or have lost, what was to be written.
                if self.phase != Phase::Open {
                    self.trouble = None;
                }
                self.phase = Phase::Open;
                for patch in self.adopt(now, stored, out) {
                    if was_ready {
                        self.tell_patch(patch, out);
                    }
                }
            }
            Err(error) if error.kind == StorageErrorKind::Absent => {
                self.phase = Phase::Open;
                self.trouble = Some(error.cause);
                self.journal.seal();
            }
            Err(error) => {
                let retry_at = now + (RELOAD_MS << failures.min(6));
                self.phase = Phase::Unread { retry_at, failures };
                self.trouble = Some(error.to_string());
            }
        }
        if !was_ready {
            let patch = self.document.reset_patch();
            out.event(self.id, Event::Ready { patch });
        }
        if !self.document.is_blank() {
            self.seed = None;
        }
    }

    /// Reads the disk again, although it was read: it has more now.
    pub(crate) fn reload(&mut self, out: &mut Outlet) {
        if self.phase != Phase::Closing {
            self.reloads += 1;
            out.wishes.push_back(Wish::Load { room: self.id, name: self.name.to_string() });
        }
    }

    /// Takes over what the disk has: the rows of this and of other tabs, whether they live or not.
    fn adopt(&mut self, now: Millis, stored: Stored, out: &mut Outlet) -> Vec<Vec<u8>> {
        let cursor = match stored.meta.as_deref().map(decode_meta) {
            None => None,
            Some(Ok(cursor)) => cursor,
            Some(Err(version)) => {
                self.journal.seal();
                self.trouble = Some(format!("stored by a newer version of Hither (format {version})"));
                None
            }
        };
        // A Join that is under way has said what it said, and a relay that was joined has said more than the disk.
        if self.cursor.is_none() && !self.is_joining() {
            self.cursor = cursor;
        }
        let life = self.cursor.map(|cursor| cursor.epoch);
        let mut updates: Vec<Bytes> = Vec::new();
        let (mut is_whole, mut is_accounted_for) = (true, true);
        let mut keys = Vec::new();
        for (key, pack) in stored.updates {
            // Reading again finds rows that are known.
            if self.journal.has(key) {
                continue;
            }
            let unpacked = unpack(pack);
            is_whole &= unpacked.is_whole;
            is_accounted_for &= unpacked.life.is_some() && unpacked.life == life;
            updates.extend(unpacked.updates);
            keys.push(key);
        }
        let packed = updates.len();
        let mut outbox: Vec<Row> = Vec::new();
        for (key, update) in stored.outbox {
            if !self.outbox.has(key) {
                outbox.push(Row { key, update: update.into(), edit: 0 });
            }
        }
        updates.extend(outbox.iter().map(|row| row.update.clone()));

        let mut scanned = Vec::with_capacity(updates.len());
        for (index, update) in updates.iter().enumerate() {
            match scan(update) {
                Ok(scan) => scanned.push((&update[..], scan)),
                Err(_) => {
                    is_whole = false;
                    if index >= packed {
                        // Never push what the relay must refuse; the row stays on disk for whoever may read it.
                        outbox[index - packed].update = Bytes::new();
                    }
                }
            }
        }
        let (mut patches, mut errors) = (Vec::new(), Vec::new());
        for some in scanned.chunks(UPDATES_PER_TRANSACTION) {
            let some: Vec<_> = some.iter().map(|(update, scan)| (*update, scan)).collect();
            let (patch, more) = self.document.integrate(&some);
            patches.push(patch);
            errors.extend(more);
        }
        if errors.is_empty() {
            self.journal.found(now, keys);
        }
        let is_damaged = !is_whole || !errors.is_empty();
        if is_damaged || !is_accounted_for {
            // What is damaged here is whole on the relay, and what is of another life may be missing there.
            self.ask_for_everything();
        }
        if is_damaged {
            let message = "some stored updates could not be read; asking the relay for all";
            out.error(self.id, "storage-damaged", message);
        }
        for mut row in outbox.into_iter().filter(|row| !row.update.is_empty()) {
            let all_saved = self.edits.saved == self.edits.made;
            self.edits.made += 1;
            row.edit = self.edits.made;
            self.journal.found_in_outbox(now, row.key);
            if all_saved {
                self.edits.saved = row.edit;
            } else {
                // Edits made while the disk could not be read come first, and "saved" counts in order.
                self.journal.add_local(now, &row);
            }
            self.outbox.add(row);
        }
        self.redeem(now);
        self.push(out);
        patches
    }

    /// The relay has to say everything that it has, and is given what it lacks.
    fn ask_for_everything(&mut self) {
        match self.session {
            Session::Joining => self.is_unsure |= self.cursor.is_some(),
            // At the end of this replay it is given whatever the document has by then.
            Session::Replaying { mode: Mode::Reset, .. } => {}
            // The cursor stays: the disk may be read once more, and would give it again.
            _ => self.is_unsure = true,
        }
    }

    /// The log that accounts for everything in the document that is not in the outbox, if that is known.
    fn life(&self) -> Option<Epoch> {
        match self.session {
            Session::Replaying { mode: Mode::Reset, .. } => None,
            _ => self.cursor.filter(|_| !self.is_unsure).map(|cursor| cursor.epoch),
        }
    }

    /// The writes for a batch and the newest edit among them.
    pub(crate) fn take_writes(&mut self, now: Millis) -> (Vec<Write>, u64) {
        let life = self.life();
        self.journal.take(now, life)
    }

    pub(crate) fn on_saved(&mut self, edit: u64, out: &mut Outlet) {
        self.trouble = None;
        if edit > self.edits.saved {
            self.edits.saved = edit;
            out.event(self.id, Event::Saved { edit });
        }
    }

    /// The disk has lost what it had of this room.
    pub(crate) fn write_again(&mut self, now: Millis, at: Millis) {
        let state = self.document.encode();
        let life = self.life().filter(|_| !self.is_owing);
        self.outbox.store_apart(|at| RowKey { at, ..self.journal.next_key(now) });
        self.journal.write_again(now, at, life, &state, self.outbox.rows());
        self.document.waiting().for_each(|update| self.journal.add_waiting(update));
    }

    pub(crate) fn on_storage_trouble(&mut self, cause: &str) {
        self.trouble = Some(cause.to_owned());
    }

    pub(crate) fn has_writes(&self) -> bool {
        self.journal.has_writes()
    }

    pub(crate) fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Writes the document as one row, and the outbox as another, if the room was quiet for long enough.
    pub(crate) fn compact_if_due(&mut self, now: Millis) {
        if !self.journal.is_compaction_due(now) {
            return;
        }
        self.journal.put_off_compaction();
        if self.phase != Phase::Open || !self.document.is_complete() {
            return;
        }
        if self.journal.has_many_outbox_rows()
            && let Some(oldest_at) = self.outbox.oldest_at()
        {
            let key = RowKey { at: oldest_at, ..self.journal.next_key(now) };
            if let Some((old, update)) = self.outbox.store_together(key, &self.document) {
                self.journal.compact_outbox(now, key, &update, old);
            }
        }
        // What is not accounted for is remembered by its rows.
        let life = self.life();
        if self.journal.has_many_rows() && life.is_some() {
            let state = self.document.encode();
            self.journal.compact(now, life, &state);
        }
    }
}
