//! A relay that lost its disk, or runs on an older copy of it, is healed by the people who come back to it.
#![allow(clippy::unwrap_used)]

use hither_client::Room;
use hither_system_tests::people::{agree, enters, opens, person, person_with_disk, sees, state, within};
use hither_system_tests::process::{Launch, RelayProcess};
use hither_system_tests::raw::read_log;
use serde_json::json;
use std::path::Path;
use std::process::Command;

const RELAY: &str = env!("CARGO_BIN_EXE_system-relay");

/// The relay dies, and so does its disk.
async fn loses_its_disk(relay: &mut RelayProcess, data: &Path) {
    relay.kill().await;
    std::fs::remove_dir_all(data).unwrap();
    relay.restart().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_know_different_things_bring_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut relay = RelayProcess::start(RELAY, &data).await;
    let url = relay.url();
    let (anna, bert) = (person(&url).await, person_with_disk(&url, &dir.path().join("bert.hither")).await);
    let initial = json!({ "lines": [], "note": { "text": "" } });
    let at_annas = opens(&anna, "diary", Some(initial.clone())).await;
    let at_berts = opens(&bert, "diary", Some(initial)).await;
    at_annas.change(|draft| draft.push("lines", "both know this")).await.unwrap().server().await.unwrap();
    sees(&at_berts, "the first line", |state| state["lines"] == json!(["both know this"])).await;

    // Bert is away: what Anna writes now only she and the relay know, what he writes only he knows.
    bert.disconnect().await.unwrap();
    at_annas.change(|draft| draft.push("lines", "anna and the relay")).await.unwrap().server().await.unwrap();
    at_annas
        .change(|draft| {
            draft.append("note", "a long note")?;
            draft.splice_text("note", 2, 5, "") // deletions are healed, too
        })
        .await
        .unwrap()
        .server()
        .await
        .unwrap();
    at_berts.change(|draft| draft.push("lines", "bert alone")).await.unwrap().local().await.unwrap();

    loses_its_disk(&mut relay, &data).await;
    at_annas.change(|draft| draft.push("lines", "anna, afterwards")).await.unwrap();
    anna.network_changed().await.unwrap();
    within("Anna to heal the relay", at_annas.saved()).await.unwrap();
    bert.connect().await.unwrap();
    within("Bert to bring the rest", at_berts.saved()).await.unwrap();

    let healed = agree(&[&at_annas, &at_berts]).await;
    let mut lines: Vec<&str> =
        healed["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["anna and the relay", "anna, afterwards", "bert alone", "both know this"]);
    assert_eq!(healed["note"], "a note");
    let stranger = person(&url).await;
    assert_eq!(state(&enters(&stranger, "diary").await).await, healed, "the relay has all of it");
    read_log(&url, "diary").await.assert_holds_everything_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_knows_less_may_come_back_first() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut relay = RelayProcess::start(RELAY, &data).await;
    let url = relay.url();
    let (more, less) = (person(&url).await, person(&url).await);
    let at_more = opens(&more, "diary", Some(json!({ "lines": [] }))).await;
    let at_less = opens(&less, "diary", Some(json!({ "lines": [] }))).await;
    for n in 0..50 {
        if n == 20 {
            sees(&at_less, "twenty lines", |state| state["lines"].as_array().unwrap().len() == 20).await;
            less.disconnect().await.unwrap();
        }
        at_more.change(move |draft| draft.push("lines", f64::from(n))).await.unwrap().server().await.unwrap();
    }
    more.disconnect().await.unwrap();
    loses_its_disk(&mut relay, &data).await;

    less.connect().await.unwrap();
    within("the one who knows less to be back", at_less.synced()).await.unwrap();
    within("the one who knows less to heal", at_less.saved()).await.unwrap();
    more.connect().await.unwrap();
    let expected = json!((0..50).collect::<Vec<i32>>());
    sees(&at_less, "all fifty lines", |state| state["lines"] == expected).await;
    within("everything to be durable", at_more.saved()).await.unwrap();
    let stranger = person(&url).await;
    assert_eq!(state(&enters(&stranger, "diary").await).await["lines"], expected);
    read_log(&url, "diary").await.assert_holds_everything_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_restarted_heals_from_its_disk() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("anna.hither");
    let mut relay = RelayProcess::start(RELAY, &data).await;
    let url = relay.url();
    let anna = person_with_disk(&url, &file).await;
    let room = opens(&anna, "diary", Some(json!({ "lines": [] }))).await;
    for n in 0..100 {
        room.change(move |draft| draft.push("lines", f64::from(n))).await.unwrap();
    }
    within("a hundred lines to be durable", room.saved()).await.unwrap();
    anna.close().await;
    loses_its_disk(&mut relay, &data).await;

    let anna = person_with_disk(&url, &file).await;
    let room = enters(&anna, "diary").await;
    within("the disk's content to be durable", room.saved()).await.unwrap();
    let stranger = person(&url).await;
    let expected = json!((0..100).collect::<Vec<i32>>());
    let elsewhere = enters(&stranger, "diary").await;
    sees(&elsewhere, "a hundred lines", |state| state["lines"] == expected).await;
    read_log(&url, "diary").await.assert_holds_everything_once();
}

fn copies(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--sparse=always"]).arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Everybody's log goes on from an old state; Anna's cursor is in the middle of what others wrote instead of what was lost.
async fn a_backup_is_put_back(puts_back: impl AsyncFnOnce(&mut RelayProcess, &Path, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    let mut relay = RelayProcess::start(RELAY, &data).await;
    let url = relay.url();
    let (anna, bert) = (person(&url).await, person(&url).await);
    let at_annas = opens(&anna, "diary", Some(json!({ "lines": [] }))).await;
    let at_berts = opens(&bert, "diary", Some(json!({ "lines": [] }))).await;
    let writes = async |room: &Room, who: &'static str, numbers: std::ops::Range<u32>| {
        for n in numbers {
            let line = format!("{who} {n}");
            room.change(move |draft| draft.push("lines", line)).await.unwrap().server().await.unwrap();
        }
    };
    writes(&at_annas, "anna", 0..10).await;
    sees(&at_berts, "ten lines", |state| state["lines"].as_array().unwrap().len() == 10).await;
    relay.kill().await;
    copies(&data, &backup);
    relay.restart().await;
    bert.disconnect().await.unwrap();
    anna.network_changed().await.unwrap();
    writes(&at_annas, "anna", 10..20).await;
    anna.disconnect().await.unwrap();

    relay.kill().await;
    puts_back(&mut relay, &data, &backup).await;
    bert.connect().await.unwrap();
    // Past everything that Anna has read.
    writes(&at_berts, "bert", 0..15).await;
    anna.connect().await.unwrap();
    within("Anna to bring back what the relay lacks", at_annas.saved()).await.unwrap();
    let all = |state: &serde_json::Value| state["lines"].as_array().unwrap().len() == 35;
    sees(&at_annas, "all of Bert's lines", all).await;
    sees(&at_berts, "all of Anna's lines", all).await;
    let healed = agree(&[&at_annas, &at_berts]).await;
    let stranger = person(&url).await;
    assert_eq!(state(&enters(&stranger, "diary").await).await, healed, "the relay has all of it");
    read_log(&url, "diary").await.assert_holds_everything_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_was_copied_from_a_backup_is_healed() {
    a_backup_is_put_back(async |relay, data, backup| {
        std::fs::remove_dir_all(data).unwrap();
        copies(backup, data);
        relay.restart().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_backup_over_those_that_were_there_are_healed_when_it_is_said() {
    a_backup_is_put_back(async |relay, data, backup| {
        // As a volume's roll-back: nothing but the content is another.
        for folder in ["", "log"] {
            for file in std::fs::read_dir(data.join(folder)).unwrap().map(|file| file.unwrap().path()) {
                let is_dir = file.is_dir();
                match file.file_name().unwrap().to_str().unwrap() {
                    "log" => {}
                    _ if is_dir => std::fs::remove_dir_all(file).unwrap(),
                    _ => std::fs::remove_file(file).unwrap(),
                }
            }
        }
        let copied = Command::new("cp").args(["-a", "--sparse=always", "-T"]).arg(backup).arg(data).status();
        assert!(copied.unwrap().success());
        relay.relaunch(Launch::of(RELAY, data).with(&["--restored"])).await;
    })
    .await;
}
