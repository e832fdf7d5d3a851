//! The door for stock clients, spoken to in their words byte by byte. The clients themselves are tried in the
//! interop tests.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use hither_relay::{
    config::Config,
    log::MemoryLog,
    yprotocol::{self, StateVector, YMessage},
};
use std::{sync::Arc, time::Duration};
use support::{Raw, SOON, TestRelay, deletes, types};
use tokio::io::AsyncWriteExt;

async fn say(raw: &mut Raw, write: impl FnOnce(&mut Vec<u8>)) {
    let mut chunk = Vec::new();
    write(&mut chunk);
    let (_, header) = hither_protocol::varint::peek(&chunk).unwrap();
    raw.send(Bytes::from(chunk).slice(header..)).await;
}

async fn hear(raw: &mut Raw) -> YMessage {
    YMessage::decode(raw.next().await.unwrap()).unwrap()
}

/// Asks with a state vector; returns the updates, the deletions of step 2 and the relay's own vector.
async fn sync(raw: &mut Raw, vector: &StateVector) -> (Vec<Bytes>, Bytes, StateVector) {
    say(raw, |out| yprotocol::write_step1(out, vector)).await;
    let mut updates = Vec::new();
    let last = loop {
        match hear(raw).await {
            YMessage::Update(update) => updates.push(update),
            YMessage::Step2(update) => break update,
            other => panic!("{other:?}"),
        }
    };
    match hear(raw).await {
        YMessage::Step1(vector) => (updates, last, vector),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_room_name_may_hold_slashes_blanks_and_anything_else() {
    let relay = TestRelay::start().await;
    let mut alice = relay.member("team/ä b/notes%").await;
    let mut yjs = relay.open("/yjs/team/%C3%A4%20b%2Fnotes%25", None).await;
    say(&mut yjs, |out| yprotocol::write_update(out, &types(1, 0, "hi"))).await;
    assert_eq!(alice.entry().await.1, types(1, 0, "hi"));
}

#[tokio::test]
async fn a_stock_client_gets_all_content_before_step_2_and_is_asked_for_what_the_log_lacks() {
    let relay = TestRelay::start().await;
    let mut alice = relay.member("r").await;
    alice.pushes(types(1, 0, "ab")).await;
    alice.pushes(types(1, 2, "c")).await;
    alice.pushes(deletes(1, 0)).await;
    alice.acked(3).await;
    let mut yjs = relay.open("/yjs/r", None).await;
    let (updates, step2, vector) = sync(&mut yjs, &StateVector::new()).await;
    assert_eq!(updates, [types(1, 0, "ab"), types(1, 2, "c")]);
    assert_eq!(step2, deletes(1, 0));
    assert_eq!(vector, StateVector::from([(1, 3)]));
    let (updates, step2, _) = sync(&mut yjs, &StateVector::from([(1, 2)])).await;
    assert_eq!((updates, step2), (vec![types(1, 2, "c")], deletes(1, 0)));
}

#[tokio::test]
async fn a_reconnect_of_a_stock_client_stores_nothing_that_the_log_has() {
    let relay = TestRelay::start().await;
    let mut yjs = relay.open("/yjs/r", None).await;
    sync(&mut yjs, &StateVector::new()).await;
    for update in [types(1, 0, "ab"), deletes(1, 0)] {
        say(&mut yjs, |out| yprotocol::write_update(out, &update)).await;
        assert_eq!(hear(&mut yjs).await, YMessage::Update(update), "its own update, now durable");
    }
    for _ in 0..3 {
        let mut again = relay.open("/yjs/r", None).await;
        let (updates, _, vector) = sync(&mut again, &StateVector::from([(1, 2)])).await;
        assert_eq!((updates.len(), vector), (0, StateVector::from([(1, 2)])));
        say(&mut again, |out| yprotocol::write_step2(out, &deletes(1, 0))).await;
    }
    let late = relay.member("r").await;
    assert_eq!(late.head, 2);
}

/// The bytes of a client's message, as the WebSocket carries them.
fn masked(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82, 0xff];
    frame.extend((message.len() as u64).to_be_bytes());
    // A mask of zeros changes nothing.
    frame.extend([0; 4]);
    frame.extend(message);
    frame
}

/// Sends a message piece by piece, so that it takes about so long; nothing is answered meanwhile.
async fn trickle(raw: &mut Raw, message: &[u8], pieces: usize, takes: Duration) {
    let frame = masked(message);
    for piece in frame.chunks(frame.len().div_ceil(pieces)) {
        // Where the relay has closed already, that is what the test hears.
        let _ = raw.socket.get_mut().write_all(piece).await;
        tokio::time::sleep(takes / pieces as u32).await;
    }
}

fn impatient() -> Config {
    let mut config = Config::default();
    config.limits.socket.ping_after = Duration::from_millis(500);
    config.limits.socket.gone_after = Duration::from_secs(3);
    config
}

fn update_message(update: &[u8]) -> Bytes {
    let mut chunk = Vec::new();
    yprotocol::write_update(&mut chunk, update);
    let (_, header) = hither_protocol::varint::peek(&chunk).unwrap();
    Bytes::from(chunk).slice(header..)
}

/// [H1]
#[tokio::test]
async fn a_stock_client_on_a_slow_line_may_take_its_time_to_send_its_document() {
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), impatient()).await;
    let mut yjs = relay.open("/yjs/r", None).await;
    let update = types(1, 0, &"x".repeat(300_000));
    trickle(&mut yjs, &update_message(&update), 80, Duration::from_secs(8)).await;
    let mut alice = relay.member("r").await;
    let entry = tokio::time::timeout(SOON, alice.entry()).await.expect("the document in time");
    assert_eq!(entry.1, update);
}

/// [H1]
#[tokio::test]
async fn a_message_that_never_ends_is_not_waited_for_without_end() {
    let mut config = impatient();
    config.limits.socket.message_within = Duration::from_secs(3);
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let mut yjs = relay.open("/yjs/r", None).await;
    let mut alice = relay.member("r").await;
    yjs.send(b"\x01\x07\x01\x4d\x01\x03\"y\"".to_vec()).await;
    assert_eq!(alice.presence().await.1, "\"y\"");
    let message = update_message(&types(1, 0, &"x".repeat(10_000)));
    let trickling = tokio::spawn(async move {
        trickle(&mut yjs, &message, 600, Duration::from_secs(120)).await;
    });
    let told = tokio::time::timeout(SOON, alice.presence()).await.expect("the end in time");
    assert_eq!(told.1, "", "it is gone");
    trickling.abort();
}

#[tokio::test]
async fn an_update_that_is_none_closes_the_connection_and_reaches_nobody() {
    let relay = TestRelay::start().await;
    let mut alice = relay.member("r").await;
    let mut yjs = relay.open("/yjs/r", None).await;
    say(&mut yjs, |out| yprotocol::write_update(out, &[1, 2, 3])).await;
    assert_eq!(yjs.closed().await, 4400);
    alice.client.hears_nothing().await;
    assert_eq!(relay.member("r").await.head, 0);
}
