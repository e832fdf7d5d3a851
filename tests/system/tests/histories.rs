//! Real input: what people typed once is typed again, one client for each author, through a real relay into other
//! clients; the text at the end is the text that they had. `HITHER_HISTORIES` names the folder of the recordings.
#![allow(clippy::unwrap_used)]

use hither_client::Room;
use hither_system_tests::history::History;
use hither_system_tests::people::{enters, opens, person, person_with_disk};
use hither_system_tests::process::RelayProcess;
use hither_system_tests::typing::{text, types};
use serde_json::json;
use std::time::{Duration, Instant};

/// Nobody listens there.
const NOWHERE: &str = "ws://127.0.0.1:9/sync";

/// How long a reader may need to catch up with a quarter of a million edits.
const LONG: Duration = Duration::from_secs(240);

async fn becomes(room: &Room, expected: &str) {
    let mut changes = room.watch();
    let seen = tokio::time::timeout(LONG, async {
        while text(room).await != expected {
            changes.changed().await.unwrap();
            // The text is long and changes often: look again when the next changes have gathered.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    if seen.await.is_err() {
        panic!("the reader has {} bytes instead of {}", text(room).await.len(), expected.len());
    }
}

/// Authors type, another client reads along; then everything is started again from disk.
async fn arrives_as_it_was_written(history: History) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut relay = RelayProcess::start(env!("CARGO_BIN_EXE_system-relay"), &data).await;
    let url = relay.url();
    let file = dir.path().join("reader.hither");
    let reader = person_with_disk(&url, &file).await;
    let page = opens(&reader, "paper", Some(json!({ "text": { "text": "" } }))).await;

    let began = Instant::now();
    let (authors, end) = types(&url, "paper", dir.path(), &history).await;
    println!("{}: {} edits typed and durable after {:?}", history.origin, history.edits(), began.elapsed());
    becomes(&page, &end).await;
    println!("{}: read after {:?}", history.origin, began.elapsed());

    let mut files = vec![file];
    for author in authors {
        author.client.close().await;
        files.push(author.file);
    }
    reader.close().await;
    relay.kill().await;
    relay.restart().await;
    let stranger = person(&url).await;
    assert!(text(&enters(&stranger, "paper").await).await == end, "another text from the relay's disk");
    for file in files {
        let client = person_with_disk(NOWHERE, &file).await;
        let text = text(&opens(&client, "paper", None).await).await;
        assert!(text == end, "another text from {}", file.display());
        client.close().await;
    }
    println!("{}: everything restarted after {:?}", history.origin, began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paper_of_a_quarter_million_edits_arrives_as_it_was_written() {
    arrives_as_it_was_written(History::recorded_or_generated("automerge-paper")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_edited_with_several_cursors_arrives_as_it_was_written() {
    arrives_as_it_was_written(History::recorded_or_generated("sveltecomponent")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_who_type_at_once_get_the_text_that_they_got() {
    arrives_as_it_was_written(History::recorded_or_generated("friendsforever")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_histories_stand_in_for_recorded_ones() {
    arrives_as_it_was_written(History::generated(4, 3_000)).await;
    arrives_as_it_was_written(History::generated_pair(5, 2_000)).await;
}
