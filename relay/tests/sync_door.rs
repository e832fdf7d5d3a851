//! Members of `/sync` over real sockets.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use hither_protocol::{
    frames::{ClientFrame, Mode, RelayFrame},
    ids::RoomName,
    limits::{MAX_ROOMS_PER_SOCKET, MAX_UPDATE_BYTES},
};
use hither_relay::{
    config::Config,
    log::{MemoryLog, RoomLog, Snapshot},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use support::{Member, SOON, TestRelay, deletes, types};

/// [P5]
#[tokio::test]
async fn two_members_exchange_updates_and_the_author_gets_an_ack() {
    let relay = TestRelay::start().await;
    let (mut alice, mut bob) = (relay.member("r").await, relay.member("r").await);
    alice.pushes(types(1, 0, "hi")).await;
    assert!(matches!(alice.client.next().await, RelayFrame::Ack { n: 1, seq, .. } if seq.0 == 1));
    assert_eq!(bob.entry().await, (1, types(1, 0, "hi")));
    bob.pushes(types(2, 0, "ho")).await;
    assert_eq!(alice.entry().await, (2, types(2, 0, "ho")));
    assert_eq!(bob.acked(1).await, 2);
}

/// [J3]
#[tokio::test]
async fn a_late_joiner_gets_the_log_from_the_start() {
    let relay = TestRelay::start().await;
    let mut alice = relay.member("r").await;
    for clock in 0..100 {
        alice.pushes(types(1, clock, "x")).await;
    }
    alice.acked(100).await;
    let mut late = relay.member("r").await;
    assert_eq!((late.head, late.mode), (100, Mode::Reset));
    late.reads_to(100).await;
    let seqs: Vec<u64> = late.log.iter().map(|entry| entry.0).collect();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
}

/// [J3]
#[tokio::test]
async fn a_member_that_comes_back_gets_exactly_what_it_missed() {
    let relay = TestRelay::start().await;
    let mut alice = relay.member("r").await;
    let big = "x".repeat(10_000);
    for clock in 0..10 {
        alice.pushes(types(1, clock * 10_000, &big)).await;
    }
    alice.acked(10).await;
    let mut back = relay.member_at("r", Some(alice.cursor(9))).await;
    assert_eq!((back.head, back.mode), (10, Mode::Resumed));
    assert_eq!(back.entry().await.0, 10);
    back.client.hears_nothing().await;
    assert!(back.client.received < 10_300, "one entry's bytes, not ten: {}", back.client.received);
    let mut current = relay.member_at("r", Some(alice.cursor(10))).await;
    assert_eq!(current.mode, Mode::Resumed);
    current.client.hears_nothing().await;
}

/// [P6]
#[tokio::test]
async fn a_push_that_adds_nothing_is_acknowledged_and_not_stored() {
    let relay = TestRelay::start().await;
    let (mut alice, mut bob) = (relay.member("r").await, relay.member("r").await);
    for update in [types(1, 0, "hi"), types(1, 0, "hi"), deletes(1, 0), deletes(1, 0), types(1, 0, "hi")] {
        alice.pushes(update).await;
    }
    assert_eq!(alice.acked(5).await, 2);
    bob.reads_to(2).await;
    bob.client.hears_nothing().await;
    assert_eq!(relay.member("r").await.head, 2);
}

/// [J4]
#[tokio::test]
async fn after_a_compaction_an_old_cursor_gets_a_reset_with_snapshot_and_tail() {
    let log = Arc::new(MemoryLog::new());
    let relay = TestRelay::over(log.clone()).await;
    let mut alice = relay.member("r").await;
    for clock in 0..10 {
        alice.pushes(types(1, clock, "x")).await;
    }
    alice.acked(10).await;
    let snapshot = Snapshot { seq: 8, update: types(1, 0, "xxxxxxxx") };
    log.put_snapshot(&alice.room, alice.epoch, 0, snapshot, 5).await.unwrap();
    relay.stopped().await;

    let relay = TestRelay::over(log).await;
    let mut kept = relay.member_at("r", Some(alice.cursor(5))).await;
    kept.reads_to(10).await;
    assert_eq!((kept.mode, kept.log.len()), (Mode::Resumed, 5));
    let mut old = relay.member_at("r", Some(alice.cursor(4))).await;
    old.reads_to(10).await;
    let seqs: Vec<u64> = old.log.iter().map(|entry| entry.0).collect();
    assert_eq!((old.mode, seqs), (Mode::Reset, vec![8, 9, 10]));
}

/// [D3]
#[tokio::test]
async fn a_peer_that_does_not_read_falls_back_to_the_log_and_misses_nothing() {
    let mut config = Config::default();
    config.limits.socket.queue_bytes = 64 * 1024;
    config.limits.socket.low_water_bytes = 16 * 1024;
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let (mut slow, mut alice) = (relay.member("r").await, relay.member("r").await);
    // Far more than both kernels buffer, while `slow` reads nothing.
    let text = "x".repeat(200_000);
    for clock in 0..100 {
        alice.pushes(types(1, clock * 200_000, &text)).await;
        slow.pushes(types(2, clock, "y")).await;
    }
    alice.acked(100).await;
    slow.acked(100).await;
    let head = relay.member("r").await.head;
    assert_eq!(head, 200);
    // Whose entry became the last one is chance: what counts is that all of hers come.
    let hers = |log: &[(u64, Bytes)]| log.iter().filter(|(_, update)| update.len() > 1_000).count();
    while hers(&slow.log) < 100 {
        if let RelayFrame::Update { seq, update, .. } = slow.client.next().await {
            slow.log.push((seq.0, update));
        }
    }
    assert!(slow.log.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, none twice");
}

/// [T6]
#[tokio::test]
async fn a_large_update_travels_in_fragments_both_ways() {
    let relay = TestRelay::start().await;
    let (mut alice, mut bob) = (relay.member("r").await, relay.member("r").await);
    let update = types(1, 0, &"x".repeat(3_000_000));
    alice.client.raw.push_in_messages(alice.channel, 1, &update).await;
    assert_eq!(alice.acked(1).await, 1);
    assert_eq!(bob.entry().await, (1, update));
}

/// [J2]
#[tokio::test]
async fn one_socket_carries_many_rooms_and_leaves_them_one_by_one() {
    let relay = TestRelay::start().await;
    let alice = relay.member("a").await;
    let first = alice.channel;
    let mut both = Member::join(alice.client, "b", None).await;
    let mut bob = relay.member("b").await;
    bob.pushes(types(2, 0, "b")).await;
    assert_eq!(both.entry().await.0, 1);
    both.client.say(&ClientFrame::Leave { channel: first }).await;
    bob.pushes(types(2, 1, "b")).await;
    assert_eq!(both.entry().await.0, 2);
    both.client.say(&ClientFrame::Leave { channel: first }).await;
    assert_eq!(both.client.raw.closed().await, 4401, "it has left already");
}

#[tokio::test]
async fn rooms_of_a_connection_are_accepted_at_the_limit_and_refused_one_past_it() {
    let relay = TestRelay::start().await;
    let mut client = relay.client().await;
    for index in 0..=MAX_ROOMS_PER_SOCKET {
        let room = RoomName::new(&format!("r{index}")).unwrap();
        client.say(&ClientFrame::Join { room, token: Bytes::new(), cursor: None }).await;
    }
    let (mut joined, mut refused) = (0, 0);
    while joined + refused <= MAX_ROOMS_PER_SOCKET {
        match client.next().await {
            RelayFrame::Joined(_) => joined += 1,
            RelayFrame::Refused { code: 4429, .. } => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((joined, refused), (MAX_ROOMS_PER_SOCKET, 1));
}

#[tokio::test]
async fn members_of_a_room_are_accepted_at_the_limit_and_refused_one_past_it() {
    let mut config = Config::default();
    config.limits.node.members_per_room = 2;
    config.limits.node.rooms = 1;
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let (_alice, _bob) = (relay.member("r").await, relay.member("r").await);
    let mut carol = relay.client().await;
    for room in ["r", "another"] {
        let room = RoomName::new(room).unwrap();
        carol.say(&ClientFrame::Join { room, token: Bytes::new(), cursor: None }).await;
        assert!(matches!(carol.next().await, RelayFrame::Refused { code: 4502, .. }));
    }
}

#[tokio::test]
async fn rooms_that_nobody_is_in_are_in_nobodys_way() {
    let mut config = Config::default();
    config.limits.node.rooms = 3;
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let _alice = relay.member("r").await;
    let mut visitor = relay.client().await;
    let mut channels = Vec::new();
    // All of them would linger for ten seconds.
    for index in 0..20 {
        let room = RoomName::new(&format!("r{index}")).unwrap();
        visitor.say(&ClientFrame::Join { room, token: Bytes::new(), cursor: None }).await;
        match visitor.next().await {
            RelayFrame::Joined(joined) => channels.push(joined.channel),
            other => panic!("room {index}: {other:?}"),
        }
        if index > 0 {
            visitor.say(&ClientFrame::Leave { channel: channels.remove(0) }).await;
        }
    }
    let _bob = relay.member("r").await;
    let mut carol = relay.client().await;
    for _ in 0..2 {
        let room = RoomName::new("another").unwrap();
        carol.say(&ClientFrame::Join { room, token: Bytes::new(), cursor: None }).await;
        match carol.next().await {
            RelayFrame::Joined(joined) => carol.say(&ClientFrame::Leave { channel: joined.channel }).await,
            other => panic!("{other:?}"),
        }
    }
    // "r" has people, one of the visitor's has her, and now this one has its owner.
    let _dave = relay.member("daves").await;
    let room = RoomName::new("one too many").unwrap();
    carol.say(&ClientFrame::Join { room, token: Bytes::new(), cursor: None }).await;
    assert!(matches!(carol.next().await, RelayFrame::Refused { code: 4502, .. }));
}

/// [P2]
#[tokio::test]
async fn an_update_is_accepted_at_the_limit_and_nacked_one_past_it() {
    let relay = TestRelay::start().await;
    let mut alice = relay.member("r").await;
    let sized = |client: u64, bytes: usize| {
        let around = types(client, 0, &"x".repeat(3_000_000)).len() - 3_000_000;
        types(client, 0, &"x".repeat(bytes - around))
    };
    let largest = sized(1, MAX_UPDATE_BYTES);
    assert_eq!(largest.len(), MAX_UPDATE_BYTES);
    alice.client.raw.push_in_messages(alice.channel, 1, &largest).await;
    assert_eq!(alice.acked(1).await, 1);
    alice.client.raw.push_in_messages(alice.channel, 2, &sized(2, MAX_UPDATE_BYTES + 1)).await;
    assert!(matches!(alice.client.next().await, RelayFrame::Nack { n: 2, code: 4404, .. }));
    alice.pushed = 2;
    alice.pushes(types(3, 0, "behind")).await;
    alice.client.hears_nothing().await;
    assert_eq!(relay.member("r").await.head, 1);
}

#[tokio::test]
async fn a_room_that_nobody_is_in_is_forgotten_and_found_again_in_the_log() {
    let mut config = Config::default();
    config.limits.node.linger = Duration::from_millis(20);
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let mut alice = relay.member("r").await;
    alice.pushes(types(1, 0, "x")).await;
    alice.acked(1).await;
    let (channel, epoch) = (alice.channel, alice.epoch);
    drop(alice);
    let left = Instant::now();
    let again = loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let again = relay.member("r").await;
        // Another room in memory; as long as it is the same one, the relay has not seen yet that nobody is in it.
        if again.channel != channel {
            break again;
        }
        assert!(left.elapsed() < SOON, "the room is not forgotten");
    };
    assert_eq!((again.epoch, again.head), (epoch, 1), "over the same log");
}
