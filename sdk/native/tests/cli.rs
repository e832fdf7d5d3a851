//! The command line as its users see it: output, errors and exit codes, against a relay.
#![allow(clippy::unwrap_used)]

use hither_relay::config::Config;
use hither_relay::log::MemoryLog;
use hither_relay::server;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(60);

struct Terminal {
    url: String,
}

impl Terminal {
    fn with_relay() -> Terminal {
        let listener = server::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let url = format!("ws://{}/sync", listener.local_addr().unwrap());
        let log = Arc::new(MemoryLog::new());
        tokio::spawn(server::run(listener, Config::default(), log, std::future::pending()));
        Terminal { url }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hither"));
        command.args(arguments).env("HITHER_URL", &self.url).stdin(Stdio::null()).kill_on_drop(true);
        // A relay that answers may take longer than users wait for one.
        command.env("HITHER_WAIT", "50");
        command
    }

    async fn runs(&self, arguments: &[&str]) -> Output {
        tokio::time::timeout(PATIENCE, self.command(arguments).output()).await.unwrap().unwrap()
    }

    async fn json(&self, arguments: &[&str]) -> Json {
        let output = self.runs(arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn does(&self, arguments: &[&str]) {
        let output = self.runs(arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        assert!(
            output.stdout.is_empty() && output.stderr.is_empty(),
            "{arguments:?} says nothing: {output:?}"
        );
    }

    async fn fails(&self, arguments: &[&str], code: i32, words: &str) {
        let output = self.runs(arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
        assert!(output.stdout.is_empty(), "{arguments:?} prints nothing when it fails");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_read_and_written_by_path() {
    let terminal = Terminal::with_relay();
    assert_eq!(terminal.json(&["get", "board"]).await, json!({}));
    terminal.does(&["set", "board", "title", "\"Plans\""]).await;
    terminal.does(&["set", "board", "cards", "[]"]).await;
    terminal.does(&["push", "board", "cards", r#"{"name": "write", "tags": []}"#]).await;
    terminal.does(&["push", "board", "cards/0/tags", "7"]).await;
    terminal.does(&["set", "board", "note", "--text", "Dear all"]).await;
    terminal.does(&["push", "board", "cards", "null"]).await;
    terminal.does(&["delete", "board", "cards/1"]).await;
    let board = json!({ "title": "Plans", "cards": [{ "name": "write", "tags": [7] }], "note": "Dear all" });
    assert_eq!(terminal.json(&["get", "board"]).await, board);
    assert_eq!(terminal.json(&["get", "board", "cards/0/name"]).await, json!("write"));

    terminal.fails(&["get", "board", "nowhere"], 4, "nothing at nowhere").await;
    terminal.fails(&["delete", "board", "cards/9"], 4, "nothing at cards/9").await;
    terminal.fails(&["set", "board", "title", "Plans"], 1, "a string needs its quotes").await;
    terminal.fails(&["push", "board", "title", "1"], 1, "there is no container at /title").await;
    terminal.fails(&["set", "board", "cards/x", "1"], 1, "no place in the list /cards of 1").await;
    terminal.fails(&["frobnicate"], 2, "unrecognized subcommand").await;
    terminal.fails(&["get"], 2, "ROOM").await;
    terminal.fails(&["--wait", "soon", "get", "board"], 2, "no number of seconds").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_exported_and_imported() {
    let terminal = Terminal::with_relay();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("in.json"), r#"{"title": "Plans", "cards": [1, 2]}"#).unwrap();
    terminal.does(&["import", "--json", "one", &file("in.json")]).await;
    terminal.does(&["export", "one", &file("one.yjs")]).await;
    terminal.does(&["import", "two", &file("one.yjs")]).await;
    terminal.does(&["import", "two", &file("one.yjs")]).await; // again: the same content, once
    let expected = json!({ "title": "Plans", "cards": [1, 2] });
    assert_eq!(terminal.json(&["get", "two"]).await, expected);
    assert_eq!(terminal.json(&["export", "--json", "two"]).await, expected);

    std::fs::write(file("bad.yjs"), "this is no update").unwrap();
    terminal.fails(&["import", "two", &file("bad.yjs")], 1, "not a Yjs update").await;
    std::fs::write(file("bad.json"), "[1]").unwrap();
    terminal.fails(&["import", "--json", "two", &file("bad.json")], 1, "no JSON object").await;
    terminal.fails(&["import", "two", &file("absent")], 1, "absent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_room_gives_a_line_for_every_change() {
    let terminal = Terminal::with_relay();
    let mut watch = terminal.command(&["watch", "board", "n"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for n in ["null", "1", "2", "3"] {
        if n != "null" {
            terminal.does(&["set", "board", "n", n]).await;
        }
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(line.as_deref(), Some(n));
    }
    watch.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_file_works_without_the_relay_and_sends_later() {
    let terminal = Terminal::with_relay();
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("me.hither");
    let store = store.to_str().unwrap();
    terminal.does(&["--store", store, "--offline", "set", "board", "title", "\"Plans\""]).await;
    assert_eq!(terminal.json(&["get", "board"]).await, json!({}), "nobody has heard of it");
    assert_eq!(
        terminal.json(&["--store", store, "--offline", "get", "board"]).await,
        json!({"title": "Plans"})
    );
    // Any command that reaches the relay brings it along.
    terminal.does(&["--store", store, "set", "board", "sent", "true"]).await;
    assert_eq!(terminal.json(&["get", "board"]).await, json!({ "title": "Plans", "sent": true }));
    terminal.fails(&["--offline", "get", "board"], 2, "--store").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_whether_the_relay_answers() {
    let terminal = Terminal::with_relay();
    let status = terminal.json(&["status"]).await;
    assert_eq!(status, json!({ "relay": terminal.url, "connection": { "state": "online" } }));
    terminal.does(&["set", "board", "title", "\"Plans\""]).await;
    let status = terminal.json(&["status", "board"]).await;
    assert_eq!(status["room"], "board");
    assert_eq!(status["connection"], json!({ "state": "online" }));
    assert_eq!(status["server"], json!({ "state": "saved" }));
    assert!(status["bytes"].as_u64().unwrap() > 10);

    let nobody = Terminal { url: "ws://127.0.0.1:9/sync".into() };
    for arguments in [&["--wait", "0.2", "status"][..], &["--wait", "0.2", "get", "board"]] {
        nobody.fails(arguments, 3, "no answer from ws://127.0.0.1:9/sync").await;
    }
    let wrong = Terminal { url: "http://127.0.0.1:9/".into() };
    wrong.fails(&["get", "board"], 1, "is no address of a relay").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_help_shows_examples_and_exit_codes() {
    let terminal = Terminal { url: String::new() };
    let help = terminal.runs(&["--help"]).await;
    let text = String::from_utf8(help.stdout).unwrap();
    for words in ["Examples:", "Exit codes:", "hither get board", "--store <FILE>", "HITHER_URL"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
