//! An acknowledgement means durable: with a log that waits, fails, or fails after all.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use hither_protocol::{
    frames::ClientFrame,
    ids::{Epoch, Peer, RoomName},
};
use hither_relay::{
    config::Config,
    log::{FileLog, Head, LogError, LogFuture, MemoryLog, Page, RoomLog, Snapshot, file::FileOptions},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use support::{Member, SOON, TestRelay, types};
use tokio::sync::Semaphore;

/// What happens to the next append.
enum Fate {
    /// It becomes durable when the test lets it.
    Held,
    /// It fails and is not in the log.
    Fails,
    /// It fails and is in the log.
    FailsLate,
}

/// A log whose appends the test decides about.
#[derive(Clone)]
struct Fickle {
    log: MemoryLog,
    fates: Arc<Mutex<VecDeque<Fate>>>,
    release: Arc<Semaphore>,
}

impl Fickle {
    fn new(fates: impl IntoIterator<Item = Fate>) -> Fickle {
        let fates = Arc::new(Mutex::new(fates.into_iter().collect()));
        Fickle { log: MemoryLog::new(), fates, release: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until so many fates are left.
    async fn has_left(&self, fates: usize) {
        let asked = async {
            while self.fates.lock().unwrap().len() > fates {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, asked).await.expect("an append in time");
    }
}

impl RoomLog for Fickle {
    fn head<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, Option<Head>> {
        self.log.head(room)
    }

    fn append<'a>(&'a self, room: &'a RoomName, epoch: Epoch, entries: Vec<Bytes>) -> LogFuture<'a, u64> {
        let fate = self.fates.lock().unwrap().pop_front();
        Box::pin(async move {
            match fate {
                None => {}
                Some(Fate::Held) => self.release.acquire().await.unwrap().forget(),
                Some(Fate::Fails) => return Err(LogError::unavailable("the disk is full")),
                Some(Fate::FailsLate) => {
                    self.log.append(room, epoch, entries).await?;
                    return Err(LogError::unavailable("the answer was lost"));
                }
            }
            self.log.append(room, epoch, entries).await
        })
    }

    fn read<'a>(&'a self, room: &'a RoomName, epoch: Epoch, after: u64, max: usize) -> LogFuture<'a, Page> {
        self.log.read(room, epoch, after, max)
    }

    fn snapshot<'a>(&'a self, room: &'a RoomName, epoch: Epoch) -> LogFuture<'a, Option<Snapshot>> {
        self.log.snapshot(room, epoch)
    }

    fn put_snapshot<'a>(
        &'a self,
        room: &'a RoomName,
        epoch: Epoch,
        replaces: u64,
        snapshot: Snapshot,
        floor: u64,
    ) -> LogFuture<'a, ()> {
        self.log.put_snapshot(room, epoch, replaces, snapshot, floor)
    }

    fn delete<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, bool> {
        self.log.delete(room)
    }

    fn rooms<'a>(&'a self, after: Option<&'a RoomName>, max: usize) -> LogFuture<'a, Vec<RoomName>> {
        self.log.rooms(after, max)
    }
}

/// [P4]
#[tokio::test]
async fn neither_ack_nor_update_leaves_before_the_log_has_said_durable() {
    let log = Fickle::new([Fate::Held]);
    let relay = TestRelay::over(Arc::new(log.clone())).await;
    let (mut alice, mut bob) = (relay.member("r").await, relay.member("r").await);
    alice.pushes(types(1, 0, "x")).await;
    alice.client.hears_nothing().await;
    bob.client.hears_nothing().await;
    log.release.add_permits(1);
    assert_eq!(alice.acked(1).await, 1);
    assert_eq!(bob.entry().await.0, 1);
}

/// [P7]
#[tokio::test]
async fn a_failed_append_closes_its_author_with_a_retry_code_and_nothing_behind_it_is_stored() {
    let log = Fickle::new([Fate::Held, Fate::Fails]);
    let relay = TestRelay::over(Arc::new(log.clone())).await;
    let (mut alice, mut bob) = (relay.member("r").await, relay.member("r").await);
    bob.pushes(types(2, 0, "b")).await;
    log.has_left(1).await;
    // In one message: none of them is still on its way when the first one fails.
    let mut pushes = Vec::new();
    for clock in 0..3u32 {
        let (channel, n) = (alice.channel, u64::from(clock) + 1);
        ClientFrame::Push { channel, n, update: types(1, clock, "x") }.encode(&mut pushes);
    }
    alice.client.raw.send(pushes).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    log.release.add_permits(1);
    assert_eq!(alice.client.raw.closed().await, 4500);
    assert_eq!(bob.acked(1).await, 1);
    bob.client.hears_nothing().await;
    let mut again = relay.member_at("r", Some(alice.cursor(0))).await;
    assert_eq!(again.head, 1);
    again.pushes(types(1, 0, "xxx")).await;
    assert_eq!(again.acked(1).await, 2, "what was lost is stored when it comes again");
    assert_eq!(bob.entry().await, (2, types(1, 0, "xxx")));
}

/// The socket of a member joins another room and shows somebody there; returns who sees it, and whom.
async fn shows_itself_elsewhere(relay: &TestRelay, member: &mut Member) -> (Member, Peer) {
    let mut bob = relay.member("others").await;
    let room = RoomName::new("others").unwrap();
    member.client.say(&ClientFrame::Join { room, token: Bytes::new(), cursor: None }).await;
    let shown = Bytes::from_static(b"\"here\"");
    member.client.say(&ClientFrame::Presence { channel: bob.channel, state: shown.clone() }).await;
    let (peer, state) = bob.presence().await;
    assert_eq!(state, shown);
    (bob, peer)
}

/// Bounded as a whole: the pings that come meanwhile are no news.
async fn is_told_of_the_end(bob: &mut Member, peer: Peer) {
    let told = tokio::time::timeout(SOON, bob.presence()).await.expect("the end in time");
    assert_eq!(told, (peer, Bytes::new()));
}

/// [E3] What the relay owes to a socket that takes nothing must not keep it, and whoever is behind it, alive.
#[tokio::test]
async fn a_socket_that_is_to_be_closed_and_takes_nothing_is_gone_all_the_same() {
    let mut config = Config::default();
    config.limits.socket.queue_bytes = 64 * 1024;
    config.limits.socket.in_flight_bytes = 1_000;
    config.limits.socket.ping_after = Duration::from_secs(2);
    config.limits.socket.gone_after = Duration::from_secs(6);
    let log = Fickle::new([]);
    let relay = TestRelay::with(Arc::new(log.clone()), config).await;
    let (mut stuck, mut alice) = (relay.member("r").await, relay.member("r").await);
    let (mut bob, peer) = shows_itself_elsewhere(&relay, &mut stuck).await;
    // Far more than both kernels buffer, while nobody reads it.
    let text = "x".repeat(200_000);
    for clock in 0..100 {
        alice.pushes(types(1, clock * 200_000, &text)).await;
        stuck.client.say(&ClientFrame::Pong { nonce: 0 }).await;
    }
    alice.acked(100).await;
    log.fates.lock().unwrap().push_back(Fate::Fails);
    // More than it may have in flight, and never settled: the room closes its author.
    stuck.pushes(types(2, 0, &"y".repeat(2_000))).await;
    is_told_of_the_end(&mut bob, peer).await;
}

/// [E3]
#[tokio::test]
async fn a_socket_that_is_to_be_closed_and_takes_a_little_at_a_time_is_gone_all_the_same() {
    let mut config = Config::default();
    // All of it is queued.
    config.limits.socket.queue_bytes = 64 * 1024 * 1024;
    config.limits.socket.ping_after = Duration::from_secs(2);
    config.limits.socket.gone_after = Duration::from_secs(6);
    let log = Fickle::new([]);
    let relay = TestRelay::with(Arc::new(log.clone()), config).await;
    let (mut slow, mut alice) = (relay.member("r").await, relay.member("r").await);
    let (mut bob, peer) = shows_itself_elsewhere(&relay, &mut slow).await;
    let text = "x".repeat(200_000);
    for clock in 0..200 {
        alice.pushes(types(1, clock * 200_000, &text)).await;
    }
    alice.acked(200).await;
    log.fates.lock().unwrap().push_back(Fate::Fails);
    slow.pushes(types(2, 0, "y")).await;
    // 40 MB take it two minutes; it never stands still for long.
    let taking = tokio::spawn(async move {
        while slow.client.raw.next().await.is_ok() {
            slow.client.say(&ClientFrame::Pong { nonce: 0 }).await;
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
    });
    is_told_of_the_end(&mut bob, peer).await;
    taking.abort();
}

/// [E3] [H1]
#[tokio::test]
async fn a_socket_that_talks_and_takes_nothing_is_gone() {
    let mut config = Config::default();
    config.limits.socket.ping_after = Duration::from_secs(2);
    config.limits.socket.gone_after = Duration::from_secs(6);
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let (mut stuck, mut alice) = (relay.member("r").await, relay.member("r").await);
    let (mut bob, peer) = shows_itself_elsewhere(&relay, &mut stuck).await;
    let talking = tokio::spawn(async move {
        loop {
            stuck.client.say(&ClientFrame::Pong { nonce: 0 }).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let text = "x".repeat(200_000);
    for clock in 0..100 {
        alice.pushes(types(1, clock * 200_000, &text)).await;
    }
    alice.acked(100).await;
    is_told_of_the_end(&mut bob, peer).await;
    talking.abort();
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_found_in_the_log_and_not_stored_twice() {
    let log = Fickle::new([Fate::FailsLate]);
    let relay = TestRelay::over(Arc::new(log)).await;
    let (mut alice, mut bob) = (relay.member("r").await, relay.member("r").await);
    alice.pushes(types(1, 0, "x")).await;
    assert_eq!(alice.client.raw.closed().await, 4500);
    assert_eq!(bob.entry().await.0, 1);
    let mut again = relay.member("r").await;
    again.pushes(types(1, 0, "x")).await;
    assert_eq!(again.acked(1).await, 1);
}

#[tokio::test]
async fn a_store_that_is_slow_stops_the_relay_from_reading_more_and_loses_nothing() {
    let log = Fickle::new([Fate::Held]);
    let mut config = Config::default();
    config.limits.socket.in_flight_bytes = 100_000;
    let relay = TestRelay::with(Arc::new(log.clone()), config).await;
    let mut alice = relay.member("r").await;
    let text = "x".repeat(50_000);
    let writer = async {
        for clock in 0..400 {
            alice.pushes(types(1, clock * 50_000, &text)).await;
        }
    };
    let stuck = tokio::time::timeout(Duration::from_millis(700), writer).await;
    assert!(stuck.is_err(), "20 MB were taken in while nothing was stored");
    log.release.add_permits(1);
    let n = alice.pushed - 1;
    assert_eq!(alice.acked(n.min(2)).await.min(2), 2);
}

#[tokio::test]
async fn a_store_that_failed_for_good_ends_the_relay_and_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let log = FileLog::open(folder.path(), &FileOptions::default()).unwrap();
    let log = Arc::new(log);
    let mut relay = TestRelay::over(log.clone()).await;
    let mut alice = relay.member("r").await;
    let n = alice.pushes(types(1, 0, "kept")).await;
    alice.acked(n).await;
    log.break_next_commit();
    alice.pushes(types(1, 4, "lost")).await;
    assert_eq!(alice.client.raw.closed().await, 4500);
    let ended = tokio::time::timeout(SOON, relay.running.take().unwrap()).await;
    assert!(ended.unwrap().unwrap().is_err());

    // What another process would find: this one still holds the directory's lock.
    let found = folder.path().join("found");
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    std::fs::create_dir(&found).unwrap();
    assert!(std::process::Command::new("cp").arg("-r").args(files).arg(&found).status().unwrap().success());
    let log = FileLog::open(&found, &FileOptions::default()).unwrap();
    let relay = TestRelay::over(Arc::new(log)).await;
    let mut bob = relay.member("r").await;
    assert_eq!(bob.entry().await, (1, types(1, 0, "kept")));
}
