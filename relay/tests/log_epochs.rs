//! New epochs where the store may lack what it once acknowledged, and only there.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use hither_relay::log::{FileLog, RoomLog, file::FileOptions};
use tokio::{runtime::Runtime, task::JoinSet};

/// Set in the child: how it ends, with which durability, and the directory it writes to.
const CHILD: &str = "HITHER_TEST_LOG_EPOCHS_CHILD";
const FIRST: Epoch = Epoch([3; 16]);

fn room() -> RoomName {
    RoomName::new("room").unwrap()
}

fn relaxed() -> FileOptions {
    FileOptions { relaxed: true, ..FileOptions::default() }
}

fn synced() -> FileOptions {
    FileOptions::default()
}

fn restored() -> FileOptions {
    FileOptions { restored: true, ..FileOptions::default() }
}

async fn append(log: &FileLog, epoch: Epoch) -> u64 {
    log.append(&room(), epoch, vec![Bytes::from_static(b"x")]).await.unwrap()
}

/// The room's epoch as this start finds it. What is in the log goes on under it.
fn epoch(dir: &Path, options: &FileOptions) -> Epoch {
    Runtime::new().unwrap().block_on(async {
        let log = FileLog::open(dir, options).unwrap();
        let head = log.head(&room()).await.unwrap().unwrap();
        let entries = log.read(&room(), head.epoch, 0, usize::MAX).await.unwrap().entries.len() as u64;
        assert_eq!(entries, head.head, "entries are kept");
        assert_eq!(append(&log, head.epoch).await, head.head + 1);
        head.epoch
    })
}

/// A program opens the store, appends, and ends as it is told.
fn program(dir: &Path, end: &str, durability: &str) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, format!("{end} {durability} {}", dir.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(child.success(), end == "clean", "{child}");
}

/// The program; nothing when it is run as a test.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let [end, durability, dir] = task.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let options = if durability == "relaxed" { relaxed() } else { synced() };
    Runtime::new().unwrap().block_on(async {
        let log = FileLog::open(dir, &options).unwrap();
        let epoch = log.head(&room()).await.unwrap().map_or(FIRST, |head| head.epoch);
        append(&log, epoch).await;
        if end == "killed" {
            std::process::abort();
        }
    });
}

#[test]
fn a_relaxed_store_that_was_killed_has_new_epochs_whatever_it_is_opened_as() {
    let dir = tempfile::tempdir().unwrap();
    program(dir.path(), "killed", "relaxed");
    let second = epoch(dir.path(), &synced());
    assert_ne!(second, FIRST);
    assert_eq!(epoch(dir.path(), &synced()), second, "once");
    program(dir.path(), "killed", "relaxed");
    let third = epoch(dir.path(), &relaxed());
    assert_ne!(third, second);
    assert_eq!(epoch(dir.path(), &relaxed()), third, "once");
}

#[test]
fn a_clean_end_keeps_the_epochs_of_a_relaxed_store_and_any_end_those_of_a_synced_one() {
    let dir = tempfile::tempdir().unwrap();
    program(dir.path(), "clean", "relaxed");
    program(dir.path(), "clean", "relaxed");
    program(dir.path(), "killed", "synced");
    program(dir.path(), "clean", "synced");
    assert_eq!(epoch(dir.path(), &synced()), FIRST);
}

#[test]
fn a_relaxed_store_whose_disk_refused_has_not_ended_well() {
    let dir = tempfile::tempdir().unwrap();
    Runtime::new().unwrap().block_on(async {
        let log = FileLog::open(dir.path(), &relaxed()).unwrap();
        append(&log, FIRST).await;
        log.break_next_commit();
        log.append(&room(), FIRST, vec![Bytes::from_static(b"lost")]).await.unwrap_err();
    });
    assert_ne!(epoch(dir.path(), &relaxed()), FIRST);
}

#[test]
fn a_copy_of_a_directory_has_new_epochs_and_the_directory_itself_has_not() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (original, moved, copy) =
        (dir.path().join("data"), dir.path().join("moved"), elsewhere.path().join("data"));
    program(&original, "clean", "synced");
    let cp = Command::new("cp").args(["-a", "--sparse=always"]).arg(&original).arg(&copy).status();
    assert!(cp.unwrap().success());
    let second = epoch(&copy, &synced());
    assert_ne!(second, FIRST);
    assert_eq!(epoch(&copy, &synced()), second, "once");
    std::fs::rename(&original, &moved).unwrap();
    assert_eq!(epoch(&moved, &synced()), FIRST);
}

#[test]
fn a_directory_that_knows_nothing_of_where_it_is_keeps_its_epochs() {
    let dir = tempfile::tempdir().unwrap();
    program(dir.path(), "clean", "synced");
    {
        let db = fjall::Database::builder(dir.path().join("log")).open().unwrap();
        let meta = db.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
        meta.remove("home").unwrap();
    }
    assert_eq!(epoch(dir.path(), &synced()), FIRST);
}

#[tokio::test]
async fn restored_gives_every_room_a_new_epoch_and_leaves_deleted_ones_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let rooms: Vec<_> = (0..5_000).map(|n| RoomName::new(&format!("room {n}")).unwrap()).collect();
    let log = std::sync::Arc::new(FileLog::open(dir.path(), &synced()).unwrap());
    let mut appends = JoinSet::new();
    for room in rooms.clone() {
        let log = log.clone();
        appends.spawn(async move { log.append(&room, FIRST, vec![Bytes::from_static(b"x")]).await.unwrap() });
    }
    appends.join_all().await;
    let (gone, alive) = rooms.split_first().unwrap();
    log.delete(gone).await.unwrap();
    drop(log);

    let mut seen = std::collections::BTreeSet::from([FIRST.0]);
    for options in [restored(), restored()] {
        let log = FileLog::open(dir.path(), &options).unwrap();
        for room in alive {
            assert!(seen.insert(log.head(room).await.unwrap().unwrap().epoch.0), "a new one for each");
        }
        assert_eq!(log.head(gone).await.unwrap(), None);
        assert!(log.append(gone, FIRST, vec![Bytes::from_static(b"x")]).await.is_err(), "it stays refused");
    }
    let log = FileLog::open(dir.path(), &synced()).unwrap();
    assert!(seen.contains(&log.head(&alive[0]).await.unwrap().unwrap().epoch.0), "only when it is said");
}
