//! What a room is opened with.

use crate::alice::{Alice, Disk, bobs_updates, joined, update};
use hither_core::edit::{Op, Step};
use hither_core::time::Millis;
use hither_core::value::Value;
use hither_core::{Client, Config, OpenOptions, SocketId};
use hither_protocol::frames::Mode;
use hither_protocol::limits::MAX_UPDATE_BYTES;
use std::collections::BTreeMap;

#[test]
fn two_who_open_an_empty_room_offline_with_the_same_content_have_it_once() {
    let initial = || {
        let list =
            Value::List(vec!["milk".into(), Value::Map(BTreeMap::from([("n".to_owned(), 1.0.into())]))]);
        let entries =
            [("list", list), ("title", Value::String("T".into())), ("note", Value::Text("hello".into()))];
        Some(Value::Map(entries.map(|(key, value)| (key.to_owned(), value)).into()))
    };
    let mut alice = Alice::opens(Disk::default(), 1, initial());
    let mut bob = Alice::opens(Disk::default(), 2, initial());
    alice.waits(2_500);
    bob.waits(2_500);
    let expected = r#"{"list":["milk",{"n":1}],"note":"hello","title":"T"}"#;
    assert_eq!((alice.shows(), bob.shows()), (expected.to_owned(), expected.to_owned()));
    alice.socket.get_or_insert(SocketId(1));
    alice.joins_empty();
    let seed = alice.pushes().remove(0).1;
    bob.connects();
    bob.joins_with();
    bob.hears(&[joined(1, Mode::Resumed), update(1, &seed)]);
    assert!(bob.said.is_empty(), "the log has it");
    assert_eq!(bob.shows(), expected);
}

#[test]
fn the_first_edit_stands_on_the_initial_content() {
    let entries = [("list", Value::List(vec!["milk".into()])), ("title", "T".into())];
    let initial = Value::Map(entries.map(|(key, value)| (key.to_owned(), value)).into());
    let mut alice = Alice::opens(Disk::default(), 1, Some(initial));
    assert_eq!(alice.shows(), r#"{"list":[]}"#, "whether the room is new is not known");
    alice.client.plant(alice.now, alice.room);
    alice.settles();
    assert_eq!(alice.shows(), r#"{"list":["milk"],"title":"T"}"#);
    let node = alice.client.node(alice.room, &[Step::Key("list")]).unwrap();
    let behind = Op::ListSplice { node, index: 1, deleted: 0, values: vec!["bread".into()] };
    alice.client.change(alice.now, alice.room, &[behind]).unwrap();
    alice.client.plant(alice.now, alice.room);
    alice.settles();
    assert_eq!(alice.shows(), r#"{"list":["milk","bread"],"title":"T"}"#);
    assert_eq!(alice.client.edits(alice.room).unwrap().made, 2);
}

#[test]
fn the_initial_content_waits_for_an_answer_that_is_on_its_way() {
    let theirs = bobs_updates(&["title"]).remove(0);
    let initial = || Some(Value::Map(BTreeMap::from([("title".to_owned(), "untitled".into())])));
    let mut alice = Alice::opens(Disk::default(), 1, initial());
    alice.connects();
    alice.joins_with();
    alice.waits(9_000);
    alice.hears(&[joined(1, Mode::Resumed)]);
    alice.waits(9_000);
    assert_eq!(alice.shows(), "{}", "an old room, slowly");
    alice.hears(&[update(1, &theirs)]);
    assert_eq!(alice.shows(), r#"{"title":1}"#);

    let mut bob = Alice::opens(Disk::default(), 2, initial());
    bob.connects();
    bob.joins_with();
    bob.waits(9_000);
    bob.loses_its_socket();
    bob.waits(100);
    assert_eq!(bob.shows(), r#"{"title":"untitled"}"#, "there will be no answer");
}

#[test]
fn initial_content_that_cannot_be_planted_does_not_open_a_room() {
    let opens = |value: Value| {
        let initial = Some(Value::Map(BTreeMap::from([("list".to_owned(), value)])));
        let mut client = Client::new(Config::default());
        let opened = client.open(Millis(0), "board", OpenOptions { initial, ..OpenOptions::default() });
        // The name is still free.
        assert!(client.open(Millis(0), "board", OpenOptions::default()).is_ok() != opened.is_ok());
        opened.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(opens(Value::List(vec![])), Ok(()));
    let not_writable = opens(Value::List(vec![1.0.into(), Value::BigInt(5)]));
    assert_eq!(not_writable.unwrap_err(), "the initial content: a value of this kind cannot be written");
    let too_large = opens(Value::List(vec![Value::Bytes(vec![0; MAX_UPDATE_BYTES])]));
    assert!(too_large.unwrap_err().starts_with("the initial content: the change takes up to"));
}

#[test]
fn a_room_with_content_takes_no_initial_content() {
    let theirs = bobs_updates(&["title"]).remove(0);
    let initial = Value::Map(BTreeMap::from([("title".to_owned(), "untitled".into())]));
    let mut alice = Alice::opens(Disk::default(), 1, Some(initial));
    alice.connects();
    alice.joins_with();
    alice.hears(&[joined(1, Mode::Resumed), update(1, &theirs)]);
    alice.waits(10_000);
    assert_eq!(alice.shows(), r#"{"title":1}"#);
    assert_eq!(alice.client.edits(alice.room).unwrap().made, 0);
}
