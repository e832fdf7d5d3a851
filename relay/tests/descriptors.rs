//! A process that may open few files: it takes in fewer connections, and the store has what it needs.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use support::{SOON, TestRelay, types};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A relay that begins under these limits of open files.
struct Limited {
    child: Child,
    relay: TestRelay,
    /// How many connections it says that it takes in.
    connections: usize,
}

impl Limited {
    fn start(ulimit: &str, dir: &Path) -> Limited {
        let mut child = shell(ulimit, dir).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        let said =
            errors.find_map(|line| line.unwrap().strip_prefix("max-connections = ").map(str::to_owned));
        // Somebody has to read the rest.
        std::thread::spawn(move || errors.for_each(drop));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("it listens").parse().unwrap();
        let connections = said.unwrap().split(' ').next().unwrap().parse().unwrap();
        Limited { child, relay: TestRelay::at(address), connections }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shell(ulimit: &str, dir: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit {ulimit} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_hither-relay")])
        .args(["--listen", "127.0.0.1:0", "--store", &format!("file:{}", dir.display())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

#[tokio::test]
async fn more_clients_than_descriptors_stay_outside_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut limited = Limited::start("-n 256", dir.path());
    let relay = &limited.relay;
    let mut alice = relay.member("r").await;
    let mut inside = Vec::new();
    for _ in 1..limited.connections {
        inside.push(tokio::time::timeout(SOON, relay.client()).await.expect("there is room"));
    }
    assert_eq!(readiness(relay.address).await, "503", "it is full");
    let mut outside = Vec::new();
    for _ in 0..300 {
        outside.push(TcpStream::connect(relay.address).await.unwrap());
    }

    // Enough that the store writes tables and begins new journals.
    let mut clock = 0;
    for _ in 0..40 {
        let mut n = 0;
        for _ in 0..20 {
            n = alice.pushes(types(1, clock, &"x".repeat(60_000))).await;
            clock += 60_000;
        }
        alice.acked(n).await;
    }
    assert!(limited.child.try_wait().unwrap().is_none(), "it lives");
    // Others come in when these leave.
    drop((inside, outside));
    let is_ready = async {
        while readiness(relay.address).await != "200" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, is_ready).await.expect("there is room again");
    tokio::time::timeout(SOON, relay.client()).await.expect("for a client, too");
}

/// The status of `/readyz`.
async fn readiness(address: SocketAddr) -> String {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    tokio::time::timeout(SOON, ask).await.unwrap()
}

#[tokio::test]
async fn the_limit_is_raised_to_what_the_process_may_have() {
    let dir = tempfile::tempdir().unwrap();
    let limited = Limited::start("-S -n 64 && ulimit -H -n 512", dir.path());
    assert_eq!(limited.connections, 512 - 64 - 192);
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(tokio::time::timeout(SOON, limited.relay.client()).await.expect("there is room"));
    }
}

#[test]
fn too_few_descriptors_for_the_store_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = shell("-n 100", dir.path()).spawn().unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > SOON {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(1));
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("100 files open") && text.contains("ulimit -n"), "{text}");
}
