//! A client and a relay that says exactly what a test wants it to say. No sleep, no socket, no clock: time is a
//! number. Names in brackets are rules of `sdk/protocol/SPEC.md`.
#![allow(clippy::unwrap_used)]

mod alice;
mod disk;
mod initial;

use alice::{
    Alice, CHANNEL, Disk, EPOCH, ack, bobs_updates, joined, joined_to, text_room, update, updates_of,
};
use bytes::Bytes;
use hither_core::edit::{Node, Op, Step};
use hither_core::status::{Connection, Server};
use hither_core::value::Value;
use hither_core::{Event, Hint};
use hither_protocol::contents::Contents;
use hither_protocol::frames::{ClientFrame, Mode, RelayFrame};
use hither_protocol::ids::{Cursor, Epoch, Seq};
use hither_protocol::limits::MAX_UPDATE_BYTES;
use hither_protocol::scan::scan;

/// [S1] [S4]
#[test]
fn an_edit_travels_and_its_acknowledgement_empties_the_outbox() {
    let mut alice = Alice::new();
    alice.joins_empty();
    assert_eq!(alice.sets("a", 1.0), 1);
    assert_eq!(alice.sets("b", 2.0), 2);
    assert!(matches!(alice.server(), Server::Pending { count: 2, .. }));
    let pushes = alice.pushes();
    assert_eq!(pushes.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2], "nobody waits for an answer");
    alice.hears(&[ack(1, 1)]);
    assert_eq!(alice.acked(), 1);
    alice.hears(&[ack(2, 2)]);
    assert_eq!((alice.acked(), alice.server()), (2, Server::Saved));
    alice.waits(1_000);
    assert!(alice.disk.outbox.is_empty());
    assert_eq!(alice.stored_cursor(), Some(Cursor { epoch: EPOCH, seq: Seq(2) }));
}

/// [J5]
#[test]
fn nothing_is_pushed_before_the_replay_ends_and_what_it_shows_is_not_pushed_again() {
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.sets("a", 1.0);
    let first = alice.pushes().remove(0).1;
    alice.loses_its_socket();
    alice.sets("b", 2.0);
    alice.comes_back();
    assert_eq!(alice.joins_with(), Some(Cursor { epoch: EPOCH, seq: Seq(0) }));
    alice.hears(&[joined(2, Mode::Resumed)]);
    assert!(alice.said.is_empty(), "the replay is not over");
    let bob = bobs_updates(&["c"]).remove(0);
    alice.hears(&[update(1, &first)]);
    assert!(alice.said.is_empty(), "the replay is not over");
    alice.hears(&[update(2, &bob)]);
    assert_eq!(alice.acked(), 1, "the log had the first one all along");
    let pushes = alice.pushes();
    assert_eq!(pushes.len(), 1);
    assert_ne!(pushes[0].1, first);
    assert_eq!(pushes[0].0, 1, "pushes count anew in every join");
    assert_eq!(alice.shows(), r#"{"a":1,"b":2,"c":1}"#);
}

/// [J6] [D2]
#[test]
fn a_relay_that_lost_its_log_is_healed_and_the_old_cursor_stays_until_then() {
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.sets("a", 1.0);
    let bob = bobs_updates(&["b"]).remove(0);
    alice.hears(&[ack(1, 1), update(2, &bob)]);
    alice.waits(1_000);
    alice.said.clear();
    alice.loses_its_socket();
    alice.comes_back();
    assert_eq!(alice.joins_with(), Some(Cursor { epoch: EPOCH, seq: Seq(2) }));
    // Another life of the log, with one entry of somebody else.
    let carol = updates_of(3, &["c"]).remove(0);
    let life = Epoch([9; 16]);
    alice.hears(&[joined_to(life, 1, Mode::Reset)]);
    alice.waits(1_000);
    assert_eq!(alice.stored_cursor().unwrap().epoch, EPOCH, "a crash now must lead to another reset");
    alice.hears(&[update(1, &carol)]);
    let healing = alice.pushes();
    assert_eq!(healing.len(), 1);
    alice.waits(1_000);
    assert_eq!(alice.stored_cursor(), Some(Cursor { epoch: life, seq: Seq(1) }));
    assert_eq!(alice.disk.outbox.len(), 1, "what heals is on disk before the cursor that ends the reset");

    let mut dora = Alice::opens(Disk::default(), 4, None);
    dora.connects();
    dora.joins_with();
    dora.hears(&[joined_to(life, 2, Mode::Resumed), update(1, &carol), update(2, &healing[0].1)]);
    assert_eq!(dora.shows(), alice.shows());
}

/// [J6] [P2]
#[test]
fn what_is_too_large_for_one_push_heals_a_relay_in_pieces_that_follow_on_each_other() {
    let mut alice = Alice::opens(Disk::default(), 1, Some(text_room()));
    alice.connects();
    alice.joins_with();
    alice.hears(&[joined(0, Mode::Resumed)]);
    let note = alice.client.node(alice.room, &[Step::Key("note")]).unwrap();
    let page = "a page of text ".repeat(64 * 1024);
    for round in 0..12 {
        let op = Op::TextSplice { node: note, index: 0, deleted: 0, text: page.clone() };
        alice.client.change(alice.now, alice.room, &[op]).unwrap();
        alice.settles();
        let pushed = alice.pushes().last().map(|(n, _)| *n);
        alice.hears(&[ack(pushed.unwrap(), round + 1)]);
    }
    alice.waits(10_000);
    alice.said.clear();
    assert_eq!(alice.server(), Server::Saved);
    alice.loses_its_socket();
    alice.comes_back();
    alice.joins_with();
    // The log is another one, and empty.
    let life = Epoch([9; 16]);
    alice.hears(&[joined_to(life, 0, Mode::Reset)]);
    let mut log = Contents::new();
    let mut pieces = Vec::new();
    while let Some((n, piece)) = alice.pushes().pop() {
        let found = scan(&piece).unwrap();
        assert!(piece.len() <= MAX_UPDATE_BYTES && log.is_ready_for(&found));
        log.absorb(&found);
        pieces.push(piece);
        assert!(matches!(alice.server(), Server::Pending { .. }));
        alice.hears(&[ack(n, n)]);
    }
    assert_eq!(alice.server(), Server::Saved);
    assert!(pieces.len() >= 2, "{} bytes", pieces.iter().map(Bytes::len).sum::<usize>());

    let mut dora = Alice::opens(Disk::default(), 4, Some(text_room()));
    dora.connects();
    dora.joins_with();
    dora.hears(&[joined_to(life, pieces.len() as u64, Mode::Resumed)]);
    for (piece, seq) in pieces.iter().zip(1..) {
        dora.hears(&[update(seq, piece)]);
    }
    assert!(dora.shows() == alice.shows(), "they differ");
}

/// [J6]
#[test]
fn rows_that_another_life_of_the_log_accounted_for_are_brought_to_the_present_one() {
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.sets("a", 1.0);
    alice.hears(&[ack(1, 1)]);
    alice.waits(1_000);
    assert!(alice.disk.outbox.is_empty());
    // Another tab of the same device has joined another log, which lost this, and wrote its cursor over ours.
    let life = Epoch([9; 16]);
    let mut meta = vec![1];
    meta.extend_from_slice(&life.0);
    meta.push(3);
    alice.disk.meta = Some(meta);
    let mut again = Alice::opens(alice.disk, 9, None);
    again.connects();
    assert_eq!(again.joins_with(), None, "the cursor does not say that the log has these rows");
    again.hears(&[joined_to(life, 0, Mode::Resumed)]);
    assert_eq!(again.pushes().len(), 1);
    again.hears(&[ack(1, 1)]);
    again.waits(10_000);
    // Once the log has them the rows say so.
    let mut again = Alice::opens(again.disk, 10, None);
    again.connects();
    assert_eq!(again.joins_with(), Some(Cursor { epoch: life, seq: Seq(1) }));
    assert_eq!(again.shows(), r#"{"a":1}"#);
}

#[test]
fn an_edit_on_what_is_not_here_waits_for_it_and_holds_nobody_up() {
    let bob = bobs_updates(&["b", "b"]);
    let mut alice = Alice::new();
    // Somebody else's second edit, by mail, without the first.
    alice.client.import(alice.now, alice.room, &bob[1]).unwrap();
    alice.settles();
    alice.joins_empty();
    assert_eq!(alice.pushes(), []);
    alice.sets("a", 1.0);
    let pushed = alice.pushes();
    assert_eq!(pushed.len(), 1);
    alice.hears(&[ack(1, 1)]);
    assert!(matches!(alice.server(), Server::Pending { count: 1, .. }));
    alice.hears(&[update(2, &bob[0])]);
    assert_eq!(alice.pushes(), [(2, bob[1].clone())]);
    alice.hears(&[ack(2, 3)]);
    assert_eq!(alice.server(), Server::Saved);
    assert_eq!(alice.acked(), 2);
}

/// [D1]
#[test]
fn a_seq_that_is_not_the_next_one_closes_the_connection_and_the_page_lives() {
    let updates = bobs_updates(&["a", "b", "c"]);
    for wrong in [3, 1] {
        let mut alice = Alice::new();
        alice.joins_empty();
        alice.hears(&[update(1, &updates[0])]);
        alice.hears(&[update(wrong, &updates[1])]);
        assert_eq!(alice.closed, [4400]);
        assert!(
            alice.events.iter().any(|event| matches!(event, Event::Error(error) if error.code == "protocol"))
        );
        assert_eq!(alice.shows(), r#"{"a":1}"#);
        alice.sets("mine", 5.0);
        alice.comes_back();
        assert_eq!(alice.joins_with(), Some(Cursor { epoch: EPOCH, seq: Seq(1) }));
    }
}

/// [P3]
#[test]
fn acknowledgements_of_what_was_never_pushed_are_not_believed() {
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.sets("a", 1.0);
    alice.hears(&[ack(2, 1)]);
    assert_eq!(alice.closed, [4400]);
    assert_eq!(alice.acked(), 0);
    assert!(matches!(alice.server(), Server::Pending { count: 1, .. }));
}

#[test]
fn bytes_that_are_no_frame_and_no_update_are_an_error_event_and_a_live_page() {
    let updates = bobs_updates(&["a"]);
    let hostile: Vec<Bytes> = (0..updates[0].len())
        .map(|cut| updates[0].slice(..cut))
        .chain([[117, 1].repeat(5_000).into(), vec![0xff; 40].into(), Bytes::new()])
        .collect();
    for bytes in hostile {
        let mut alice = Alice::new();
        alice.joins_empty();
        alice.hears(&[update(1, &bytes)]);
        assert_eq!(alice.closed, [4400], "{bytes:?}");
        alice.sets("mine", 1.0);
        assert_eq!(alice.shows(), r#"{"mine":1}"#);

        let mut alice = Alice::new();
        alice.connects();
        alice.client.handle_message(alice.now, alice.socket.unwrap(), bytes.clone());
        alice.settles();
        assert_eq!(alice.shows(), "{}");
    }
}

/// [H1] [H3]
#[test]
fn a_ping_is_answered_and_a_pong_that_nobody_asked_for_is_ignored() {
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.hears(&[RelayFrame::Ping { nonce: 77 }, RelayFrame::Pong { nonce: 3 }]);
    assert_eq!(alice.said.drain(..).collect::<Vec<_>>(), [ClientFrame::Pong { nonce: 77 }]);
    assert!(alice.closed.is_empty());
}

/// [H2]
#[test]
fn a_silent_relay_is_asked_once_and_then_abandoned() {
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.waits(19_000);
    assert!(alice.said.is_empty());
    alice.waits(1_500);
    assert!(matches!(alice.said.pop_front(), Some(ClientFrame::Ping { .. })));
    alice.hears(&[RelayFrame::Pong { nonce: 0 }]);
    alice.waits(19_000);
    assert!(alice.closed.is_empty(), "any frame is a sign of life");
    alice.waits(7_000);
    assert_eq!(alice.closed, [4503]);
    assert!(!matches!(alice.connection(), Connection::Online));
}

/// [H2]
#[test]
fn a_page_that_wakes_asks_before_it_trusts() {
    let mut alice = Alice::new();
    alice.joins_empty();
    alice.client.handle_hint(alice.now, Hint::Visible);
    alice.settles();
    assert!(matches!(alice.said.pop_front(), Some(ClientFrame::Ping { .. })));
    alice.waits(5_100);
    assert_eq!(alice.closed, [4503]);
}

/// [C1]
#[test]
fn codes_that_end_it_stop_the_client_until_somebody_acts() {
    for (code, stops) in [(4402, true), (4403, true), (4400, false), (4501, false), (1006, false)] {
        let mut alice = Alice::new();
        alice.joins_empty();
        let socket = alice.socket.take().unwrap();
        alice.client.handle_disconnected(alice.now, socket, Some(code), "");
        alice.settles();
        let connects = alice.connects;
        alice.waits(60_000);
        assert_eq!(alice.connects == connects, stops, "{code}");
        if stops {
            alice.client.set_connect(alice.now, true);
            alice.settles();
            assert!(alice.socket.is_some(), "{code}");
        }
    }
}

/// [C2]
#[test]
fn waits_between_attempts_are_random_and_grow_to_half_a_minute() {
    let mut longest = [0u64; 10];
    for seed in 0..200 {
        let mut alice = Alice::opens(Disk::default(), seed, None);
        for longest in &mut longest {
            let before = alice.now;
            alice.loses_its_socket();
            let Connection::Waiting { retry_at, .. } = alice.connection() else { panic!("not waiting") };
            *longest = retry_at.since(before).max(*longest);
            let connects = alice.connects;
            alice.waits(retry_at.since(before));
            assert_eq!(alice.connects, connects + 1);
        }
    }
    for (failures, &longest) in longest.iter().enumerate() {
        let ceiling = (500u64 << failures).min(30_000);
        assert!(longest <= ceiling, "{longest} after {failures} failures");
        assert!(longest > ceiling * 8 / 10, "{longest} of {ceiling} after {failures} failures");
    }
}

/// [C3]
#[test]
fn a_relay_that_goes_away_says_when_to_come_back() {
    let mut waits = Vec::new();
    for seed in 1..60 {
        let mut alice = Alice::opens(Disk::default(), seed, None);
        alice.joins_empty();
        alice.hears(&[RelayFrame::Goaway { retry_after_ms: 4_000, jitter_ms: 2_000 }]);
        alice.loses_its_socket();
        let Connection::Waiting { retry_at, .. } = alice.connection() else { panic!("not waiting") };
        waits.push(retry_at.since(alice.now));
    }
    assert!(waits.iter().all(|wait| (4_000..=6_000).contains(wait)));
    assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 1_000, "spread out");
}

#[test]
fn what_is_edited_behind_a_refused_push_is_refused_and_what_came_before_is_not() {
    let mut alice = Alice::new();
    alice.joins_empty();
    for key in ["a", "b", "c"] {
        alice.sets(key, 1.0);
    }
    let nack = RelayFrame::Nack { channel: CHANNEL, n: 2, code: 4403, reason: "read only".into() };
    alice.hears(&[nack, ack(1, 1)]);
    assert_eq!(alice.acked(), 1);
    alice.sets("d", 1.0);
    let refused = alice.events.iter().filter_map(|event| match event {
        Event::Refused { from, to, code: 4403, .. } => Some((*from, *to)),
        _ => None,
    });
    assert_eq!(refused.collect::<Vec<_>>(), [(2, 3), (4, 4)]);
    assert!(matches!(alice.server(), Server::Refused { code: 4403, .. }));
    assert_eq!(alice.pushes().len(), 3);
}

#[test]
fn the_name_of_the_map_of_primitives_is_no_ones() {
    let mut alice = Alice::new();
    alice.sets("title", 1.0);
    let node = Node::ROOT;
    for value in [Value::Number(2.0), Value::map()] {
        let set = Op::MapSet { node, key: String::new(), value };
        let refused = alice.client.change(alice.now, alice.room, &[set]).unwrap_err();
        assert_eq!(refused.to_string(), "a name at the top level is not empty");
    }
    let delete = Op::MapDelete { node, key: String::new() };
    assert!(alice.client.change(alice.now, alice.room, &[delete]).is_err());
    assert_eq!(alice.shows(), r#"{"title":1}"#);
}
