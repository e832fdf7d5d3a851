//! The relay's store: logs of rooms as `RoomLog` describes them, and a memory of everything that was ever durable,
//! for the checkers.

use bytes::Bytes;
use hither_protocol::{
    contents::Contents,
    ids::{Epoch, RoomName},
    scan::scan,
};
use hither_relay::{
    compaction::compact,
    log::{Head, LogError, Page, Snapshot},
};
use std::collections::BTreeMap;

/// An entry and what the log holds up to it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) update: Bytes,
    pub(crate) total: Contents,
}

/// One life of a log. Entries stay here for the checkers when they are gone for readers.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    pub(crate) entries: Vec<Entry>,
    pub(crate) floor: u64,
    pub(crate) snapshot: Option<Snapshot>,
    /// What the snapshots hold: every entry up to theirs, and the deletions that follow from them in a document.
    held: Contents,
}

/// What an append did, for the checkers.
pub(crate) struct Appended {
    pub(crate) first: u64,
    /// Seqs of entries that brought nothing that the log did not have.
    pub(crate) empty: Vec<u64>,
    /// How many brought something new together with something known.
    pub(crate) overlapping: u64,
    /// The first entry, if any, that stands on ids that are not in the log.
    pub(crate) unfounded: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Store {
    logs: BTreeMap<RoomName, Log>,
    /// Lives that ended.
    past: BTreeMap<(RoomName, Epoch), Log>,
    /// What was durable at any time, in any life.
    ever: BTreeMap<RoomName, Contents>,
    /// When the last append that was asked for will be done.
    pub(crate) appends_until: u64,
    pub(crate) fails_until: u64,
    pub(crate) slow_until: u64,
    pub(crate) full_until: u64,
}

impl Log {
    pub(crate) fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    fn snapshot_seq(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq)
    }

    /// What entries `1..=seq` hold.
    pub(crate) fn prefix(&self, seq: u64) -> Contents {
        match seq.checked_sub(1).and_then(|index| self.entries.get(index as usize)) {
            Some(entry) => entry.total.clone(),
            None => Contents::new(),
        }
    }

    /// What all entries hold.
    pub(crate) fn written(&self) -> Contents {
        self.prefix(self.head())
    }

    /// Everything that is durable here.
    pub(crate) fn total(&self) -> Contents {
        let mut total = self.written();
        total.merge(&self.held);
        total
    }

    pub(crate) fn entry(&self, seq: u64) -> Option<&Bytes> {
        Some(&self.entries.get(seq.checked_sub(1)? as usize)?.update)
    }

    fn push(&mut self, update: Bytes) -> Contents {
        let mut total = self.written();
        let contents = scan(&update).map(|scan| Contents::of(&scan)).unwrap_or_default();
        total.merge(&contents);
        self.entries.push(Entry { update, total });
        contents
    }
}

impl Store {
    pub(crate) fn log(&self, room: &RoomName) -> Option<&Log> {
        self.logs.get(room)
    }

    /// The life of this name, present or past.
    pub(crate) fn life(&self, room: &RoomName, epoch: Epoch) -> Option<&Log> {
        match self.logs.get(room) {
            Some(log) if log.epoch == epoch => Some(log),
            _ => self.past.get(&(room.clone(), epoch)),
        }
    }

    /// Everything that was durable at any time.
    pub(crate) fn ever(&self, room: &RoomName) -> Contents {
        self.ever.get(room).cloned().unwrap_or_default()
    }

    pub(crate) fn rooms(&self) -> Vec<RoomName> {
        self.logs.keys().cloned().collect()
    }

    pub(crate) fn head(&self, room: &RoomName) -> Option<Head> {
        let log = self.logs.get(room)?;
        Some(Head { epoch: log.epoch, head: log.head(), floor: log.floor, snapshot: log.snapshot_seq() })
    }

    fn current(&mut self, room: &RoomName, epoch: Epoch) -> Result<&mut Log, LogError> {
        self.logs.get_mut(room).filter(|log| log.epoch == epoch).ok_or(LogError::EpochChanged)
    }

    pub(crate) fn append(
        &mut self,
        room: &RoomName,
        epoch: Epoch,
        entries: &[Bytes],
    ) -> Result<Appended, LogError> {
        if self.past.contains_key(&(room.clone(), epoch)) {
            return Err(LogError::EpochChanged);
        }
        let log = self.logs.entry(room.clone()).or_insert_with(|| Log {
            epoch,
            entries: Vec::new(),
            floor: 0,
            snapshot: None,
            held: Contents::new(),
        });
        if log.epoch != epoch {
            return Err(LogError::EpochChanged);
        }
        let mut appended =
            Appended { first: log.head() + 1, empty: Vec::new(), overlapping: 0, unfounded: None };
        let ever = self.ever.entry(room.clone()).or_default();
        for update in entries {
            let before = log.written();
            let contents = log.push(update.clone());
            let news = contents.missing_from(&before);
            if news.is_empty() {
                appended.empty.push(log.head());
            } else if news.inserts != contents.inserts {
                appended.overlapping += 1;
            }
            if !scan(update).is_ok_and(|scan| before.is_ready_for(&scan)) {
                appended.unfounded.get_or_insert(log.head());
            }
            ever.merge(&contents);
        }
        Ok(appended)
    }

    pub(crate) fn read(
        &mut self,
        room: &RoomName,
        epoch: Epoch,
        after: u64,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        let log = self.current(room, epoch)?;
        if after < log.floor {
            return Err(LogError::Trimmed { floor: log.floor });
        }
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for seq in after + 1..=log.head() {
            let update = log.entry(seq).expect("seqs up to the head have entries").clone();
            bytes += update.len();
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push((seq, update));
        }
        Ok(Page { entries })
    }

    pub(crate) fn snapshot(&mut self, room: &RoomName, epoch: Epoch) -> Result<Option<Snapshot>, LogError> {
        Ok(self.current(room, epoch)?.snapshot.clone())
    }

    /// What a compactor would put now: snapshot, and the seq that it replaces. `None` if compaction refuses.
    pub(crate) fn compaction(&self, room: &RoomName, skipped: Option<u64>) -> Option<(Epoch, u64, Snapshot)> {
        let log = self.logs.get(room)?;
        let from = log.snapshot_seq();
        let tail = (from + 1..=log.head()).filter(|seq| Some(*seq) != skipped);
        let tail = tail.filter_map(|seq| log.entry(seq)).map(|update| &update[..]);
        let update = compact(log.snapshot.as_ref().map(|snapshot| &snapshot.update[..]), tail).ok()?;
        Some((log.epoch, from, Snapshot { seq: log.head(), update: update.into() }))
    }

    pub(crate) fn put_snapshot(
        &mut self,
        room: &RoomName,
        epoch: Epoch,
        replaces: u64,
        snapshot: Snapshot,
        floor: u64,
    ) -> Result<(u64, u64), LogError> {
        let log = self.current(room, epoch)?;
        if log.snapshot_seq() != replaces || snapshot.seq < replaces || snapshot.seq > log.head() {
            return Err(LogError::Superseded);
        }
        log.floor = floor.clamp(log.floor, snapshot.seq.max(log.floor));
        let (seq, floor) = (snapshot.seq, log.floor);
        if let Ok(scan) = scan(&snapshot.update) {
            log.held.absorb(&scan);
            self.ever.entry(room.clone()).or_default().absorb(&scan);
        }
        if let Ok(log) = self.current(room, epoch) {
            log.snapshot = Some(snapshot);
        }
        Ok((seq, floor))
    }

    /// Ends the room's life; whether there was one.
    pub(crate) fn delete(&mut self, room: &RoomName) -> bool {
        match self.logs.remove(room) {
            Some(log) => {
                self.past.insert((room.clone(), log.epoch), log);
                true
            }
            None => false,
        }
    }

    /// Everything is gone.
    pub(crate) fn lose(&mut self) {
        for room in self.rooms() {
            self.delete(&room);
        }
    }

    /// An older state of a room comes back from a backup, under another name (the same one, if its keeper errs).
    pub(crate) fn restore(&mut self, room: &RoomName, head: u64, epoch: Epoch) {
        let Some(mut log) = self.logs.remove(room) else { return };
        let old = log.clone();
        log.entries.truncate(head as usize);
        if log.snapshot_seq() > head {
            // The backup is from before this compaction, with all entries.
            log.snapshot = None;
            log.floor = 0;
            log.held = Contents::new();
        }
        log.floor = log.floor.min(head);
        log.epoch = epoch;
        if old.epoch != epoch {
            self.past.insert((room.clone(), old.epoch), old);
        }
        self.logs.insert(room.clone(), log);
    }
}
