//! Without a relay: two people begin the same room and get one copy, edits wait and merge, disks and killed processes
//! lose nothing that was promised.
#![allow(clippy::unwrap_used)]

use hither_client::{Client, Local, Server};
use hither_relay::log::MemoryLog;
use hither_system_tests::node::TestNode;
use hither_system_tests::people::{agree, enters, opens, person, person_with_disk, sees, state, within};
use hither_system_tests::raw::read_log;
use hither_system_tests::wire::Wire;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Nobody listens there.
const NOWHERE: &str = "ws://127.0.0.1:9/sync";

fn plan() -> Json {
    json!({
        "title": "Plan",
        "cards": [{ "name": "write", "done": false }, { "name": "test", "done": false }],
        "note": { "text": "Dear all" },
    })
}

/// Two people make the same plan offline, change it, and meet: one after the other or both at once.
async fn two_begin_the_same_room(at_once: bool) {
    let node = TestNode::start(Arc::new(MemoryLog::new()));
    let offline = async || Client::builder(node.url()).connect(false).open().await.unwrap();
    let (anna, bert) = (offline().await, offline().await);
    let at_annas = opens(&anna, "board", Some(plan())).await;
    let at_berts = opens(&bert, "board", Some(plan())).await;
    sees(&at_annas, "the plan, offline", |state| state["title"] == "Plan").await;
    at_annas.change(|draft| draft.set("cards/0/done", true)).await.unwrap();
    at_annas.change(|draft| draft.append("note", "!")).await.unwrap();
    at_berts.change(|draft| draft.push("cards", "third")).await.unwrap();

    anna.connect().await.unwrap();
    if !at_once {
        within("Anna's plan to be durable", at_annas.saved()).await.unwrap();
    }
    bert.connect().await.unwrap();
    for room in [&at_annas, &at_berts] {
        within("a room to be in sync", room.synced()).await.unwrap();
        within("a room to be saved", room.saved()).await.unwrap();
    }
    let merged = agree(&[&at_annas, &at_berts]).await;
    let expected = json!({
        "title": "Plan",
        "cards": [{ "name": "write", "done": true }, { "name": "test", "done": false }, "third"],
        "note": "Dear all!",
    });
    assert_eq!(merged, expected);
    if !at_once {
        // Both at once may push the plan before either hears of the other's; whoever reads it takes it once.
        read_log(&node.url(), "board").await.assert_holds_everything_once();
    }

    // A third one who comes later with the same plan adds nothing.
    let carl = person(&node.url()).await;
    let at_carls = opens(&carl, "board", Some(plan())).await;
    within("Carl to be in sync", at_carls.synced()).await.unwrap();
    assert_eq!(agree(&[&at_annas, &at_carls]).await, expected);
    assert_eq!(at_carls.edits().await.unwrap().made, 0, "nothing was planted over what was there");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_begin_the_same_room_offline_get_one_copy_of_it() {
    two_begin_the_same_room(false).await;
    two_begin_the_same_room(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_both_sides_of_a_cut_merge() {
    let node = TestNode::start(Arc::new(MemoryLog::new()));
    let wire = Wire::to(node.address()).await;
    let (anna, bert) = (person(&wire.url()).await, person(&node.url()).await);
    let at_annas = opens(&anna, "board", Some(plan())).await;
    let at_berts = opens(&bert, "board", Some(plan())).await;
    sees(&at_annas, "the plan", |state| state["title"] == "Plan").await;
    sees(&at_berts, "the plan", |state| state["title"] == "Plan").await;
    within("the plan to be durable", at_annas.saved()).await.unwrap();
    within("the plan to be durable", at_berts.saved()).await.unwrap();

    wire.cut();
    for n in 0..200 {
        at_annas.change(move |draft| draft.push("cards", format!("anna {n}"))).await.unwrap();
        at_berts.change(move |draft| draft.push("cards", format!("bert {n}"))).await.unwrap();
    }
    at_annas.change(|draft| draft.splice_text("note", 0, 4, "Dearest")).await.unwrap();
    at_berts.change(|draft| draft.append("note", ",")).await.unwrap();
    at_berts.change(|draft| draft.remove("cards/1")).await.unwrap();
    assert!(
        matches!(at_annas.status().server, Server::Pending { count: 201, .. }),
        "{:?}",
        at_annas.status()
    );

    wire.lead_to(node.address());
    anna.network_changed().await.unwrap();
    within("Anna to be back", at_annas.synced()).await.unwrap();
    within("Anna's edits to be durable", at_annas.saved()).await.unwrap();
    within("Bert's edits to be durable", at_berts.saved()).await.unwrap();
    let merged = agree(&[&at_annas, &at_berts]).await;
    assert_eq!(merged["note"], "Dearest all,");
    let cards = merged["cards"].as_array().unwrap();
    assert_eq!(cards.len(), 1 + 400);
    for who in ["anna", "bert"] {
        let own: Vec<String> = cards
            .iter()
            .filter_map(Json::as_str)
            .filter(|card| card.starts_with(who))
            .map(str::to_owned)
            .collect();
        assert_eq!(own, (0..200).map(|n| format!("{who} {n}")).collect::<Vec<_>>(), "in their order");
    }
    read_log(&node.url(), "board").await.assert_holds_everything_once();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_offline_outlives_restarts_and_reaches_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("anna.hither");
    for n in 0..3 {
        let anna = person_with_disk(NOWHERE, &file).await;
        let room = opens(&anna, "board", Some(json!({ "lines": [] }))).await;
        assert_eq!(state(&room).await["lines"], json!((0..n).collect::<Vec<i32>>()));
        room.change(move |draft| draft.push("lines", f64::from(n))).await.unwrap().local().await.unwrap();
        assert_eq!(room.status().local, Local::Saved);
        anna.close().await;
    }
    let node = TestNode::start(Arc::new(MemoryLog::new()));
    let anna = person_with_disk(&node.url(), &file).await;
    let room = enters(&anna, "board").await;
    within("the disk's edits to be durable", room.saved()).await.unwrap();
    let bert = person(&node.url()).await;
    assert_eq!(state(&enters(&bert, "board").await).await, json!({ "lines": [0, 1, 2] }));
    node.stop().await;
}

/// Runs a client as a process and kills it when it has said how many lines are on its disk.
async fn writes_and_is_killed(url: &str, file: &Path, first: usize, lines: usize) -> usize {
    let mut child = Command::new(env!("CARGO_BIN_EXE_system-writer"))
        .args([url, file.to_str().unwrap(), "log", &first.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = None;
    while last.is_none_or(|last| last + 1 < first + lines) {
        let line = within("the writer to write", said.next_line()).await.unwrap();
        let line = line.unwrap_or_else(|| panic!("the writer ended after {last:?}"));
        last = Some(line.strip_prefix("local ").unwrap().parse::<usize>().unwrap());
    }
    child.start_kill().unwrap();
    within("the writer to be gone", child.wait()).await.unwrap();
    last.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_killed_right_after_local_resolved_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("writer.hither");
    let node = TestNode::start(Arc::new(MemoryLog::new()));
    let mut rng = fastrand::Rng::with_seed(7);
    let mut next = 0;
    for round in 0..12 {
        // By turns without a relay and with one, which acknowledges meanwhile.
        let url = if round % 2 == 0 { NOWHERE.to_owned() } else { node.url() };
        let last = writes_and_is_killed(&url, &file, next, rng.usize(1..40)).await;
        let reader = person_with_disk(NOWHERE, &file).await;
        let log = state(&opens(&reader, "log", None).await).await;
        reader.close().await;
        let lines: Vec<usize> =
            log["log"].as_array().unwrap().iter().map(|line| line.as_u64().unwrap() as usize).collect();
        assert!(lines.len() > last, "round {round}: {last} was on disk, {} lines are there", lines.len());
        assert_eq!(lines, (0..lines.len()).collect::<Vec<_>>(), "round {round}: each once, in order");
        next = lines.len();
        if round % 2 == 1 {
            // What the relay was given before it was on this disk comes back with the log.
            let reader = person_with_disk(&node.url(), &file).await;
            let room = enters(&reader, "log").await;
            within("everything to be durable", room.saved()).await.unwrap();
            let log = state(&room).await;
            reader.close().await;
            next = log["log"].as_array().unwrap().len();
            assert_eq!(
                log["log"],
                json!((0..next).collect::<Vec<usize>>()),
                "round {round}: with the relay's"
            );
        }
    }
    let writer = person_with_disk(&node.url(), &file).await;
    let room = enters(&writer, "log").await;
    within("everything to be durable", room.saved()).await.unwrap();
    let stranger = person(&node.url()).await;
    assert_eq!(state(&enters(&stranger, "log").await).await["log"], json!((0..next).collect::<Vec<usize>>()));
    read_log(&node.url(), "log").await.assert_holds_everything_once();
    node.stop().await;
}
