//! The file store: the contract, then what only a disk can do.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use hither_relay::log::{
    FileLog, Head, LogError, RoomLog, Snapshot,
    file::{FileOptions, OpenError},
};

mod contract {
    hither_relay::room_log_contract!(async {
        let dir = tempfile::tempdir().unwrap();
        let log = super::FileLog::open(dir.path(), &super::FileOptions::default()).unwrap();
        (log, dir)
    });
}

const EPOCH: Epoch = Epoch([3; 16]);

fn open(dir: &Path) -> FileLog {
    FileLog::open(dir, &FileOptions::default()).unwrap()
}

fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

fn update(text: &str) -> Vec<Bytes> {
    vec![Bytes::copy_from_slice(text.as_bytes())]
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b, gone) = (room("a"), room("b"), room("gone"));
    let large = Snapshot { seq: 2, update: Bytes::from(vec![9; 600_000]) };
    {
        let log = open(dir.path());
        for i in 1..=3 {
            log.append(&a, EPOCH, update(&format!("a{i}"))).await.unwrap();
        }
        log.put_snapshot(&a, EPOCH, 0, large.clone(), 1).await.unwrap();
        log.append(&b, Epoch([4; 16]), update("b1")).await.unwrap();
        log.append(&gone, EPOCH, update("x")).await.unwrap();
        log.delete(&gone).await.unwrap();
    }
    let log = open(dir.path());
    assert_eq!(log.head(&a).await.unwrap(), Some(Head { epoch: EPOCH, head: 3, floor: 1, snapshot: 2 }));
    assert_eq!(log.snapshot(&a, EPOCH).await.unwrap(), Some(large));
    let page = log.read(&a, EPOCH, 1, usize::MAX).await.unwrap();
    assert_eq!(page.entries, [(2, Bytes::from_static(b"a2")), (3, Bytes::from_static(b"a3"))]);
    assert_eq!(log.append(&a, EPOCH, update("a4")).await.unwrap(), 4);
    assert_eq!(log.rooms(None, 9).await.unwrap(), [a, b]);
    assert!(matches!(log.append(&gone, EPOCH, update("x")).await, Err(LogError::EpochChanged)));
    // The new life must not get the id of an old one.
    assert_eq!(log.append(&gone, Epoch([5; 16]), update("y")).await.unwrap(), 1);
    assert_eq!(log.read(&gone, Epoch([5; 16]), 0, 99).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name_and_free_after_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let refused = FileLog::open(dir.path(), &FileOptions::default()).err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains(&dir.path().display().to_string()), "{refused}");
    drop(first);
    open(dir.path());
}

#[tokio::test]
async fn a_closed_store_takes_no_changes_and_is_closed_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(&room("a"), EPOCH, update("x")).await.unwrap();
    log.close();
    assert!(matches!(log.append(&room("a"), EPOCH, update("y")).await, Err(LogError::Unavailable(_))));
    assert_eq!(log.head(&room("a")).await.unwrap().unwrap().head, 1);
    log.close();
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let store = dir.path().join("log");
    {
        let db = fjall::Database::builder(&store).open().unwrap();
        let meta = db.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
        assert_eq!(meta.get("format").unwrap().unwrap().as_ref(), 1u32.to_be_bytes());
        meta.insert("format", 2u32.to_be_bytes()).unwrap();
    }
    let refused = FileLog::open(dir.path(), &FileOptions::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1, .. }), "{refused}");
}

#[tokio::test]
async fn a_failed_commit_fails_everybody_in_it_and_closes_the_store_for_writing() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (room("a"), room("b"));
    {
        let log = Arc::new(open(dir.path()));
        log.append(&a, EPOCH, update("kept")).await.unwrap();
        log.health().unwrap();
        log.break_next_commit();
        let waiting: Vec<_> = (0..50)
            .map(|i| {
                let (log, room) =
                    (log.clone(), if i % 2 == 0 { a.clone() } else { room(&format!("new {i}")) });
                tokio::spawn(async move { log.append(&room, EPOCH, update("lost")).await })
            })
            .collect();
        for answer in waiting {
            let answer = answer.await.unwrap();
            assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
        }
        // Later ones too: a sync that works now proves nothing about the one that did not.
        let later = log.append(&b, EPOCH, update("later")).await;
        assert!(matches!(later, Err(LogError::Unavailable(_))), "{later:?}");
        let snapshot = Snapshot { seq: 1, update: Bytes::from_static(b"s") };
        assert!(log.put_snapshot(&a, EPOCH, 0, snapshot, 0).await.is_err());
        assert!(log.delete(&a).await.is_err());
        assert!(matches!(log.health(), Err(LogError::Unavailable(_))));
        // What was acknowledged can still be read, and nothing else.
        assert_eq!(log.head(&a).await.unwrap().unwrap().head, 1);
        assert_eq!(log.head(&b).await.unwrap(), None);
    }
    let log = open(dir.path());
    log.health().unwrap();
    assert_eq!(log.append(&a, EPOCH, update("next")).await.unwrap(), 2);
    assert_eq!(log.rooms(None, 99).await.unwrap(), [a]);
}

#[tokio::test]
async fn a_writer_that_panics_is_a_store_that_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let a = room("a");
    {
        let log = open(dir.path());
        log.append(&a, EPOCH, update("kept")).await.unwrap();
        log.panic_in_next_commit();
        assert!(matches!(log.append(&a, EPOCH, update("lost")).await, Err(LogError::Unavailable(_))));
        let failed = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                match log.health() {
                    Ok(()) => tokio::time::sleep(Duration::from_millis(1)).await,
                    Err(failed) => return failed,
                }
            }
        });
        let failed = failed.await.expect("whoever asks is told").to_string();
        assert!(failed.contains("as a test asked"), "{failed}");
        assert!(log.append(&a, EPOCH, update("later")).await.is_err());
        assert_eq!(log.head(&a).await.unwrap().unwrap().head, 1);
    }
    assert_eq!(open(dir.path()).append(&a, EPOCH, update("next")).await.unwrap(), 2);
}

#[tokio::test]
async fn a_large_snapshot_does_not_hold_up_the_appends_of_others() {
    let dir = tempfile::tempdir().unwrap();
    // More than all that may wait for the writer.
    const LARGE: usize = 100 << 20;
    let log = Arc::new(open(dir.path()));
    let (big, small) = (room("big"), room("small"));
    log.append(&big, EPOCH, update("x")).await.unwrap();
    let put = {
        let (log, big) = (log.clone(), big.clone());
        tokio::spawn(async move {
            let snapshot = Snapshot { seq: 1, update: Bytes::from(vec![1; LARGE]) };
            log.put_snapshot(&big, EPOCH, 0, snapshot, 1).await.unwrap();
        })
    };
    let mut appended = 0;
    while !put.is_finished() {
        appended += 1;
        assert_eq!(log.append(&small, EPOCH, update("y")).await.unwrap(), appended);
    }
    put.await.unwrap();
    // 400 parts, each with its own commit; an append rides along with most of them, on a busy machine with some. Held up
    // by the snapshot it would be one or two.
    assert!(appended > 8, "only {appended} appends got through");
    assert_eq!(log.snapshot(&big, EPOCH).await.unwrap().unwrap().update.len(), LARGE);
}

#[tokio::test]
async fn a_large_snapshot_on_its_way_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (log, big) = (Arc::new(open(dir.path())), room("big"));
    log.append(&big, EPOCH, update("x")).await.unwrap();
    let put = {
        let (log, big) = (log.clone(), big.clone());
        tokio::spawn(async move {
            let snapshot = Snapshot { seq: 1, update: Bytes::from(vec![1; 200 << 20]) };
            log.put_snapshot(&big, EPOCH, 0, snapshot, 1).await
        })
    };
    for _ in 0..8 {
        log.append(&big, EPOCH, update("y")).await.unwrap();
    }
    put.abort();
    assert!(put.await.unwrap_err().is_cancelled(), "it takes longer than that");
    drop(log);
    let log = open(dir.path());
    assert!(log.snapshot(&big, EPOCH).await.unwrap().is_none(), "it was given up");
    assert_eq!(log.head(&big).await.unwrap().unwrap().head, 9);
}

#[tokio::test]
async fn what_nothing_refers_to_is_removed_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, deleted) = (room("kept"), room("deleted"));
    {
        let log = open(dir.path());
        for room in [&kept, &deleted] {
            for _ in 0..5 {
                log.append(room, EPOCH, vec![Bytes::from_static(b"entry"); 500]).await.unwrap();
            }
        }
        let part = Bytes::from(vec![1; 600_000]);
        log.put_snapshot(&kept, EPOCH, 0, Snapshot { seq: 1000, update: part.clone() }, 0).await.unwrap();
        log.put_snapshot(&kept, EPOCH, 1000, Snapshot { seq: 2000, update: part.clone() }, 2000)
            .await
            .unwrap();
        log.put_snapshot(&deleted, EPOCH, 0, Snapshot { seq: 10, update: part }, 0).await.unwrap();
        log.delete(&deleted).await.unwrap();
    }
    // A second start finishes whatever the first one had no time for.
    {
        let log = open(dir.path());
        for i in 0..50 {
            log.append(&kept, EPOCH, update(&i.to_string())).await.unwrap();
        }
    }
    let db = fjall::Database::builder(dir.path().join("log")).open().unwrap();
    let count = |name| db.keyspace(name, fjall::KeyspaceCreateOptions::default).unwrap().iter().count();
    assert_eq!(count("entries"), 500 + 50);
    assert_eq!(count("chunks"), 3);
    assert_eq!(count("meta"), 3, "the format, the next id and the home, no chore left");
}

#[tokio::test]
async fn a_first_start_that_was_interrupted_is_begun_again_and_data_without_a_version_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("log");
    std::fs::create_dir_all(store.join("keyspaces")).unwrap();
    std::fs::write(store.join("lock"), "").unwrap();
    std::fs::write(store.join("0.jnl"), [0; 10_000]).unwrap();
    std::fs::write(store.join("version"), "FJ").unwrap();
    let log = open(dir.path());
    log.append(&room("r"), EPOCH, vec![Bytes::from_static(b"kept")]).await.unwrap();
    drop(log);

    std::fs::remove_file(store.join("version")).unwrap();
    assert!(FileLog::open(dir.path(), &FileOptions::default()).is_err());
    std::fs::write(store.join("version"), b"FJL\x03").unwrap();
    assert_eq!(open(dir.path()).head(&room("r")).await.unwrap().unwrap().head, 1, "nothing was removed");
}
