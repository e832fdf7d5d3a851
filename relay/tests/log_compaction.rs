//! Compaction: equal documents, honest refusals, and the steps around it.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hither_protocol::{
    ids::{Epoch, RoomName},
    scan::scan,
};
use hither_relay::{
    compaction::{
        CompactionError, CompactionLimits, CompactionPolicy, Compactor, Moment, Outcome, compact,
        compact_within, process::Worker,
    },
    log::{FileLog, LogError, MemoryLog, RoomLog, Snapshot, file::FileOptions},
};
use yrs::{
    Any, Array, ArrayPrelim, ClientID, Doc, GetString, Map, MapPrelim, OffsetKind, Options, ReadTxn,
    StateVector, Text, Transact, Update, types::Attrs, types::ToJson, updates::decoder::Decode,
};

const EPOCH: Epoch = Epoch([8; 16]);

/// Somebody who writes, and whose updates are collected.
struct Author {
    doc: Doc,
}

impl Author {
    fn new(client: u64) -> Author {
        let options = Options {
            cleanup_formatting: false,
            offset_kind: OffsetKind::Utf16,
            ..Options::with_client_id(ClientID::new(client))
        };
        Author { doc: Doc::with_options(options) }
    }

    /// One transaction; its update.
    fn writes(&self, write: impl FnOnce(&mut yrs::TransactionMut<'_>)) -> Vec<u8> {
        let mut transaction = self.doc.transact_mut();
        write(&mut transaction);
        transaction.encode_update_v1()
    }

    fn reads(&self, update: &[u8]) {
        let update = Update::decode_v1(update).unwrap();
        self.doc.transact_mut().apply_update(update).unwrap();
    }

    fn of<'a>(updates: impl IntoIterator<Item = &'a [u8]>) -> Author {
        let author = Author::new(1);
        for update in updates {
            author.reads(update);
        }
        assert!(!author.doc.transact().has_missing_updates());
        author
    }

    fn text(&self) -> String {
        let text = self.doc.get_or_insert_text("text");
        text.get_string(&self.doc.transact())
    }

    fn everything(&self) -> (Any, Any, Any, String) {
        let (map, nested) = (self.doc.get_or_insert_map("map"), self.doc.get_or_insert_map("nested"));
        let (list, text) = (self.doc.get_or_insert_array("list"), self.doc.get_or_insert_text("text"));
        let txn = self.doc.transact();
        // With its formatting.
        let text = text.diff(&txn, |_| ());
        (map.to_json(&txn), nested.to_json(&txn), list.to_json(&txn), format!("{text:?}"))
    }
}

fn slices(updates: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    updates.iter().map(|update| &update[..])
}

/// A small generator of repeatable choices.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(bound.max(1))) as u32
    }
}

/// Three people editing text, lists, maps and nested containers, sometimes apart for a while.
fn history(seed: u64, edits: usize) -> Vec<Vec<u8>> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let authors = [Author::new(11), Author::new(0xffff_fff1), Author::new(3 << 40)];
    let mut log: Vec<Vec<u8>> = Vec::new();
    let mut read = [0usize; 3];
    for edit in 0..edits {
        let who = dice.below(3) as usize;
        let author = &authors[who];
        if dice.below(4) > 0 {
            for update in &log[read[who]..] {
                author.reads(update);
            }
            read[who] = log.len();
        }
        let (text, list) = (author.doc.get_or_insert_text("text"), author.doc.get_or_insert_array("list"));
        let (map, nested) = (author.doc.get_or_insert_map("map"), author.doc.get_or_insert_map("nested"));
        let update = author.writes(|txn| match dice.below(9) {
            0..=2 => {
                let at = dice.below(text.len(txn) + 1);
                text.insert(txn, at, ["word ", "é", "x", "𝄞"][dice.below(3) as usize]);
            }
            3 => {
                let length = text.len(txn);
                if length > 8 {
                    text.remove_range(txn, dice.below(length - 4), 1 + dice.below(3));
                }
            }
            4 => {
                let length = text.len(txn);
                if length > 8 {
                    let attributes = Attrs::from([("bold".into(), Any::from(dice.below(2) == 0))]);
                    text.format(txn, dice.below(length - 4), 1 + dice.below(3), attributes);
                }
            }
            5 => {
                map.insert(txn, format!("k{}", dice.below(5)), edit as i64);
            }
            6 => {
                let length = list.len(txn);
                if length > 3 && dice.below(2) == 0 {
                    list.remove(txn, dice.below(length));
                } else {
                    list.insert(txn, dice.below(length + 1), format!("item {edit}"));
                }
            }
            7 => {
                let card = nested.insert(txn, format!("card{}", dice.below(4)), MapPrelim::default());
                card.insert(txn, "title", format!("card {edit}"));
                card.insert(txn, "tags", ArrayPrelim::from(["a", "b"]));
            }
            _ => {
                nested.remove(txn, &format!("card{}", dice.below(4)));
            }
        });
        if !scan(&update).unwrap().is_empty() {
            log.push(update);
        }
    }
    log
}

#[test]
fn a_snapshot_is_the_same_document_whatever_the_history() {
    for seed in 1..=30 {
        let log = history(seed, 300);
        let snapshot = compact(None, slices(&log)).unwrap();
        let (whole, compacted) = (Author::of(slices(&log)), Author::of([&snapshot[..]]));
        assert_eq!(compacted.everything(), whole.everything(), "seed {seed}");

        // In two steps as well, and again what is there already.
        let half = log.len() / 2;
        let first = compact(None, slices(&log[..half])).unwrap();
        let second = compact(Some(&first), slices(&log[half..])).unwrap();
        assert_eq!(Author::of([&second[..]]).everything(), whole.everything(), "seed {seed}, two steps");
        let again = compact(Some(&snapshot), slices(&log)).unwrap();
        assert_eq!(scan(&again).unwrap().inserts, scan(&snapshot).unwrap().inserts);
    }
}

#[test]
fn who_was_away_merges_with_a_snapshot_as_with_the_log() {
    for seed in 1..=10 {
        let log = history(1000 + seed, 300);
        let snapshot = compact(None, slices(&log)).unwrap();
        // Somebody who has a third of it, and wrote since.
        let absent = Author::of(slices(&log[..log.len() / 3]));
        let text = absent.doc.get_or_insert_text("text");
        let map = absent.doc.get_or_insert_map("map");
        let own = absent.writes(|txn| {
            let end = text.len(txn);
            text.insert(txn, end / 2, "from afar");
            map.insert(txn, "k1", "mine");
        });
        absent.reads(&snapshot);
        let others = Author::of(slices(&log));
        others.reads(&own);
        let fresh = Author::of([&snapshot[..], &own[..]]);
        assert_eq!(absent.everything(), others.everything(), "seed {seed}");
        assert_eq!(fresh.everything(), others.everything(), "seed {seed}");
        assert!(others.text().contains("from afar"));
    }
}

#[test]
fn formatting_marks_that_nobody_deleted_are_kept() {
    let log = history(77, 400);
    let before = log.iter().map(|update| scan(update).unwrap());
    let mut contents = hither_protocol::contents::Contents::new();
    before.for_each(|scan| contents.absorb(&scan));
    let snapshot = scan(&compact(None, slices(&log)).unwrap()).unwrap();
    assert_eq!(snapshot.inserts, contents.inserts);
    assert!(snapshot.deletes.covers(&contents.deletes));
}

#[test]
fn overwritten_map_keys_shrink() {
    let author = Author::new(12);
    let map = author.doc.get_or_insert_map("map");
    let log: Vec<_> = (0..100_000u32)
        .map(|i| {
            author.writes(|txn| {
                map.insert(txn, format!("key{}", i % 10), format!("a value that is overwritten later {i}"));
            })
        })
        .collect();
    let raw: usize = log.iter().map(Vec::len).sum();
    let snapshot = compact(None, slices(&log)).unwrap();
    assert_eq!(Author::of([&snapshot[..]]).everything(), author.everything());
    // The values are gone. What stays of each write is its place in the history of its key, about six bytes:
    // Yjs needs it to order a write of somebody who was away, and has no shorter form for ten keys in turns.
    assert!(raw > 5_000_000 && snapshot.len() < 700_000, "{raw} bytes became {}", snapshot.len());

    // One key at a time has a shorter form.
    let author = Author::new(13);
    let map = author.doc.get_or_insert_map("map");
    let log: Vec<_> = (0..10_000).map(|i| author.writes(|txn| _ = map.insert(txn, "key", i))).collect();
    let snapshot = compact(None, slices(&log)).unwrap();
    assert!(snapshot.len() < 100, "{} bytes", snapshot.len());
}

#[test]
fn deleted_text_shrinks_to_almost_nothing() {
    let author = Author::new(12);
    let text = author.doc.get_or_insert_text("text");
    let mut log = Vec::new();
    for round in 0..200 {
        log.push(author.writes(|txn| text.insert(txn, 0, &format!("paragraph {round} ").repeat(100))));
        log.push(author.writes(|txn| {
            let length = text.len(txn);
            text.remove_range(txn, 0, length);
        }));
    }
    log.push(author.writes(|txn| text.insert(txn, 0, "the end")));
    let snapshot = compact(None, slices(&log)).unwrap();
    assert_eq!(Author::of([&snapshot[..]]).text(), "the end");
    assert!(snapshot.len() < 10_000, "{} bytes", snapshot.len());
}

#[test]
fn a_deletion_of_what_nobody_has_written_stands_in_the_snapshot() {
    for seed in 1..=10 {
        let mut log = history(3000 + seed, 200);
        // The first three ids of somebody who comes later.
        log.insert(100, vec![0, 1, 77, 1, 0, 3]);
        let snapshot = compact(None, slices(&log)).unwrap();
        let again = compact(Some(&snapshot), slices(&log[150..])).unwrap();
        let late = Author::new(77);
        let text = late.doc.get_or_insert_text("text");
        log.push(late.writes(|txn| text.insert(txn, 0, "goes and stays")));
        let last = &log[log.len() - 1];
        let whole = Author::of(slices(&log));
        assert!(whole.text().contains("s and stays") && !whole.text().contains("goes"));
        assert_eq!(Author::of([&again[..], last]).everything(), whole.everything(), "seed {seed}");
        let then = compact(Some(&again), [&last[..]].into_iter()).unwrap();
        assert_eq!(Author::of([&then[..]]).everything(), whole.everything(), "seed {seed}, compacted");
    }
}

#[test]
fn a_log_that_waits_for_something_is_refused() {
    let author = Author::new(5);
    let text = author.doc.get_or_insert_text("text");
    let updates: Vec<_> = (0..5).map(|i| author.writes(|txn| text.push(txn, &i.to_string()))).collect();
    // A hole in one client's ids.
    let hole = [&updates[0][..], &updates[2][..]];
    assert!(matches!(compact(None, hole.into_iter()), Err(CompactionError::Missing)));
    assert!(matches!(compact(None, slices(&updates[1..])), Err(CompactionError::Missing)));
    // No hole, but a neighbour that nobody has.
    let other = Author::of(slices(&updates));
    let options = Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(ClientID::new(6)) };
    let late = Author { doc: Doc::with_options(options) };
    late.reads(&other.doc.transact().encode_state_as_update_v1(&StateVector::default()));
    let text = late.doc.get_or_insert_text("text");
    let after = late.writes(|txn| text.push(txn, "after"));
    assert!(matches!(compact(None, [&after[..]].into_iter()), Err(CompactionError::Missing)));
    let deletion = late.writes(|txn| text.remove_range(txn, 0, 2));
    // All of them in any order are fine.
    let mut all = updates;
    all.extend([after, deletion]);
    all.reverse();
    let snapshot = compact(None, slices(&all)).unwrap();
    assert_eq!(Author::of([&snapshot[..]]).text(), "234after");
}

/// [U4]
#[test]
fn what_is_no_update_is_refused_with_its_place() {
    let good = history(3, 10);
    let mut inputs: Vec<&[u8]> = slices(&good).collect();
    inputs.insert(4, b"\x01\x01\x07garbage");
    let refused = compact(None, inputs.into_iter()).unwrap_err();
    assert!(matches!(refused, CompactionError::Malformed { index: 4, .. }), "{refused}");
    assert!(scan(&compact(None, std::iter::empty()).unwrap()).unwrap().is_empty());
}

#[test]
fn limits_hold_at_and_past_them() {
    let log = history(4, 50);
    let bytes = log.iter().map(Vec::len).sum();
    let limits = |input_bytes, time| CompactionLimits { input_bytes, time };
    let minute = Duration::from_secs(60);
    compact_within(None, slices(&log), &limits(bytes, minute)).unwrap();
    let refused = compact_within(None, slices(&log), &limits(bytes - 1, minute)).unwrap_err();
    assert!(matches!(refused, CompactionError::TooLarge { .. }), "{refused}");
    let refused = compact_within(None, slices(&log), &limits(bytes, Duration::ZERO)).unwrap_err();
    assert!(matches!(refused, CompactionError::TooSlow(_)), "{refused}");
}

fn room() -> RoomName {
    RoomName::new("room").unwrap()
}

fn policy() -> CompactionPolicy {
    CompactionPolicy { min_weight: 5_000, retain_entries: 20, ..CompactionPolicy::default() }
}

async fn append(log: &dyn RoomLog, updates: &[Vec<u8>]) {
    log.append(&room(), EPOCH, updates.iter().cloned().map(Bytes::from).collect()).await.unwrap();
}

async fn ask(compactor: &Compactor, log: &dyn RoomLog) -> Outcome {
    let head = log.head(&room()).await.unwrap().unwrap();
    compactor.compact(&room(), &head, Moment::Busy).await
}

/// What a client that joins now would have.
async fn joined(log: &dyn RoomLog) -> Author {
    let head = log.head(&room()).await.unwrap().unwrap();
    let author = Author::new(1);
    if let Some(snapshot) = log.snapshot(&room(), EPOCH).await.unwrap() {
        assert_eq!(snapshot.seq, head.snapshot);
        author.reads(&snapshot.update);
    }
    for (_, update) in log.read(&room(), EPOCH, head.snapshot, usize::MAX).await.unwrap().entries {
        author.reads(&update);
    }
    author
}

#[tokio::test]
async fn a_room_is_compacted_when_its_tail_outweighs_its_snapshot() {
    let log: Arc<dyn RoomLog> = Arc::new(MemoryLog::new());
    let compactor = Compactor::new(log.clone(), policy());
    let updates = history(5, 2_000);
    let (mut runs, mut looks) = (0, 0);
    for (at, update) in updates.iter().enumerate() {
        append(&*log, std::slice::from_ref(update)).await;
        match ask(&compactor, &*log).await {
            Outcome::Done { snapshot, floor } => {
                runs += 1;
                assert_eq!((snapshot, floor), (at as u64 + 1, (at as u64 + 1).saturating_sub(20)));
                let head = log.head(&room()).await.unwrap().unwrap();
                assert_eq!((head.snapshot, head.floor), (snapshot, floor));
                // A cursor just below the snapshot still resumes.
                let page = log.read(&room(), EPOCH, floor, usize::MAX).await.unwrap();
                assert_eq!(page.entries.len() as u64, snapshot - floor);
                let below = log.read(&room(), EPOCH, floor - 1, usize::MAX).await;
                assert!(matches!(below, Err(LogError::Trimmed { .. })));
            }
            Outcome::NotDue { .. } => looks += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!((4..60).contains(&runs), "{runs} runs for {} updates", updates.len());
    assert!(looks > updates.len() / 2);
    assert_eq!(joined(&*log).await.everything(), Author::of(slices(&updates)).everything());
}

#[tokio::test]
async fn the_work_grows_with_the_log_and_not_with_its_square() {
    // Decoded bytes, counted as what the compactor reads from the log.
    struct Counting(MemoryLog, std::sync::atomic::AtomicU64);
    impl Counting {
        fn count(&self, bytes: usize) {
            self.1.fetch_add(bytes as u64, std::sync::atomic::Ordering::Relaxed);
        }
    }
    use hither_relay::log::{Head, LogFuture, Page};
    impl RoomLog for Counting {
        fn head<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, Option<Head>> {
            self.0.head(room)
        }
        fn append<'a>(&'a self, room: &'a RoomName, epoch: Epoch, entries: Vec<Bytes>) -> LogFuture<'a, u64> {
            self.0.append(room, epoch, entries)
        }
        fn read<'a>(
            &'a self,
            room: &'a RoomName,
            epoch: Epoch,
            after: u64,
            max: usize,
        ) -> LogFuture<'a, Page> {
            Box::pin(async move {
                let page = self.0.read(room, epoch, after, max).await?;
                self.count(page.entries.iter().map(|(_, update)| update.len()).sum());
                Ok(page)
            })
        }
        fn snapshot<'a>(&'a self, room: &'a RoomName, epoch: Epoch) -> LogFuture<'a, Option<Snapshot>> {
            Box::pin(async move {
                let snapshot = self.0.snapshot(room, epoch).await?;
                self.count(snapshot.as_ref().map_or(0, |snapshot| snapshot.update.len()));
                Ok(snapshot)
            })
        }
        fn put_snapshot<'a>(
            &'a self,
            room: &'a RoomName,
            epoch: Epoch,
            replaces: u64,
            snapshot: Snapshot,
            floor: u64,
        ) -> LogFuture<'a, ()> {
            self.0.put_snapshot(room, epoch, replaces, snapshot, floor)
        }
        fn delete<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, bool> {
            self.0.delete(room)
        }
        fn rooms<'a>(&'a self, after: Option<&'a RoomName>, max: usize) -> LogFuture<'a, Vec<RoomName>> {
            self.0.rooms(after, max)
        }
    }

    let work = async |updates: u32| {
        let author = Author::new(9);
        let text = author.doc.get_or_insert_text("text");
        let log = Arc::new(Counting(MemoryLog::new(), 0.into()));
        let compactor = Compactor::new(log.clone(), CompactionPolicy { min_weight: 1_000, ..policy() });
        let mut written = 0;
        for i in 0..updates {
            let update = author.writes(|txn| text.push(txn, &format!("{i} is a number; ")));
            written += update.len() as u64;
            append(&*log, &[update]).await;
            ask(&compactor, &*log).await;
        }
        (written, log.1.load(std::sync::atomic::Ordering::Relaxed))
    };
    let ((_, half), (written, read)) = (work(2_000).await, work(4_000).await);
    assert!(written < read && read < 25 * written, "{written} bytes written, {read} read");
    assert!(read < 3 * half, "twice the log: {half} bytes read, then {read}");
}

#[tokio::test]
async fn a_room_that_cannot_be_compacted_keeps_its_raw_log_and_is_left_alone_until_it_doubled() {
    let log: Arc<dyn RoomLog> = Arc::new(MemoryLog::new());
    let compactor = Compactor::new(log.clone(), policy());
    let updates = history(6, 400);
    // Two short of twice the first part.
    let last = updates.len() - 1;
    assert!((300..397).contains(&last));
    append(&*log, &updates[1..200]).await;
    let Outcome::Failed { cause: CompactionError::Missing, not_before } = ask(&compactor, &*log).await else {
        panic!("something is missing")
    };
    assert_eq!(not_before, 2 * 199);
    assert_eq!(log.head(&room()).await.unwrap().unwrap().snapshot, 0);
    append(&*log, &updates[200..last]).await;
    assert!(matches!(ask(&compactor, &*log).await, Outcome::NotDue { not_before: 398 }));
    // What was missing arrives, but the log has not doubled yet.
    append(&*log, &updates[..1]).await;
    assert!(matches!(ask(&compactor, &*log).await, Outcome::NotDue { not_before: 398 }));
    let again = vec![updates[0].clone(); 398];
    append(&*log, &again).await;
    append(&*log, &updates[last..]).await;
    assert!(matches!(ask(&compactor, &*log).await, Outcome::Done { .. }));
    assert_eq!(joined(&*log).await.everything(), Author::of(slices(&updates)).everything());
}

#[tokio::test]
async fn a_failure_of_an_earlier_life_does_not_count() {
    let log: Arc<dyn RoomLog> = Arc::new(MemoryLog::new());
    let compactor = Compactor::new(log.clone(), policy());
    let updates = history(6, 300);
    let anew = Epoch([9; 16]);
    append(&*log, &updates[1..]).await;
    assert!(matches!(ask(&compactor, &*log).await, Outcome::Failed { .. }));
    log.delete(&room()).await.unwrap();
    log.append(&room(), anew, updates.iter().cloned().map(Bytes::from).collect()).await.unwrap();
    assert!(matches!(ask(&compactor, &*log).await, Outcome::Done { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_and_compactions_at_the_same_time_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log: Arc<dyn RoomLog> = Arc::new(FileLog::open(dir.path(), &FileOptions::default()).unwrap());
    let updates = history(7, 3_000);
    let rounds = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (log, updates, rounds) = (log.clone(), updates.clone(), rounds.clone());
        tokio::spawn(async move {
            for (written, few) in (1usize..).zip(updates.chunks(3)) {
                append(&*log, few).await;
                // However fast the disk is, the compactors come round ten times.
                let before = rounds.load(Ordering::Relaxed);
                while written.is_multiple_of(100) && rounds.load(Ordering::Relaxed) < before + 2 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        })
    };
    // Two relays that do not know of each other.
    let compactors = [Compactor::new(log.clone(), policy()), Compactor::new(log.clone(), policy())];
    let mut done = 0;
    while !writer.is_finished() {
        if log.head(&room()).await.unwrap().is_none() {
            tokio::task::yield_now().await;
            continue;
        }
        let (a, b) = tokio::join!(ask(&compactors[0], &*log), ask(&compactors[1], &*log));
        for outcome in [a, b] {
            match outcome {
                Outcome::Done { .. } => done += 1,
                Outcome::NotDue { .. } | Outcome::Overtaken => {}
                other => panic!("{other:?}"),
            }
        }
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    writer.await.unwrap();
    assert!(done > 2, "only {done} compactions ran");
    assert_eq!(log.head(&room()).await.unwrap().unwrap().head, updates.len() as u64);
    assert_eq!(joined(&*log).await.everything(), Author::of(slices(&updates)).everything());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_while_it_runs_is_not_undone() {
    for _ in 0..10 {
        let log: Arc<dyn RoomLog> = Arc::new(MemoryLog::new());
        let compactor = Arc::new(Compactor::new(log.clone(), policy()));
        append(&*log, &history(8, 500)).await;
        let head = log.head(&room()).await.unwrap().unwrap();
        let running = {
            let compactor = compactor.clone();
            tokio::spawn(async move { compactor.compact(&room(), &head, Moment::Busy).await })
        };
        tokio::task::yield_now().await;
        log.delete(&room()).await.unwrap();
        assert!(matches!(running.await.unwrap(), Outcome::Overtaken | Outcome::Done { .. }));
        assert_eq!(log.head(&room()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_crowd_is_told_to_come_back() {
    let log: Arc<dyn RoomLog> = Arc::new(MemoryLog::new());
    let compactor = Compactor::new(log.clone(), CompactionPolicy { waiting_rooms: 2, ..policy() });
    append(&*log, &history(9, 500)).await;
    let head = log.head(&room()).await.unwrap().unwrap();
    let room = room();
    let ask = || compactor.compact(&room, &head, Moment::Busy);
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    assert!(matches!(a, Outcome::Done { .. }), "{a:?}");
    assert!(matches!(b, Outcome::NotDue { .. }), "{b:?}");
    assert!(matches!(c, Outcome::NotDue { .. }), "{c:?}");
    assert!(matches!(d, Outcome::Busy), "{d:?}");
    assert!(matches!(ask().await, Outcome::NotDue { .. }));
}

#[tokio::test]
async fn kept_entries_never_outweigh_the_snapshot() {
    let log: Arc<dyn RoomLog> = Arc::new(MemoryLog::new());
    let compactor = Compactor::new(log.clone(), CompactionPolicy { retain_entries: 1_000, ..policy() });
    let author = Author::new(4);
    let map = author.doc.get_or_insert_map("map");
    let large = "x".repeat(10_000);
    let updates: Vec<_> =
        (0..100).map(|i| author.writes(|txn| _ = map.insert(txn, "key", format!("{large}{i}")))).collect();
    append(&*log, &updates).await;
    assert!(matches!(ask(&compactor, &*log).await, Outcome::Done { snapshot: 100, floor: 94 }));
}

fn in_process(program: impl Into<std::path::PathBuf>) -> CompactionPolicy {
    CompactionPolicy { worker: Worker::Process(program.into()), ..policy() }
}

#[tokio::test]
async fn a_process_of_its_own_makes_the_same_snapshot() {
    let updates = history(9, 3_000);
    let mut snapshots = Vec::new();
    for policy in [policy(), in_process(env!("CARGO_BIN_EXE_hither-relay"))] {
        let log: Arc<dyn RoomLog> = Arc::new(MemoryLog::new());
        let compactor = Compactor::new(log.clone(), policy);
        for updates in updates.chunks(1_500) {
            append(&*log, updates).await;
            assert!(matches!(ask(&compactor, &*log).await, Outcome::Done { .. }));
        }
        let Ok(snapshot) = scan(&log.snapshot(&room(), EPOCH).await.unwrap().unwrap().update) else {
            panic!("the snapshot is no update")
        };
        snapshots.push((snapshot.inserts, snapshot.deletes, joined(&*log).await.everything()));
    }
    assert_eq!(snapshots[0], snapshots[1]);
}

#[tokio::test]
async fn a_process_that_refuses_or_crashes_leaves_the_room_its_raw_log() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let crash = folder.path().join("crash");
    std::fs::write(&crash, "#!/bin/sh\nkill -SEGV $$\n").unwrap();
    std::fs::set_permissions(&crash, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut with_a_hole = history(9, 3_000);
    with_a_hole.remove(0);
    let relay = env!("CARGO_BIN_EXE_hither-relay");
    for (program, updates, said) in [
        (std::path::Path::new(relay), with_a_hole, "wait for others"),
        (&crash, history(9, 3_000), "signal: 11"),
        (std::path::Path::new("/nowhere"), history(9, 3_000), "No such file"),
    ] {
        let log: Arc<dyn RoomLog> = Arc::new(MemoryLog::new());
        let compactor = Compactor::new(log.clone(), in_process(program));
        append(&*log, &updates).await;
        match ask(&compactor, &*log).await {
            Outcome::Failed { cause, .. } => assert!(cause.to_string().contains(said), "{cause}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(log.head(&room()).await.unwrap().unwrap().floor, 0);
    }
}

#[tokio::test]
async fn a_quiet_room_is_due_long_before_a_busy_one() {
    let log = Arc::new(MemoryLog::new());
    let compactor = Compactor::new(log.clone(), CompactionPolicy { min_weight: 16_000, ..policy() });
    let person = Doc::new();
    let text = person.get_or_insert_text("note");
    let updates: Vec<Bytes> = (0..40)
        .map(|_| {
            let before = person.transact().state_vector();
            text.push(&mut person.transact_mut(), "x");
            person.transact().encode_diff_v1(&before).into()
        })
        .collect();
    log.append(&room(), EPOCH, updates[..5].to_vec()).await.unwrap();
    let known = || async { log.head(&room()).await.unwrap().unwrap() };
    let head = known().await;
    assert!(matches!(compactor.compact(&room(), &head, Moment::Quiet).await, Outcome::NotDue { .. }));
    log.append(&room(), EPOCH, updates[5..].to_vec()).await.unwrap();
    let head = known().await;
    assert!(matches!(compactor.compact(&room(), &head, Moment::Busy).await, Outcome::NotDue { .. }));
    let quiet = compactor.compact(&room(), &head, Moment::Quiet).await;
    assert!(matches!(quiet, Outcome::Done { snapshot: 40, .. }), "{quiet:?}");
}
