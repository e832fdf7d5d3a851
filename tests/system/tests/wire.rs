//! Networks that misbehave: connections that are cut, slow, or silent without being closed. Everybody finds out, comes
//! back, and has everything once.
//!
//! `HITHER_TROUBLES=500 cargo test -p hither-system-tests --test wire` misbehaves for longer; `HITHER_SEED` repeats a run.
#![allow(clippy::unwrap_used)]

use fastrand::Rng;
use hither_client::{Client, Room, Server};
use hither_relay::config::Config;
use hither_relay::log::MemoryLog;
use hither_system_tests::node::TestNode;
use hither_system_tests::people::{agree, enters, number, opens, person, sees, state, within};
use hither_system_tests::raw::read_log;
use hither_system_tests::wire::{Silence, Wire};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A relay that pings often: silence is noticed after two intervals and a question without an answer.
fn node() -> TestNode {
    let mut config = Config::default();
    config.limits.socket.ping_after = Duration::from_millis(500);
    TestNode::start_with(Arc::new(MemoryLog::new()), config)
}

/// Someone behind a wire of their own, in the room "list".
async fn behind(node: &TestNode) -> (Wire, Client, Room) {
    let wire = Wire::to(node.address()).await;
    let client = person(&wire.url()).await;
    let room = opens(&client, "list", Some(json!({ "lines": [] }))).await;
    within("a room to be in sync", room.synced()).await.unwrap();
    within("the list to be durable", room.saved()).await.unwrap();
    (wire, client, room)
}

fn lines(state: &serde_json::Value) -> Vec<String> {
    state["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_went_silent_is_found_and_left() {
    let node = node();
    let (wire, _anna, at_annas) = behind(&node).await;
    let bert = person(&node.url()).await;
    let at_berts = opens(&bert, "list", Some(json!({ "lines": [] }))).await;

    wire.silence(Silence::Both);
    at_annas.change(|draft| draft.push("lines", "into the void")).await.unwrap();
    at_berts.change(|draft| draft.push("lines", "unheard")).await.unwrap();
    assert!(matches!(at_annas.status().server, Server::Pending { count: 1, .. }), "{:?}", at_annas.status());
    // Nobody tells her that anything is wrong.
    within("Anna to find out and come back", at_annas.saved()).await.unwrap();
    assert_eq!(wire.traffic().connections, 2);
    let both = BTreeSet::from(["into the void".to_owned(), "unheard".to_owned()]);
    sees(&at_annas, "what she missed", |state| lines(state).into_iter().collect::<BTreeSet<_>>() == both)
        .await;
    agree(&[&at_annas, &at_berts]).await;
    read_log(&node.url(), "list").await.assert_holds_everything_once();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_while_the_answer_was_lost_is_stored_once() {
    let node = node();
    let (wire, _anna, at_annas) = behind(&node).await;
    let bert = person(&node.url()).await;
    let at_berts = enters(&bert, "list").await;

    wire.silence(Silence::Answers);
    for n in 0..20 {
        at_annas.change(move |draft| draft.push("lines", format!("anna {n}"))).await.unwrap();
    }
    // The relay has it and shows it, only Anna does not know.
    sees(&at_berts, "twenty lines", |state| lines(state).len() == 20).await;
    assert!(matches!(at_annas.status().server, Server::Pending { .. }), "{:?}", at_annas.status());
    within("Anna to come back and learn", at_annas.saved()).await.unwrap();
    assert_eq!(lines(&agree(&[&at_annas, &at_berts]).await).len(), 20);
    read_log(&node.url(), "list").await.assert_holds_everything_once();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_network_does_everybody_meets_again() {
    let (troubles, seed) = (number("HITHER_TROUBLES", 40), number("HITHER_SEED", fastrand::u64(..1 << 32)));
    println!("HITHER_TROUBLES={troubles} HITHER_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let node = node();
    let mut people = Vec::new();
    for _ in 0..3 {
        people.push(behind(&node).await);
    }
    let mut made = 0;
    // Dealt from a shuffled deck, not drawn: each kind happens in any run that is long enough.
    let mut deck = Vec::new();
    for _ in 0..troubles {
        for (who, (_, _, room)) in people.iter().enumerate() {
            for _ in 0..rng.usize(0..4) {
                let line = format!("{who} {made}");
                room.change(move |draft| draft.push("lines", line)).await.unwrap();
                made += 1;
            }
        }
        let (wire, client, _) = &people[rng.usize(..people.len())];
        if deck.is_empty() {
            deck.extend(0..6);
            rng.shuffle(&mut deck);
        }
        match deck.pop().unwrap() {
            0 => wire.cut(),
            1 => wire.lead_to(node.address()),
            2 => wire.delay(Duration::from_millis(rng.u64(1..80))),
            3 => wire.silence(Silence::Both),
            4 => wire.silence(Silence::Answers),
            _ => client.network_changed().await.unwrap(),
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(0..150))).await;
    }
    assert!(made > troubles, "{made} lines");

    for (wire, client, _) in &people {
        wire.delay(Duration::ZERO);
        wire.lead_to(node.address());
        client.network_changed().await.unwrap();
    }
    for (_, _, room) in &people {
        within("everybody to be back", room.saved()).await.unwrap();
    }
    let rooms: Vec<&Room> = people.iter().map(|(_, _, room)| room).collect();
    let all = lines(&agree(&rooms).await);
    assert_eq!(all.len() as u64, made, "every line");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "once");
    for who in 0..people.len() {
        let numbers =
            all.iter().filter_map(|line| line.strip_prefix(&format!("{who} "))?.parse::<u64>().ok());
        assert!(numbers.is_sorted(), "the lines of {who} are in the order in which they were written");
    }
    let stranger = person(&node.url()).await;
    assert_eq!(lines(&state(&enters(&stranger, "list").await).await), all);
    read_log(&node.url(), "list").await.assert_holds_everything_once();
    let connections: u64 = people.iter().map(|(wire, ..)| wire.traffic().connections).sum();
    println!("{made} lines over {connections} connections");
    assert!(connections > 3, "nobody had to come back");
    node.stop().await;
}
