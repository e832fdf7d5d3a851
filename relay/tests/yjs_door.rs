//! The door for stock clients, spoken to in their words byte by byte. The clients themselves are tried in the
//! interop tests.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use hither_relay::yprotocol::{self, StateVector, YMessage};
use support::{Raw, TestRelay, deletes, types};

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
