//! A program of known work on a file store, and what anybody who heard it may demand of the directory it leaves.
//!
//! `system-ledger` appends to a few rooms at once, replaces their snapshots, and says on standard output what the store
//! has acknowledged. Every entry is a function of its room and seq, so that whoever reads the store later can tell a
//! right one from a wrong one without having seen it.

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use hither_relay::log::file::FileOptions;
use hither_relay::log::{FileLog, RoomLog, Snapshot};
use std::collections::BTreeMap;
use std::path::Path;

/// Rooms that are written at once.
pub const ROOMS: u64 = 3;

/// Entries of one append, at most.
const BATCH: u64 = 3;

/// An append after this many replaces the snapshot.
const SNAPSHOT_EVERY: u64 = 16;

/// Small tables, so that a short run sees them flushed and journals replaced.
fn options(relaxed: bool) -> FileOptions {
    FileOptions { relaxed, memtable_bytes: 64 << 10, ..FileOptions::default() }
}

fn room(number: u64) -> RoomName {
    RoomName::new(&format!("room {number}")).unwrap()
}

fn epoch(number: u64) -> Epoch {
    Epoch([number as u8 + 1; 16])
}

fn entry(number: u64, seq: u64) -> Bytes {
    // Of different sizes, some larger than a page, none with zeros, so that a hole is one.
    let size = if seq.is_multiple_of(11) { 9_000 } else { 20 + (seq * 7 % 300) as usize };
    Bytes::from(format!("{number}.{seq}.{}", "x".repeat(size)))
}

/// Some of them large enough for several parts.
fn snapshot(number: u64, seq: u64) -> Snapshot {
    let times = if (seq / SNAPSHOT_EVERY).is_multiple_of(3) { 60_000 } else { 500 };
    Snapshot { seq, update: Bytes::from(format!("{number}.{seq} ").repeat(times)) }
}

/// Opens the store and works; says what it knows. `appends` per room.
pub async fn work(dir: &Path, appends: u64, relaxed: bool) -> Result<(), Box<dyn std::error::Error>> {
    let log = std::sync::Arc::new(FileLog::open(dir, &options(relaxed))?);
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..ROOMS {
        let log = log.clone();
        writers.spawn(async move { (number, write(&log, number, appends).await) });
    }
    let written = writers.join_all().await;
    if log.health().is_ok() {
        // What could not be read refuses a change and leaves the store open.
        for (number, Written { acknowledged, .. }) in written.iter().filter(|(_, room)| room.is_refused) {
            let head = log.head(&room(*number)).await?.map_or(0, |head| head.head);
            assert_eq!(head, *acknowledged, "room {number}: the head");
            say("refused".to_owned());
        }
    } else {
        for (number, Written { acknowledged, .. }) in written {
            // What was not acknowledged is not seen, and nothing more is taken.
            let head = log.head(&room(number)).await?.map_or(0, |head| head.head);
            assert_eq!(head, acknowledged, "room {number}: the head");
            assert!(log.append(&room(number), epoch(number), vec![entry(number, head + 1)]).await.is_err());
        }
        say("closed".to_owned());
    }
    Ok(())
}

struct Written {
    /// The last seq.
    acknowledged: u64,
    is_refused: bool,
}

/// Writes until it is done or refused.
async fn write(log: &FileLog, number: u64, appends: u64) -> Written {
    let (room, epoch) = (room(number), epoch(number));
    let found = log.head(&room).await.unwrap();
    let mut head = found.map_or(0, |head| head.head);
    let mut replaces = found.map_or(0, |head| head.snapshot);
    for append in 0..appends {
        let until = head + 1 + append % BATCH;
        let entries = (head + 1..=until).map(|seq| entry(number, seq)).collect();
        match log.append(&room, epoch, entries).await {
            Ok(first) => assert_eq!(first, head + 1),
            Err(_) => return Written { acknowledged: head, is_refused: true },
        }
        head = until;
        say(format!("append {number} {head}"));
        if (append + 1).is_multiple_of(SNAPSHOT_EVERY) {
            let floor = head.saturating_sub(10);
            match log.put_snapshot(&room, epoch, replaces, snapshot(number, head), floor).await {
                Ok(()) => say(format!("snapshot {number} {head}")),
                Err(_) => return Written { acknowledged: head, is_refused: true },
            }
            replaces = head;
        }
    }
    Written { acknowledged: head, is_refused: false }
}

fn say(line: String) {
    use std::io::Write;
    // One write per line: a line that was recorded was said whole.
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// What was acknowledged to whoever listened.
#[derive(Debug, Clone, Default)]
pub struct Known {
    heads: BTreeMap<u64, u64>,
    snapshots: BTreeMap<u64, u64>,
    /// Whether the program found its store closed for writing.
    pub closed: bool,
    /// Whether a change was refused by a store that stayed open.
    pub refused: bool,
}

impl Known {
    /// One write to standard output.
    pub fn hear(&mut self, said: &[u8]) {
        for line in std::str::from_utf8(said).unwrap().lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["append", number, seq] => drop(self.heads.insert(parse(number), parse(seq))),
                ["snapshot", number, seq] => drop(self.snapshots.insert(parse(number), parse(seq))),
                ["closed"] => self.closed = true,
                ["refused"] => self.refused = true,
                _ => panic!("{line:?} is not a ledger's word"),
            }
        }
    }

    /// Entries acknowledged so far.
    pub fn entries(&self) -> u64 {
        self.heads.values().sum()
    }

    /// Opens what is left of the store and says what is wrong with it, if anything is. It must also go on from there.
    /// Of a relaxed store's power loss nothing else is asked than that what is there is right.
    pub async fn check(&self, dir: &Path, relaxed: bool) -> Result<(), String> {
        let log = FileLog::open(dir, &options(relaxed)).map_err(|error| chain(&error))?;
        let nothing = Known::default();
        let demanded = if relaxed { &nothing } else { self };
        for number in 0..ROOMS {
            let most = self.heads.get(&number).copied().unwrap_or(0) + BATCH;
            demanded
                .check_room(&log, number, most)
                .await
                .map_err(|wrong| format!("room {number}: {wrong}"))?;
        }
        Ok(())
    }

    async fn check_room(&self, log: &FileLog, number: u64, most: u64) -> Result<(), String> {
        let room = room(number);
        let acknowledged = self.heads.get(&number).copied().unwrap_or(0);
        let head = log.head(&room).await.map_err(|error| chain(&error))?;
        let Some(head) = head else {
            return if acknowledged == 0 {
                Ok(())
            } else {
                Err(format!("gone, {acknowledged} acknowledged"))
            };
        };
        // A copy of a directory has new epochs.
        let epoch = head.epoch;
        if head.head < acknowledged || head.head > most {
            return Err(format!("head {}, {acknowledged} acknowledged", head.head));
        }
        if head.snapshot < self.snapshots.get(&number).copied().unwrap_or(0) {
            return Err(format!("snapshot {}, a later one was acknowledged", head.snapshot));
        }
        if head.snapshot > 0 {
            let found = log.snapshot(&room, epoch).await.map_err(|error| chain(&error))?;
            if found != Some(snapshot(number, head.snapshot)) {
                return Err(format!("a mangled snapshot {}", head.snapshot));
            }
        }
        let page = log.read(&room, epoch, head.floor, usize::MAX).await.map_err(|error| chain(&error))?;
        for ((seq, update), expected) in page.entries.iter().zip(head.floor + 1..) {
            if *seq != expected || *update != entry(number, expected) {
                return Err(format!("entry {expected} is another one"));
            }
        }
        if page.entries.len() as u64 != head.head - head.floor {
            return Err(format!("{} entries between {} and {}", page.entries.len(), head.floor, head.head));
        }
        let next = vec![entry(number, head.head + 1)];
        match log.append(&room, epoch, next).await {
            Ok(first) if first == head.head + 1 => Ok(()),
            other => Err(format!("an append behind {}: {other:?}", head.head)),
        }
    }
}

fn parse(word: &str) -> u64 {
    word.parse().unwrap()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
