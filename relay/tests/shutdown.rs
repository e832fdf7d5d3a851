//! The end of a relay: clients are told, what was received is finished, and the process exits with 0.
#![allow(clippy::unwrap_used)]

mod support;

use hither_protocol::frames::RelayFrame;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use support::{SOON, TestRelay, types};

/// [C3]
#[tokio::test]
async fn clients_are_told_when_to_come_back_and_closed_with_a_retry_code() {
    let mut relay = TestRelay::start().await;
    let mut alice = relay.member("r").await;
    let mut yjs = relay.open("/yjs/r", None).await;
    let n = alice.pushes(types(1, 0, "x")).await;
    alice.acked(n).await;
    relay.stop();
    match alice.client.next().await {
        RelayFrame::Goaway { retry_after_ms, jitter_ms } => assert!(retry_after_ms > 0 && jitter_ms > 0),
        other => panic!("{other:?}"),
    }
    assert_eq!(alice.client.raw.closed().await, 4501);
    assert_eq!(yjs.closed().await, 4501);
    relay.stopped().await;
}

fn start(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hither-relay"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ends_within(child: &mut Child, time: Duration) -> i32 {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().expect("not killed");
        }
        if started.elapsed() > time {
            let _ = child.kill();
            panic!("still running after {time:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sigterm_ends_the_process_with_0() {
    let mut relay = start(&["--listen", "127.0.0.1:0", "--store", "memory"]);
    let mut line = String::new();
    BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
    let pid = relay.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(ends_within(&mut relay, SOON), 0);
}

/// As soon as the line can be read: the shell that reads it sends the signal without starting anything in between.
#[test]
fn sigterm_right_behind_the_first_word_is_heard() {
    for _ in 0..20 {
        let script = "coproc R { exec \"$0\" --listen 127.0.0.1:0 --store memory 2>/dev/null; }; pid=$R_PID; \
                      read -r line <&\"${R[0]}\"; kill -TERM $pid; wait $pid";
        let mut shell = Command::new("bash");
        let mut shell = shell.args(["-c", script, env!("CARGO_BIN_EXE_hither-relay")]).spawn().unwrap();
        assert_eq!(ends_within(&mut shell, SOON), 0);
    }
}

/// After an end that is not clean all its clients would read everything afresh: a deploy must not be one.
#[tokio::test]
async fn a_relaxed_relay_that_is_asked_to_end_keeps_the_places_of_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("file:{}", dir.path().display());
    let mut epochs = Vec::new();
    for signal in ["-TERM", "-TERM", "-KILL", "-TERM"] {
        let mut relay = start(&[
            "--listen",
            "127.0.0.1:0",
            "--store",
            &store,
            "--durability",
            "relaxed",
            "--log-filter",
            "off",
        ]);
        let mut line = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        let mut alice = TestRelay::at(address).member("r").await;
        epochs.push(alice.epoch);
        let n = alice.pushes(types(epochs.len() as u64, 0, "x")).await;
        alice.acked(n).await;
        let pid = relay.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        tokio::task::spawn_blocking(move || relay.wait().unwrap()).await.unwrap();
    }
    assert_eq!(epochs[0], epochs[1]);
    assert_eq!(epochs[1], epochs[2]);
    assert_ne!(epochs[2], epochs[3]);
}

/// What takes the CRDT long: everybody begins the same text at once, and each has to find its place among all others.
#[cfg(target_os = "linux")]
const AUTHORS: u64 = 60_000;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn sigterm_during_a_compaction_ends_the_process_and_the_one_that_compacts() {
    use bytes::Bytes;
    use hither_protocol::ids::{Epoch, RoomName};
    use hither_relay::log::{FileLog, RoomLog, file::FileOptions};

    let dir = tempfile::tempdir().unwrap();
    let log = FileLog::open(dir.path(), &FileOptions::default()).unwrap();
    let crowd: Vec<Bytes> = (1..=AUTHORS).map(|author| types(author, 0, "x")).collect();
    log.append(&RoomName::new("r").unwrap(), Epoch([1; 16]), crowd).await.unwrap();
    drop(log);
    let store = format!("file:{}", dir.path().display());
    let mut relay = start(&["--listen", "127.0.0.1:0", "--store", &store]);
    let mut line = String::new();
    BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
    let mut alice = TestRelay::at(address).member("r").await;
    let n = alice.pushes(types(AUTHORS + 1, 0, "x")).await;
    alice.acked(n).await;

    let children = format!("/proc/{0}/task", relay.id());
    let worker = wait_for("a compaction", || {
        let tasks = std::fs::read_dir(&children).unwrap();
        let lists = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")));
        let all: String = lists.filter_map(Result::ok).collect();
        all.split_whitespace().next().map(str::to_owned)
    });
    let pid = relay.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // Ten seconds to say goodbye, two for threads, and some for a busy machine; a compaction may take 65.
    assert_eq!(ends_within(&mut relay, Duration::from_secs(25)), 0);
    wait_for("the compacting process to end", || {
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).ok();
        stat.is_none_or(|stat| stat.contains(") Z ")).then_some(())
    });
}

#[cfg(target_os = "linux")]
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < SOON / 2, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_public_address_without_allow_anonymous_is_refused() {
    let mut relay = start(&["--listen", "0.0.0.0:0", "--store", "memory"]);
    assert_eq!(ends_within(&mut relay, SOON), 1);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut relay.stderr.take().unwrap(), &mut text).unwrap();
    assert!(text.contains("--allow-anonymous"), "{text}");
}

#[test]
fn a_relaxed_store_says_at_start_what_it_costs() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("file:{}", dir.path().display());
    for (durability, warns) in [("synced", false), ("relaxed", true)] {
        let mut relay = start(&[
            "--listen",
            "127.0.0.1:0",
            "--store",
            &store,
            "--durability",
            durability,
            "--log-filter",
            "off",
        ]);
        let mut line = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
        relay.kill().unwrap();
        relay.wait().unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut relay.stderr.take().unwrap(), &mut text).unwrap();
        assert!(text.contains(&format!("durability = {durability}")), "{text}");
        assert_eq!(text.contains("WARNING: durability is relaxed"), warns, "{text}");
    }
}
