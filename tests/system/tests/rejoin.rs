//! Coming back costs what was missed: bytes are counted on the wire.
#![allow(clippy::unwrap_used)]

use hither_client::{Client, Room};
use hither_protocol::frames::Mode;
use hither_protocol::ids::{Cursor, RoomName, Seq};
use hither_relay::compaction::{CompactionPolicy, Compactor, Moment, Outcome};
use hither_relay::log::RoomLog;
use hither_system_tests::node::file_log;
use hither_system_tests::people::{enters, opens, person, person_with_disk, sees, state, within};
use hither_system_tests::process::RelayProcess;
use hither_system_tests::raw::{Raw, read_log};
use hither_system_tests::wire::{Traffic, Wire};
use serde_json::json;
use std::path::Path;

const RELAY: &str = env!("CARGO_BIN_EXE_system-relay");

/// A room of this many entries is what a rejoin must not transfer.
const OLD: u32 = 1_500;

/// What a connection costs before and besides updates: the HTTP answer with its headers (about 170 bytes), Welcome,
/// Joined, a ping. Far below what [`OLD`] entries take.
const OVERHEAD: u64 = 600;

/// An update of this test with its frame: an item of one line in a list.
const ENTRY: u64 = 60;

fn line(n: u32) -> String {
    format!("line {n:05}")
}

async fn writes(room: &Room, numbers: std::ops::Range<u32>) {
    for n in numbers {
        room.change(move |draft| draft.push("lines", line(n))).await.unwrap().server().await.unwrap();
    }
}

async fn has(room: &Room, lines: u32) {
    let expected = json!((0..lines).map(line).collect::<Vec<_>>());
    sees(room, &format!("{lines} lines"), |state| state["lines"] == expected).await;
}

/// Reconnects over the wire and counts what came down until everything is there.
async fn comes_back(reader: &Client, room: &Room, wire: &Wire, lines: u32) -> Traffic {
    let before = wire.traffic();
    reader.connect().await.unwrap();
    has(room, lines).await;
    within("the reader to be in sync", room.synced()).await.unwrap();
    wire.traffic().since(before)
}

async fn writer_and_reader(relay: &RelayProcess, wire: &Wire, disk: &Path) -> (Client, Room, Client, Room) {
    let writer = person(&relay.url()).await;
    let desk = opens(&writer, "book", Some(json!({ "lines": [] }))).await;
    writes(&desk, 0..OLD).await;
    let reader = person_with_disk(&wire.url(), disk).await;
    let page = opens(&reader, "book", Some(json!({ "lines": [] }))).await;
    has(&page, OLD).await;
    within("the reader to be in sync", page.synced()).await.unwrap();
    let everything = wire.traffic().down;
    // How much of it is a snapshot and how much single entries is a matter of time; it is never less than its letters.
    let letters = u64::from(OLD) * line(0).len() as u64;
    assert!(everything > letters, "the first visit transfers everything: {everything} bytes");
    (writer, desk, reader, page)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejoin_transfers_the_missed_entries_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayProcess::start(RELAY, &dir.path().join("data")).await;
    let wire = Wire::to(relay.address()).await;
    let disk = dir.path().join("reader.hither");
    let (writer, desk, reader, page) = writer_and_reader(&relay, &wire, &disk).await;

    reader.disconnect().await.unwrap();
    let nothing = comes_back(&reader, &page, &wire, OLD).await;
    assert!(nothing.down < OVERHEAD, "nothing was missed: {nothing:?}");
    assert_eq!(nothing.connections, 1);

    reader.disconnect().await.unwrap();
    writes(&desk, OLD..OLD + 20).await;
    let some = comes_back(&reader, &page, &wire, OLD + 20).await;
    assert!(some.down < OVERHEAD + 20 * ENTRY, "20 entries were missed: {some:?}");
    assert!(some.down > 20 * 20, "and they came: {some:?}");

    // The relay was restarted in between: the cursor is about the log, not about the process.
    reader.disconnect().await.unwrap();
    writes(&desk, OLD + 20..OLD + 30).await;
    writer.close().await;
    relay.kill().await;
    relay.restart().await;
    let some = comes_back(&reader, &page, &wire, OLD + 30).await;
    assert!(
        some.down < OVERHEAD + 10 * ENTRY,
        "10 entries were missed over a restart of the relay: {some:?}"
    );

    // The client was restarted in between: the cursor is on its disk.
    reader.close().await;
    let writer = person(&relay.url()).await;
    let desk = enters(&writer, "book").await;
    writes(&desk, OLD + 30..OLD + 40).await;
    let before = wire.traffic();
    let reader = person_with_disk(&wire.url(), &disk).await;
    let page = enters(&reader, "book").await;
    has(&page, OLD + 40).await;
    let some = wire.traffic().since(before);
    assert!(
        some.down < OVERHEAD + 10 * ENTRY,
        "10 entries were missed over a restart of the client: {some:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_compaction_has_passed_gets_an_honest_reset_with_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut relay = RelayProcess::start(RELAY, &data).await;
    let wire = Wire::to(relay.address()).await;
    let (writer, desk, reader, page) =
        writer_and_reader(&relay, &wire, &dir.path().join("reader.hither")).await;
    let cursor: Cursor = page.cursor().await.unwrap().unwrap();
    reader.disconnect().await.unwrap();
    // An edit that waits while the log is compacted behind its back.
    page.change(|draft| draft.set("waited", true)).await.unwrap();
    writes(&desk, OLD..OLD + 100).await;
    let recent = desk.cursor().await.unwrap().unwrap();
    writes(&desk, OLD + 100..OLD + 120).await;
    writer.close().await;
    relay.kill().await;

    let log = file_log(&data).await;
    let name = RoomName::new("book").unwrap();
    // Due whatever the tail weighs: the relay may have compacted by itself when nobody wrote for a while.
    let policy = CompactionPolicy {
        min_weight: 0,
        quiet_share: u64::MAX,
        retain_entries: 50,
        ..CompactionPolicy::default()
    };
    let head = log.head(&name).await.unwrap().unwrap();
    let outcome = Compactor::new(log.clone(), policy).compact(&name, &head, Moment::Quiet).await;
    let Outcome::Done { snapshot, floor } = outcome else { panic!("{outcome:?}") };
    assert!(
        cursor.seq.0 < floor && floor <= recent.seq.0,
        "{cursor:?} is trimmed, {recent:?} is not: {floor}"
    );
    drop(log);
    relay.restart().await;

    let (mut raw, _) = Raw::greeted(&relay.url()).await;
    let old = raw.join("book", Some(cursor)).await;
    assert_eq!(old.mode, Mode::Reset);
    assert_eq!(old.snapshot.as_ref().map(|(seq, _)| *seq), Some(Seq(snapshot)));
    old.assert_holds_everything_once();
    let (mut raw, _) = Raw::greeted(&relay.url()).await;
    let resumed = raw.join("book", Some(recent)).await;
    assert_eq!((resumed.mode, resumed.snapshot.is_none(), resumed.entries.len()), (Mode::Resumed, true, 20));

    reader.connect().await.unwrap();
    has(&page, OLD + 120).await;
    within("the edit that waited to be durable", page.saved()).await.unwrap();
    let stranger = person(&relay.url()).await;
    let elsewhere = state(&enters(&stranger, "book").await).await;
    assert_eq!(elsewhere, state(&page).await);
    assert_eq!(elsewhere["waited"], true);
    let log = read_log(&relay.url(), "book").await;
    log.assert_holds_everything_once();
    assert_eq!(log.head, Seq(head.head + 1), "only the edit that waited was added");
}
