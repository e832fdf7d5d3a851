//! The rows of a room: written, merged, lost, and read again.

use crate::alice::{Alice, Disk, ack, bobs_updates, text_room, update};
use hither_core::edit::{Op, Step};
use hither_core::status::{Local, Server};
use hither_core::storage::StorageErrorKind;
use hither_core::{Event, Hint, OpenOptions};
use hither_protocol::frames::ClientFrame;

#[test]
fn a_disk_that_fails_is_told_tried_again_and_costs_nothing() {
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.disk_fails = Some(StorageErrorKind::Quota);
    alice.sets("a", 1.0);
    assert_eq!(alice.pushes().len(), 1, "the relay is not kept waiting for this disk");
    let status = alice.client.status(alice.room).unwrap();
    assert!(matches!(status.local, Local::Degraded { cause } if cause.contains("full")));
    assert_eq!(alice.client.edits(alice.room).unwrap().saved, 0);
    alice.waits(5_000);
    alice.disk_fails = None;
    alice.waits(60_000);
    assert_eq!(alice.client.edits(alice.room).unwrap().saved, 1);
    assert_eq!(alice.client.status(alice.room).unwrap().local, Local::Saved);
    assert_eq!(Alice::opens(alice.disk, 9, None).shows(), r#"{"a":1}"#);
}

#[test]
fn a_room_closed_while_the_disk_failed_has_its_edits_as_soon_as_the_disk_answers_again() {
    let mut alice = Alice::new();
    alice.disk_fails = Some(StorageErrorKind::Quota);
    alice.sets("a", 1.0);
    // The next try is most of a minute away by now.
    alice.waits(70_000);
    alice.client.close(alice.now, alice.room);
    alice.settles();
    assert!(alice.client.is_storing());
    alice.disk_fails = None;
    alice.room = alice.client.open(alice.now, "board", OpenOptions::default()).unwrap();
    alice.settles();
    assert_eq!(alice.shows(), r#"{"a":1}"#);
    assert!(!alice.client.is_storing());
}

#[test]
fn where_there_is_no_disk_nothing_is_kept_for_one_and_that_is_said() {
    let mut alice = Alice::begins(Disk::default(), 1, None, Some(StorageErrorKind::Absent));
    alice.joins_empty();
    alice.sets("a", 1.0);
    assert_eq!(alice.pushes().len(), 1);
    alice.hears(&[ack(1, 1)]);
    let bob = bobs_updates(&["b"]).remove(0);
    alice.hears(&[update(2, &bob)]);
    alice.waits(60_000);
    assert_eq!(alice.shows(), r#"{"a":1,"b":1}"#);
    assert_eq!((alice.acked(), alice.server()), (1, Server::Saved));
    assert_eq!(alice.client.edits(alice.room).unwrap().saved, 0);
    let status = alice.client.status(alice.room).unwrap();
    assert_eq!(status.local, Local::Absent { cause: "none".into() });
    alice.client.close(alice.now, alice.room);
    alice.settles();
    assert!(matches!(alice.events.last(), Some(Event::Closed)));
    assert_eq!(alice.batches, 0);
}

#[test]
fn a_disk_that_lost_everything_is_written_again_before_a_cursor_stands_over_a_hole() {
    let mut alice = Alice::new();
    alice.joins_empty();
    let bob = bobs_updates(&["b"]).remove(0);
    alice.hears(&[update(1, &bob)]);
    alice.waits(1_000);
    alice.disk = Disk::default();
    alice.disk_fails = Some(StorageErrorKind::Corrupt);
    alice.sets("a", 1.0);
    assert_eq!(alice.client.edits(alice.room).unwrap().saved, 0);
    alice.disk_fails = None;
    alice.waits(5_000);
    assert_eq!(alice.client.edits(alice.room).unwrap().saved, 1);
    let again = Alice::opens(alice.disk, 9, None);
    assert_eq!(again.shows(), r#"{"a":1,"b":1}"#);
    assert!(matches!(again.server(), Server::Pending { count: 1, .. }));
}

#[test]
fn what_waited_offline_leaves_merged_and_survives_a_crash_before() {
    let mut alice = Alice::opens(Disk::default(), 1, Some(text_room()));
    types(&mut alice, 300);
    let mut again = Alice::opens(alice.disk, 6, Some(text_room()));
    assert!(matches!(again.server(), Server::Pending { count: 300, .. }));
    again.joins_empty();
    let pushes = again.pushes();
    assert_eq!(pushes.len(), 1);
    assert!(pushes[0].1.len() < 400, "{} bytes", pushes[0].1.len());
    again.hears(&[ack(1, 1)]);
    assert_eq!(again.server(), Server::Saved);
}

#[test]
fn a_long_time_offline_is_one_row_once_it_is_quiet_and_a_few_hundred_before() {
    let mut alice = Alice::opens(Disk::default(), 1, Some(text_room()));
    let mut most = 0;
    for _ in 0..40 {
        types(&mut alice, 50);
        alice.waits(20);
        most = most.max(alice.disk.outbox.len());
    }
    assert!((100..=600).contains(&most), "{most} rows");
    assert!(matches!(alice.server(), Server::Pending { count: 2_000, .. }), "{:?}", alice.server());
    let busy = Alice::opens(alice.disk.clone(), 5, Some(text_room()));
    assert_eq!(busy.shows(), alice.shows(), "a crash in the middle of it");
    alice.waits(5_000);
    assert_eq!(alice.disk.outbox.len(), 1);

    let mut again = Alice::opens(alice.disk.clone(), 6, Some(text_room()));
    assert_eq!(again.shows(), alice.shows());
    again.joins_empty();
    let pushes = again.pushes();
    assert_eq!(pushes.len(), 1);
    again.hears(&[ack(1, 1)]);
    again.waits(5_000);
    assert_eq!((again.server(), again.disk.outbox.len()), (Server::Saved, 0));
    assert_eq!(Alice::opens(again.disk, 7, Some(text_room())).shows(), alice.shows());
}

#[test]
fn more_rows_than_the_document_takes_in_at_a_time_are_all_there() {
    let mut alice = Alice::opens(Disk::default(), 1, Some(text_room()));
    types(&mut alice, 1_700);
    assert!(alice.disk.outbox.len() > 1_000, "{} rows", alice.disk.outbox.len());
    let again = Alice::opens(alice.disk.clone(), 5, Some(text_room()));
    assert_eq!(again.shows(), alice.shows());
    assert!(matches!(again.server(), Server::Pending { count: 1_700, .. }), "{:?}", again.server());
}

#[test]
fn a_row_of_many_edits_stays_until_the_last_of_them_is_acknowledged() {
    let mut alice = Alice::opens(Disk::default(), 1, Some(text_room()));
    alice.joins_empty();
    let made = types(&mut alice, 40);
    alice.waits(5_000);
    assert_eq!(alice.disk.outbox.len(), 1, "the relay is slow");
    let pushes = alice.pushes();
    assert_eq!(pushes.len(), 32, "what the window lets through");
    alice.hears(&[ack(10, 10)]);
    assert_eq!(alice.acked(), 10);
    alice.waits(5_000);
    assert_eq!(alice.disk.outbox.len(), 1, "thirty are not acknowledged");
    let again = Alice::opens(alice.disk.clone(), 6, Some(text_room()));
    assert!(matches!(again.server(), Server::Pending { .. }));
    assert_eq!(again.shows(), alice.shows());
    let last = pushes.len() as u64 + alice.pushes().len() as u64;
    alice.hears(&[ack(last, last)]);
    alice.waits(5_000);
    assert_eq!((alice.acked(), alice.disk.outbox.len()), (made, 0));
}

#[test]
fn a_row_of_many_edits_on_a_disk_that_lost_everything_is_written_again() {
    let mut alice = Alice::opens(Disk::default(), 1, Some(text_room()));
    types(&mut alice, 30);
    alice.waits(5_000);
    assert_eq!(alice.disk.outbox.len(), 1);
    alice.disk = Disk::default();
    alice.disk_fails = Some(StorageErrorKind::Corrupt);
    types(&mut alice, 1);
    alice.disk_fails = None;
    alice.waits(10_000);
    assert_eq!(alice.disk.outbox.len(), 1);
    let mut again = Alice::opens(alice.disk.clone(), 6, Some(text_room()));
    assert_eq!(again.shows(), alice.shows());
    again.joins_empty();
    assert!(!again.pushes().is_empty(), "the relay has none of it");
}

/// So many letters at the end of the note; the last edit.
fn types(alice: &mut Alice, count: u32) -> u64 {
    let note = alice.client.node(alice.room, &[Step::Key("note")]).unwrap();
    let (_, length) = alice.client.measure(alice.room, note).unwrap();
    let mut edit = 0;
    for index in length..length + count {
        let op = Op::TextSplice { node: note, index, deleted: 0, text: "x".into() };
        edit = alice.client.change(alice.now, alice.room, &[op]).unwrap().edit;
        alice.settles();
    }
    edit
}

#[test]
fn a_page_that_is_looked_at_again_finds_what_another_tab_left_on_the_disk() {
    let mut other = Alice::opens(Disk::default(), 5, None);
    other.sets("a", 1.0);
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.disk = other.disk;
    alice.waits(5_000);
    assert_eq!(alice.shows(), "{}");
    alice.client.handle_hint(alice.now, Hint::Visible);
    alice.settles();
    assert_eq!(alice.shows(), r#"{"a":1}"#);
    let pushed = |frame: &ClientFrame| matches!(frame, ClientFrame::Push { .. });
    assert_eq!(alice.said.drain(..).filter(pushed).count(), 1);
    alice.hears(&[ack(1, 1)]);
    alice.waits(5_000);
    assert!(alice.disk.outbox.is_empty());
    assert_eq!(alice.server(), Server::Saved);
}
