//! What every store must do, as one suite that runs against each of them.
//!
//! [`room_log_contract!`](crate::room_log_contract) turns the suite into one test per rule for a store:
//!
//! ```text
//! hither_relay::room_log_contract!(async { MyLog::open().await });
//! ```
//!
//! Rules are functions over any `RoomLog`, so a store in another crate proves itself with the same words.

// A suite of tests: a refused call is a failed test.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};

use super::{Head, LogError, Page, RoomLog, Snapshot};

/// Writes one `#[tokio::test]` per rule. The expression is a future of a new, empty store; what has to
/// outlive the test (a scratch directory) may come with it as `(store, guard)`.
#[macro_export]
macro_rules! room_log_contract {
    ($make:expr) => {
        $crate::room_log_contract!(@rules $make;
            an_unknown_room_has_no_log
            seqs_count_from_one_without_gaps
            entries_read_back_as_they_were_appended
            an_append_of_nothing_creates_nothing
            a_page_holds_what_fits_but_at_least_one_entry
            reading_at_or_past_the_head_gives_nothing
            another_epoch_is_refused_everywhere
            concurrent_appends_to_one_room_leave_no_gap_and_stay_together
            appends_to_many_rooms_do_not_mix
            a_snapshot_reads_back_whatever_its_size
            a_snapshot_replaces_only_the_one_it_was_built_on
            a_snapshot_cannot_run_ahead_of_the_log_or_back
            a_trimmed_entry_is_refused_and_the_kept_ones_are_there
            the_head_survives_when_everything_is_trimmed
            a_floor_is_never_lowered_and_never_above_the_snapshot
            a_deleted_room_is_gone_and_its_epoch_never_returns
            a_room_can_be_created_anew_after_a_delete
            a_delete_defeats_a_snapshot_that_was_on_its_way
            deleting_what_is_not_there_says_so
            rooms_are_listed_in_pages_in_order
            names_of_every_kind_are_kept_apart
            appends_while_a_snapshot_is_put_are_all_kept
        );
    };
    (@rules $make:expr; $($rule:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                let (store, _guard) = $make.await;
                $crate::log::contract::$rule(::std::sync::Arc::new(store)).await;
            }
        )*
    };
}

type Log = Arc<dyn RoomLog>;

const EPOCH: Epoch = Epoch([1; 16]);
const OTHER: Epoch = Epoch([2; 16]);
const ALL: usize = usize::MAX;

fn room(name: &str) -> RoomName {
    RoomName::new(name).expect("a valid name")
}

fn updates<const N: usize>(texts: [&str; N]) -> Vec<Bytes> {
    texts.map(|text| Bytes::copy_from_slice(text.as_bytes())).into()
}

fn texts(page: &Page) -> Vec<(u64, String)> {
    page.entries.iter().map(|(seq, update)| (*seq, String::from_utf8_lossy(update).into_owned())).collect()
}

fn snapshot(seq: u64, text: &str) -> Snapshot {
    Snapshot { seq, update: Bytes::copy_from_slice(text.as_bytes()) }
}

async fn filled(log: &Log, name: &str, entries: u64) -> RoomName {
    let room = room(name);
    let updates = (1..=entries).map(|seq| Bytes::from(format!("u{seq}"))).collect();
    assert_eq!(log.append(&room, EPOCH, updates).await.expect("an append"), 1);
    room
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, LogError>, expected: &str) {
    let got = match &answer {
        Ok(_) => "ok".to_owned(),
        Err(LogError::EpochChanged) => "epoch".to_owned(),
        Err(LogError::Superseded) => "superseded".to_owned(),
        Err(LogError::Trimmed { floor }) => format!("trimmed {floor}"),
        Err(LogError::Unavailable(_)) => "unavailable".to_owned(),
        Err(LogError::Corrupt { .. }) => "corrupt".to_owned(),
    };
    assert_eq!(got, expected, "{answer:?}");
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident($log:ident) $body:block)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Panics
            /// When the store breaks the rule.
            pub async fn $name<L: RoomLog>(store: Arc<L>) {
                let $log: Log = store;
                $body
            }
        )*
    };
}

rules! {
    /// Before the first append there is nothing to be found.
    an_unknown_room_has_no_log(log) {
        let room = room("nobody");
        assert_eq!(log.head(&room).await.unwrap(), None);
        refused(log.read(&room, EPOCH, 0, ALL).await, "epoch");
        refused(log.snapshot(&room, EPOCH).await, "epoch");
        assert_eq!(log.rooms(None, 10).await.unwrap(), vec![]);
    }

    /// Each append answers with the seq of its first entry.
    seqs_count_from_one_without_gaps(log) {
        let room = room("r");
        assert_eq!(log.append(&room, EPOCH, updates(["a"])).await.unwrap(), 1);
        assert_eq!(log.append(&room, EPOCH, updates(["b", "c"])).await.unwrap(), 2);
        assert_eq!(log.append(&room, EPOCH, updates(["d"])).await.unwrap(), 4);
        let head = Head { epoch: EPOCH, head: 4, floor: 0, snapshot: 0 };
        assert_eq!(log.head(&room).await.unwrap(), Some(head));
    }

    /// Bytes are bytes: empty, every value, large.
    entries_read_back_as_they_were_appended(log) {
        let room = room("r");
        let large: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let entries = vec![Bytes::new(), (0..=255).collect(), Bytes::from(large), Bytes::from_static(&[0; 9])];
        log.append(&room, EPOCH, entries.clone()).await.unwrap();
        let page = log.read(&room, EPOCH, 0, ALL).await.unwrap();
        assert_eq!(page.entries, (1..).zip(entries).collect::<Vec<_>>());
        assert_eq!(texts(&log.read(&room, EPOCH, 3, ALL).await.unwrap()), [(4, "\0".repeat(9))]);
    }

    /// No entries: an answer, no log.
    an_append_of_nothing_creates_nothing(log) {
        let new = room("new");
        assert_eq!(log.append(&new, EPOCH, vec![]).await.unwrap(), 1);
        assert_eq!(log.head(&new).await.unwrap(), None);
        let old = filled(&log, "old", 3).await;
        assert_eq!(log.append(&old, EPOCH, vec![]).await.unwrap(), 4);
        assert_eq!(log.head(&old).await.unwrap().unwrap().head, 3);
    }

    /// Pages follow one another until the head.
    a_page_holds_what_fits_but_at_least_one_entry(log) {
        let room = room("r");
        log.append(&room, EPOCH, updates(["aaaa", "bbbb", "cccc", "dddd"])).await.unwrap();
        let seqs = async |after, max| {
            let page = log.read(&room, EPOCH, after, max).await.unwrap();
            page.entries.iter().map(|(seq, _)| *seq).collect::<Vec<_>>()
        };
        assert_eq!(seqs(0, 0).await, [1]);
        assert_eq!(seqs(0, 7).await, [1]);
        assert_eq!(seqs(0, 8).await, [1, 2]);
        assert_eq!(seqs(2, 8).await, [3, 4]);
        assert_eq!(seqs(1, 100).await, [2, 3, 4]);
    }

    /// Nothing new is no error.
    reading_at_or_past_the_head_gives_nothing(log) {
        let room = filled(&log, "r", 3).await;
        for after in [3, 4, u64::MAX] {
            let page = log.read(&room, EPOCH, after, ALL).await.unwrap();
            assert_eq!(page, Page { entries: vec![] }, "after {after}");
        }
    }

    /// No call mixes two lives of a log.
    another_epoch_is_refused_everywhere(log) {
        let room = filled(&log, "r", 3).await;
        refused(log.append(&room, OTHER, updates(["x"])).await, "epoch");
        refused(log.read(&room, OTHER, 0, ALL).await, "epoch");
        refused(log.snapshot(&room, OTHER).await, "epoch");
        refused(log.put_snapshot(&room, OTHER, 0, snapshot(2, "s"), 0).await, "epoch");
        assert_eq!(log.head(&room).await.unwrap().unwrap().head, 3);
        assert_eq!(texts(&log.read(&room, EPOCH, 2, ALL).await.unwrap()), [(3, "u3".into())]);
    }

    /// 8 writers, 40 batches of 3 each.
    concurrent_appends_to_one_room_leave_no_gap_and_stay_together(log) {
        let room = room("busy");
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8u8 {
            let (log, room) = (log.clone(), room.clone());
            writers.spawn(async move {
                let mut firsts = Vec::new();
                for batch in 0..40u8 {
                    let entries = (0..3).map(|i| Bytes::copy_from_slice(&[writer, batch, i])).collect();
                    firsts.push(log.append(&room, EPOCH, entries).await.unwrap());
                }
                (writer, firsts)
            });
        }
        let mut expected = std::collections::BTreeMap::new();
        for (writer, firsts) in writers.join_all().await {
            for (batch, first) in (0..40u8).zip(firsts) {
                for i in 0..3u8 {
                    let seq = first + u64::from(i);
                    assert_eq!(expected.insert(seq, vec![writer, batch, i]), None, "seq {seq} given twice");
                }
            }
        }
        let page = log.read(&room, EPOCH, 0, ALL).await.unwrap();
        let found: Vec<_> = page.entries.into_iter().map(|(seq, update)| (seq, update.to_vec())).collect();
        assert_eq!(found.len(), 8 * 40 * 3);
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }

    /// 50 rooms at once.
    appends_to_many_rooms_do_not_mix(log) {
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..50u8 {
            let log = log.clone();
            writers.spawn(async move {
                let room = room(&format!("room {number}"));
                for i in 0..10 {
                    let update = Bytes::from(format!("{number}.{i}"));
                    assert_eq!(log.append(&room, Epoch([number; 16]), vec![update]).await.unwrap(), i + 1);
                }
            });
        }
        writers.join_all().await;
        for number in 0..50u8 {
            let room = room(&format!("room {number}"));
            let page = log.read(&room, Epoch([number; 16]), 0, ALL).await.unwrap();
            let expected: Vec<_> = (0..10).map(|i| (i + 1, format!("{number}.{i}"))).collect();
            assert_eq!(texts(&page), expected);
        }
    }

    /// From nothing to several megabytes, and one replacing the other.
    a_snapshot_reads_back_whatever_its_size(log) {
        let room = filled(&log, "r", 10).await;
        assert_eq!(log.snapshot(&room, EPOCH).await.unwrap(), None);
        let mut replaces = 0;
        for (seq, size) in (1..).zip([3usize, 0, 256 * 1024, 256 * 1024 + 1, 5_000_000, 7]) {
            let update: Bytes = (0..size).map(|i| (i / 251 + i) as u8).collect();
            let snapshot = Snapshot { seq, update };
            log.put_snapshot(&room, EPOCH, replaces, snapshot.clone(), 0).await.unwrap();
            assert!(log.snapshot(&room, EPOCH).await.unwrap() == Some(snapshot), "{size} bytes");
            assert_eq!(log.head(&room).await.unwrap().unwrap().snapshot, seq);
            replaces = seq;
        }
        assert_eq!(log.read(&room, EPOCH, 0, ALL).await.unwrap().entries.len(), 10);
    }

    /// Of two compactions that began alike the second one loses.
    a_snapshot_replaces_only_the_one_it_was_built_on(log) {
        let room = filled(&log, "r", 10).await;
        log.put_snapshot(&room, EPOCH, 0, snapshot(5, "five"), 0).await.unwrap();
        refused(log.put_snapshot(&room, EPOCH, 0, snapshot(6, "six"), 6).await, "superseded");
        refused(log.put_snapshot(&room, EPOCH, 4, snapshot(6, "six"), 6).await, "superseded");
        let head = Head { epoch: EPOCH, head: 10, floor: 0, snapshot: 5 };
        assert_eq!(log.head(&room).await.unwrap(), Some(head));
        assert_eq!(log.snapshot(&room, EPOCH).await.unwrap(), Some(snapshot(5, "five")));
        log.put_snapshot(&room, EPOCH, 5, snapshot(5, "again"), 0).await.unwrap();
        assert_eq!(log.snapshot(&room, EPOCH).await.unwrap(), Some(snapshot(5, "again")));

        let (a, b) = tokio::join!(
            log.put_snapshot(&room, EPOCH, 5, snapshot(7, "seven"), 0),
            log.put_snapshot(&room, EPOCH, 5, snapshot(8, "eight"), 0),
        );
        assert!(a.is_ok() != b.is_ok(), "one of the two, {a:?} {b:?}");
        let won = if a.is_ok() { snapshot(7, "seven") } else { snapshot(8, "eight") };
        assert_eq!(log.snapshot(&room, EPOCH).await.unwrap(), Some(won));
    }

    /// It says what is in the log, no more, and never less than before.
    a_snapshot_cannot_run_ahead_of_the_log_or_back(log) {
        let room = filled(&log, "r", 3).await;
        refused(log.put_snapshot(&room, EPOCH, 0, snapshot(4, "s"), 0).await, "superseded");
        log.put_snapshot(&room, EPOCH, 0, snapshot(3, "three"), 0).await.unwrap();
        refused(log.put_snapshot(&room, EPOCH, 3, snapshot(2, "two"), 0).await, "superseded");
        assert_eq!(log.snapshot(&room, EPOCH).await.unwrap(), Some(snapshot(3, "three")));
    }

    /// Entries between floor and snapshot stay, so that a recent cursor still resumes.
    a_trimmed_entry_is_refused_and_the_kept_ones_are_there(log) {
        let room = filled(&log, "r", 1000).await;
        log.put_snapshot(&room, EPOCH, 0, snapshot(990, "s"), 900).await.unwrap();
        let head = Head { epoch: EPOCH, head: 1000, floor: 900, snapshot: 990 };
        assert_eq!(log.head(&room).await.unwrap(), Some(head));
        for after in [0, 1, 899] {
            refused(log.read(&room, EPOCH, after, ALL).await, "trimmed 900");
        }
        for _ in 0..20 {
            let page = log.read(&room, EPOCH, 900, ALL).await.unwrap();
            assert_eq!(texts(&page), (901..=1000).map(|seq| (seq, format!("u{seq}"))).collect::<Vec<_>>());
            tokio::task::yield_now().await;
        }
        assert_eq!(log.append(&room, EPOCH, updates(["next"])).await.unwrap(), 1001);
    }

    /// Nothing but the floor is left to count from.
    the_head_survives_when_everything_is_trimmed(log) {
        let room = filled(&log, "r", 700).await;
        log.put_snapshot(&room, EPOCH, 0, snapshot(700, "s"), 700).await.unwrap();
        let head = Head { epoch: EPOCH, head: 700, floor: 700, snapshot: 700 };
        assert_eq!(log.head(&room).await.unwrap(), Some(head));
        assert_eq!(log.read(&room, EPOCH, 700, ALL).await.unwrap(), Page { entries: vec![] });
        assert_eq!(log.append(&room, EPOCH, updates(["a", "b"])).await.unwrap(), 701);
        assert_eq!(texts(&log.read(&room, EPOCH, 701, ALL).await.unwrap()), [(702, "b".into())]);
    }

    /// A caller's odd floor does no harm.
    a_floor_is_never_lowered_and_never_above_the_snapshot(log) {
        let room = filled(&log, "r", 10).await;
        log.put_snapshot(&room, EPOCH, 0, snapshot(5, "s"), 9).await.unwrap();
        assert_eq!(log.head(&room).await.unwrap().unwrap().floor, 5);
        assert_eq!(log.read(&room, EPOCH, 5, ALL).await.unwrap().entries.len(), 5);
        log.put_snapshot(&room, EPOCH, 5, snapshot(8, "t"), 2).await.unwrap();
        assert_eq!(log.head(&room).await.unwrap().unwrap().floor, 5);
    }

    /// Neither an append nor a read that was on its way brings it back.
    a_deleted_room_is_gone_and_its_epoch_never_returns(log) {
        let room = filled(&log, "r", 10).await;
        log.put_snapshot(&room, EPOCH, 0, snapshot(5, "s"), 5).await.unwrap();
        assert!(log.delete(&room).await.unwrap());
        assert_eq!(log.head(&room).await.unwrap(), None);
        refused(log.append(&room, EPOCH, updates(["x"])).await, "epoch");
        refused(log.read(&room, EPOCH, 5, ALL).await, "epoch");
        refused(log.snapshot(&room, EPOCH).await, "epoch");
        assert_eq!(log.rooms(None, 10).await.unwrap(), vec![]);
        assert_eq!(log.head(&room).await.unwrap(), None);
    }

    /// A new life has nothing of the old one.
    a_room_can_be_created_anew_after_a_delete(log) {
        let room = filled(&log, "r", 300).await;
        log.put_snapshot(&room, EPOCH, 0, snapshot(200, "s"), 100).await.unwrap();
        log.delete(&room).await.unwrap();
        assert_eq!(log.append(&room, OTHER, updates(["new"])).await.unwrap(), 1);
        for _ in 0..20 {
            let head = Head { epoch: OTHER, head: 1, floor: 0, snapshot: 0 };
            assert_eq!(log.head(&room).await.unwrap(), Some(head));
            assert_eq!(texts(&log.read(&room, OTHER, 0, ALL).await.unwrap()), [(1, "new".into())]);
            assert_eq!(log.snapshot(&room, OTHER).await.unwrap(), None);
            tokio::task::yield_now().await;
        }
        refused(log.append(&room, EPOCH, updates(["x"])).await, "epoch");
    }

    /// A compaction in flight must not resurrect what was deleted, whoever gets there first.
    a_delete_defeats_a_snapshot_that_was_on_its_way(log) {
        for round in 0..10 {
            let room = filled(&log, &format!("r{round}"), 10).await;
            let large = Snapshot { seq: 10, update: Bytes::from(vec![7; 2_000_000]) };
            let (put, deleted, anew) = tokio::join!(
                log.put_snapshot(&room, EPOCH, 0, large, 10),
                log.delete(&room),
                log.append(&room, OTHER, updates(["new"])),
            );
            assert!(deleted.unwrap());
            if put.is_err() {
                refused(put, "epoch");
            }
            match anew {
                Ok(first) => assert_eq!(first, 1),
                Err(_) => refused(anew, "epoch"),
            }
            refused(log.snapshot(&room, EPOCH).await, "epoch");
            let first = log.append(&room, OTHER, updates(["more"])).await.unwrap();
            let head = Head { epoch: OTHER, head: first, floor: 0, snapshot: 0 };
            assert_eq!(log.head(&room).await.unwrap(), Some(head));
            assert_eq!(log.snapshot(&room, OTHER).await.unwrap(), None);
        }
    }

    /// Once is enough.
    deleting_what_is_not_there_says_so(log) {
        assert!(!log.delete(&room("nobody")).await.unwrap());
        let room = filled(&log, "r", 1).await;
        assert!(log.delete(&room).await.unwrap());
        assert!(!log.delete(&room).await.unwrap());
    }

    /// Byte order, deleted ones left out, each once.
    rooms_are_listed_in_pages_in_order(log) {
        for name in ["b", "a", "ab", "é", "z", "a\0", "B"] {
            filled(&log, name, 1).await;
        }
        log.delete(&room("z")).await.unwrap();
        let expected = ["B", "a", "a\0", "ab", "b", "é"].map(room);
        assert_eq!(log.rooms(None, 100).await.unwrap(), expected);
        assert_eq!(log.rooms(None, 0).await.unwrap(), vec![]);
        let mut found: Vec<RoomName> = Vec::new();
        loop {
            let page = log.rooms(found.last(), 2).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 2);
            found.extend(page);
        }
        assert_eq!(found, expected);
        assert_eq!(log.rooms(Some(&room("aa")), 1).await.unwrap(), [room("ab")], "after a name that is not there");
    }

    /// The longest name, prefixes of one another, control characters, a name like an inner key.
    names_of_every_kind_are_kept_apart(log) {
        let long = "x".repeat(256);
        let names = [long.as_str(), &long[..255], "a", "a\0", "\0", "format", "next", "../up", "ünï", "🦀"];
        for name in names {
            let update = Bytes::copy_from_slice(name.as_bytes());
            assert_eq!(log.append(&room(name), EPOCH, vec![update]).await.unwrap(), 1, "{name:?}");
        }
        for name in names {
            let page = log.read(&room(name), EPOCH, 0, ALL).await.unwrap();
            assert_eq!(texts(&page), [(1, name.to_owned())]);
        }
    }

    /// Compaction runs while people type.
    appends_while_a_snapshot_is_put_are_all_kept(log) {
        let room = filled(&log, "r", 100).await;
        let writer = {
            let (log, room) = (log.clone(), room.clone());
            tokio::spawn(async move {
                for i in 0..100u64 {
                    let update = Bytes::from(format!("u{}", 101 + i));
                    assert_eq!(log.append(&room, EPOCH, vec![update]).await.unwrap(), 101 + i);
                }
            })
        };
        let mut replaces = 0;
        for seq in [50, 80, 100] {
            let big = Snapshot { seq, update: Bytes::from(vec![seq as u8; 700_000]) };
            log.put_snapshot(&room, EPOCH, replaces, big, seq).await.unwrap();
            replaces = seq;
        }
        writer.await.unwrap();
        let page = log.read(&room, EPOCH, 100, ALL).await.unwrap();
        assert_eq!(texts(&page), (101..=200).map(|seq| (seq, format!("u{seq}"))).collect::<Vec<_>>());
        let kept = log.snapshot(&room, EPOCH).await.unwrap().unwrap();
        assert!(kept.seq == 100 && kept.update == vec![100; 700_000]);
    }
}
