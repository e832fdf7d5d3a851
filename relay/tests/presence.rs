//! Presence over real sockets: seen at once, gone with its connection, on both doors.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use hither_protocol::ids::Peer;
use hither_relay::{
    config::Config,
    log::MemoryLog,
    yprotocol::{self, YMessage},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use support::{Raw, SOON, TestRelay};

/// A message of a stock client about itself.
fn awareness(client: u64, clock: u32, state: &str) -> Bytes {
    let mut chunk = Vec::new();
    yprotocol::write_awareness(&mut chunk, [(client, clock, state.as_bytes())].into_iter());
    let (_, header) = hither_protocol::varint::peek(&chunk).unwrap();
    Bytes::from(chunk).slice(header..)
}

/// The next awareness that a stock client hears: ids, clocks and states.
async fn hears(yjs: &mut Raw) -> Vec<(u64, u32, Option<String>)> {
    loop {
        if let YMessage::Awareness(entries) = YMessage::decode(yjs.next().await.unwrap()).unwrap() {
            let text = |state: Bytes| String::from_utf8(state.to_vec()).unwrap();
            return entries.into_iter().map(|one| (one.client, one.clock, one.state.map(text))).collect();
        }
    }
}

/// [E3]
#[tokio::test]
async fn a_leave_is_seen_within_a_second_of_a_closed_socket() {
    let relay = TestRelay::start().await;
    let mut bob = relay.member("r").await;
    let mut quickest = SOON;
    for _ in 0..5 {
        let mut alice = relay.member("r").await;
        alice.shows("\"a\"").await;
        assert_eq!(bob.presence().await, (alice.peer, "\"a\"".into()));
        let (peer, closed) = (alice.peer, Instant::now());
        drop(alice);
        assert_eq!(bob.presence().await, (peer, Bytes::new()));
        quickest = quickest.min(closed.elapsed());
    }
    // A machine that stands still for a moment is in the way of one of them, the relay would be in that of all.
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
}

/// [E3] [H1]
#[tokio::test]
async fn a_leave_is_seen_when_a_socket_has_vanished() {
    let mut config = Config::default();
    // Bob must answer within this on a busy machine, too.
    config.limits.socket.ping_after = Duration::from_secs(1);
    config.limits.socket.gone_after = Duration::from_secs(5);
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let (mut alice, mut bob) = (relay.member("r").await, relay.member("r").await);
    alice.shows("\"a\"").await;
    bob.presence().await;
    // Alice's socket stays open and nobody answers on it any more; Bob answers pings while he listens.
    let vanished = Instant::now();
    assert_eq!(bob.presence().await, (alice.peer, Bytes::new()));
    // Well below what it would be without the limit above.
    assert!(vanished.elapsed() < Duration::from_secs(20), "{:?}", vanished.elapsed());
    bob.client.hears_nothing().await;
}

#[tokio::test]
async fn after_a_hundred_comings_and_goings_nobody_is_left() {
    let relay = TestRelay::start().await;
    let mut bob = relay.member("r").await;
    for visit in 0..100u32 {
        if visit % 2 == 0 {
            let mut guest = relay.member("r").await;
            guest.shows("1").await;
            bob.presence().await;
        } else {
            let mut guest = relay.open("/yjs/r", None).await;
            guest.send(awareness(5_000 + u64::from(visit), 1, "1")).await;
            bob.presence().await;
        }
        assert_eq!(bob.presence().await.1, "", "visit {visit} is over");
    }
    let mut late = relay.member("r").await;
    late.client.hears_nothing().await;
}

/// [Y4]
#[tokio::test]
async fn people_of_both_doors_see_each_other() {
    let relay = TestRelay::start().await;
    let mut alice = relay.member("r").await;
    let mut yjs = relay.open("/yjs/r", None).await;
    alice.shows("{\"name\":\"alice\"}").await;
    assert_eq!(hears(&mut yjs).await, [(alice.peer.0, 1, Some("{\"name\":\"alice\"}".into()))]);
    yjs.send(awareness(77, 3, "{\"name\":\"yjs\"}")).await;
    assert_eq!(alice.presence().await, (Peer(77), "{\"name\":\"yjs\"}".into()));
    assert_eq!(hears(&mut yjs).await, [(77, 3, Some("{\"name\":\"yjs\"}".into()))], "echoed to its sender");
    let mut late = relay.open("/yjs/r", None).await;
    assert_eq!(hears(&mut late).await.len(), 2);
    drop(yjs);
    assert_eq!(alice.presence().await, (Peer(77), Bytes::new()));
    assert_eq!(hears(&mut late).await, [(77, 3, None)]);
    drop(alice);
    assert!(matches!(hears(&mut late).await[..], [(_, _, None)]));
}

/// [Y5]
#[tokio::test]
async fn an_idle_stock_client_hears_something_now_and_then() {
    let mut config = Config::default();
    config.limits.room.renew_interval_ms = 50;
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let mut yjs = relay.open("/yjs/r", None).await;
    for _ in 0..3 {
        assert_eq!(hears(&mut yjs).await, []);
    }
    let mut alice = relay.member("r").await;
    alice.shows("1").await;
    let mut clocks = Vec::new();
    while clocks.len() < 4 {
        clocks.extend(hears(&mut yjs).await.into_iter().map(|(_, clock, _)| clock));
    }
    assert!(clocks.windows(2).all(|pair| pair[0] < pair[1]), "renewed with rising clocks: {clocks:?}");
}

/// [E1]
#[tokio::test]
async fn presence_that_is_not_json_closes_the_connection_before_a_stock_client_must_parse_it() {
    let relay = TestRelay::start().await;
    let mut yjs = relay.open("/yjs/r", None).await;
    let mut alice = relay.member("r").await;
    alice.shows("{oops").await;
    assert_eq!(alice.client.raw.closed().await, 4400);
    let mut bob = relay.member("r").await;
    bob.shows("2").await;
    assert_eq!(hears(&mut yjs).await[0].2.as_deref(), Some("2"));
}
