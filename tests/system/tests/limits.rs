//! Every limit of the wire: what is at it passes, what is one past it is refused as SPEC.md says, and nobody else
//! notices.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use hither_client::{ChangeError, Client, Connection, OpenError, OpenOptions, Value};
use hither_protocol::VERSION;
use hither_protocol::close::CloseCode;
use hither_protocol::frames::{ClientFrame, RelayFrame};
use hither_protocol::ids::RoomName;
use hither_protocol::limits::{
    FRAGMENT_BYTES, MAX_CLIENT_FRAME_BYTES, MAX_CLIENT_NAME_BYTES, MAX_MESSAGE_BYTES, MAX_PRESENCE_BYTES,
    MAX_ROOM_NAME_BYTES, MAX_ROOMS_PER_SOCKET, MAX_TOKEN_BYTES, MAX_UPDATE_BYTES,
};
use hither_protocol::varint;
use hither_relay::log::MemoryLog;
use hither_system_tests::node::TestNode;
use hither_system_tests::people::{enters, opens, person, sees, state, within};
use hither_system_tests::raw::Raw;
use serde_json::json;
use std::sync::Arc;

fn node() -> TestNode {
    TestNode::start(Arc::new(MemoryLog::new()))
}

async fn greeted(node: &TestNode) -> Raw {
    Raw::greeted(&node.url()).await.0
}

/// The relay still answers on this socket.
async fn lives(raw: &mut Raw) {
    raw.say(&ClientFrame::Ping { nonce: 77 }).await;
    loop {
        match raw.hear().await.expect("the socket is open") {
            RelayFrame::Pong { nonce } => return assert_eq!(nonce, 77),
            RelayFrame::Presence { .. } | RelayFrame::Ack { .. } => {}
            other => panic!("{other:?} instead of Pong"),
        }
    }
}

async fn is_closed(raw: &mut Raw, code: CloseCode) {
    let ended = raw.ending().await;
    assert_eq!(ended.code, Some(code.number()), "{ended:?}");
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    varint::write(&mut message, body.len() as u64);
    message.extend_from_slice(body);
    message
}

fn field(body: &mut Vec<u8>, bytes: &[u8]) {
    varint::write(body, bytes.len() as u64);
    body.extend_from_slice(bytes);
}

fn hello(name: usize) -> Vec<u8> {
    let mut body = vec![0x01, VERSION as u8];
    field(&mut body, &vec![b'n'; name]);
    framed(&body)
}

fn join(name: usize, token: usize) -> Vec<u8> {
    let mut body = vec![0x02];
    field(&mut body, &vec![b'r'; name]);
    field(&mut body, &vec![b't'; token]);
    body.push(0);
    framed(&body)
}

/// An update of exactly so many bytes: one text of one author.
fn update_of(bytes: usize, author: u8) -> Vec<u8> {
    let head = [1, 1, author, 0, 4, 1, 1, b't'];
    let mut length = Vec::new();
    // The length of the length depends on the length, and does not change within these few bytes.
    varint::write(&mut length, (bytes - head.len() - 5) as u64);
    let text = bytes - head.len() - length.len() - 1;
    let mut update = head.to_vec();
    field(&mut update, &vec![b'x'; text]);
    update.push(0);
    assert_eq!(update.len(), bytes);
    update
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_name_has_64_bytes() {
    let node = node();
    let mut raw = Raw::connect(&node.url()).await;
    raw.say_bytes(hello(MAX_CLIENT_NAME_BYTES)).await;
    assert!(matches!(raw.hear().await, Ok(RelayFrame::Welcome(_))));
    lives(&mut raw).await;
    let mut raw = Raw::connect(&node.url()).await;
    raw.say_bytes(hello(MAX_CLIENT_NAME_BYTES + 1)).await;
    is_closed(&mut raw, CloseCode::TooLarge).await;

    // The library cuts, between characters.
    let client = Client::builder(node.url()).name("é".repeat(40)).open().await.unwrap();
    enters(&client, "room").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_name_has_1_to_256_bytes() {
    let node = node();
    let mut raw = greeted(&node).await;
    raw.say_bytes(join(1, 0)).await;
    raw.say_bytes(join(MAX_ROOM_NAME_BYTES, 0)).await;
    for _ in 0..2 {
        assert!(matches!(raw.hear().await, Ok(RelayFrame::Joined(_))));
    }
    raw.say_bytes(join(MAX_ROOM_NAME_BYTES + 1, 0)).await;
    is_closed(&mut raw, CloseCode::TooLarge).await;
    let mut raw = greeted(&node).await;
    raw.say_bytes(join(0, 0)).await;
    is_closed(&mut raw, CloseCode::Malformed).await;

    let client = person(&node.url()).await;
    let longest = "é".repeat(MAX_ROOM_NAME_BYTES / 2);
    let room = enters(&client, &longest).await;
    room.change(|draft| draft.set("here", true)).await.unwrap().server().await.unwrap();
    for bad in [String::new(), format!("{longest}x")] {
        let refused = client.open(&bad, OpenOptions::default()).await;
        assert!(
            matches!(refused, Err(OpenError::Refused(hither_core_error)) if hither_core_error.to_string().contains("room name"))
        );
    }
    lives_on(&client, "another").await;
    node.stop().await;
}

/// The client still enters rooms and gets acknowledgements.
async fn lives_on(client: &Client, room: &str) {
    let room = enters(client, room).await;
    room.change(|draft| draft.set("lives", true)).await.unwrap().server().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_has_8192_bytes() {
    let node = node();
    let mut raw = greeted(&node).await;
    raw.say_bytes(join(4, MAX_TOKEN_BYTES)).await;
    assert!(matches!(raw.hear().await, Ok(RelayFrame::Joined(_))));
    lives(&mut raw).await;
    let mut raw = greeted(&node).await;
    raw.say_bytes(join(4, MAX_TOKEN_BYTES + 1)).await;
    is_closed(&mut raw, CloseCode::TooLarge).await;

    let client = person(&node.url()).await;
    let with = |bytes: usize| OpenOptions { initial: None, token: vec![b't'; bytes] };
    let room = client.open("longest", with(MAX_TOKEN_BYTES)).await.unwrap();
    within("a room with the longest token", room.synced()).await.unwrap();
    let refused = client.open("too long", with(MAX_TOKEN_BYTES + 1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "the token has 8193 bytes, at most 8192 are allowed");
    lives_on(&client, "another").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_has_8_mib() {
    let node = node();
    let mut raw = greeted(&node).await;
    let channel = raw.join("raw", None).await.channel;
    let push = |n: u64, bytes: usize, author: u8| ClientFrame::Push {
        channel,
        n,
        update: update_of(bytes, author).into(),
    };
    raw.say(&push(1, MAX_UPDATE_BYTES, 1)).await;
    assert!(matches!(raw.hear().await, Ok(RelayFrame::Ack { n: 1, .. })));
    raw.say(&push(2, MAX_UPDATE_BYTES + 1, 2)).await;
    match raw.hear().await {
        Ok(RelayFrame::Nack { n: 2, code, .. }) => assert_eq!(code, u64::from(CloseCode::TooLarge.number())),
        other => panic!("{other:?} instead of Nack"),
    }
    lives(&mut raw).await;

    let client = person(&node.url()).await;
    let room = enters(&client, "library").await;
    let refused = room.import(update_of(MAX_UPDATE_BYTES + 1, 3)).await.unwrap_err();
    assert!(
        matches!(refused, ChangeError::Refused(_)) && refused.to_string().contains("8388609"),
        "{refused}"
    );
    room.import(update_of(MAX_UPDATE_BYTES, 3)).await.unwrap().server().await.unwrap();
    // The client counts an upper bound, so that no change that it takes is refused by the relay.
    let text = |bytes: usize| Value::Text("y".repeat(bytes));
    let refused = room.change(move |draft| draft.set("much", text(MAX_UPDATE_BYTES))).await.unwrap_err();
    assert!(refused.to_string().contains("at most 8388608"), "{refused}");
    let most = MAX_UPDATE_BYTES - 200;
    room.change(move |draft| draft.set("much", text(most))).await.unwrap().server().await.unwrap();
    let reader = person(&node.url()).await;
    let copy = enters(&reader, "library").await;
    assert_eq!(copy.get("much").await.unwrap().unwrap().to_json().as_str().unwrap().len(), most);
    assert_eq!(
        copy.get("t").await.unwrap().unwrap().to_json().as_str().unwrap().len(),
        MAX_UPDATE_BYTES - 13
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presence_state_has_4096_bytes() {
    let node = node();
    let state_of = |bytes: usize| format!("\"{}\"", "p".repeat(bytes - 2));
    let mut raw = greeted(&node).await;
    let channel = raw.join("party", None).await.channel;
    let client = person(&node.url()).await;
    let room = enters(&client, "party").await;
    let say = |bytes: usize| ClientFrame::Presence { channel, state: Bytes::from(state_of(bytes)) };
    raw.say(&say(MAX_PRESENCE_BYTES)).await;
    let mut presences = room.presences();
    within(
        "the longest presence",
        presences.wait_for(|seen| seen.others.values().any(|state| state.len() == MAX_PRESENCE_BYTES)),
    )
    .await
    .unwrap();
    raw.say(&say(MAX_PRESENCE_BYTES + 1)).await;
    is_closed(&mut raw, CloseCode::TooLarge).await;
    within("the offender to leave", presences.wait_for(|seen| seen.others.is_empty())).await.unwrap();

    let witness = person(&node.url()).await;
    let elsewhere = enters(&witness, "party").await;
    room.set_presence(Some(state_of(MAX_PRESENCE_BYTES))).await.unwrap();
    let mut presences = elsewhere.presences();
    within("the longest presence", presences.wait_for(|seen| !seen.others.is_empty())).await.unwrap();
    let refused = room.set_presence(Some(state_of(MAX_PRESENCE_BYTES + 1))).await.unwrap_err();
    assert!(refused.to_string().contains("at most 4096"), "{refused}");
    lives_on(&client, "another").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_in_1000_rooms() {
    let node = node();
    let client = person(&node.url()).await;
    let mut rooms = Vec::new();
    for n in 0..MAX_ROOMS_PER_SOCKET {
        rooms.push(opens(&client, &format!("room {n}"), None).await);
    }
    for room in &rooms {
        within("one of a thousand rooms", room.synced()).await.unwrap();
    }
    let one_more = opens(&client, "one more", None).await;
    let mut statuses = one_more.statuses();
    let refused = within(
        "the refusal",
        statuses.wait_for(|status| {
            matches!(status.connection, Connection::Denied { .. } | Connection::Waiting { .. })
        }),
    )
    .await
    .unwrap()
    .connection
    .clone();
    assert!(format!("{refused:?}").contains("room"), "{refused:?}");
    let last = &rooms[MAX_ROOMS_PER_SOCKET - 1];
    last.change(|draft| draft.set("lives", true)).await.unwrap().server().await.unwrap();

    let mut raw = greeted(&node).await;
    let first = raw.join("room 0", None).await.channel;
    for n in 1..MAX_ROOMS_PER_SOCKET {
        raw.join(&format!("room {n}"), None).await;
    }
    let room = RoomName::new("one more").unwrap();
    raw.say(&ClientFrame::Join { room, token: Bytes::new(), cursor: None }).await;
    match raw.hear().await {
        Ok(RelayFrame::Refused { code, .. }) => assert_eq!(code, u64::from(CloseCode::TooMany.number())),
        other => panic!("{other:?} instead of Refused"),
    }
    // Whoever leaves one may enter another.
    raw.say(&ClientFrame::Leave { channel: first }).await;
    raw.join("one more", None).await;
    lives(&mut raw).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_has_four_fragments() {
    let node = node();
    // Pings of ten bytes of nonce: twelve bytes each with their length, and one that fills up.
    let pings = |bytes: usize| {
        let mut message = Vec::new();
        while message.len() + 24 <= bytes {
            message.extend(framed(&[&[0x20][..], &[0xff; 9], &[1]].concat()));
        }
        while message.len() < bytes {
            let nonce = (bytes - message.len() - 2).clamp(1, 5);
            let nonce = [&vec![0x80; nonce - 1][..], &[1]].concat();
            message.extend(framed(&[&[0x20][..], &nonce].concat()));
        }
        assert_eq!(message.len(), bytes);
        message
    };
    let mut raw = greeted(&node).await;
    let message = pings(MAX_MESSAGE_BYTES);
    raw.say_bytes(message).await;
    raw.say(&ClientFrame::Ping { nonce: 77 }).await;
    while raw.hear().await.unwrap() != (RelayFrame::Pong { nonce: 77 }) {}
    raw.say_bytes(pings(MAX_MESSAGE_BYTES + 1)).await;
    is_closed(&mut raw, CloseCode::TooLarge).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_whole_or_in_fragments_and_ends_at_its_limit() {
    let node = node();
    let mut raw = greeted(&node).await;
    let channel = raw.join("raw", None).await.channel;
    // Bodies around the length from which they travel in fragments; the frame's own head is three bytes.
    for (n, bytes) in [FRAGMENT_BYTES - 4, FRAGMENT_BYTES - 3, FRAGMENT_BYTES - 2].into_iter().enumerate() {
        let (n, author) = (n as u64 + 1, n as u8 + 1);
        raw.say(&ClientFrame::Push { channel, n, update: update_of(bytes, author).into() }).await;
        match raw.hear().await {
            Ok(RelayFrame::Ack { n: acknowledged, .. }) => assert_eq!(acknowledged, n),
            other => panic!("{other:?} instead of Ack"),
        }
    }
    let fragment = |total: usize| {
        let mut body = vec![0x22];
        varint::write(&mut body, total as u64);
        body.extend([0x04; 100]);
        framed(&body)
    };
    raw.say_bytes(fragment(MAX_CLIENT_FRAME_BYTES)).await;
    lives(&mut raw).await;
    let mut raw = greeted(&node).await;
    raw.say_bytes(fragment(MAX_CLIENT_FRAME_BYTES + 1)).await;
    is_closed(&mut raw, CloseCode::TooLarge).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_nest_100_levels() {
    let node = node();
    let client = person(&node.url()).await;
    let room = enters(&client, "deep").await;
    let nested = |levels: usize| (1..levels).fold(Value::List(vec![]), |inner, _| Value::List(vec![inner]));
    let refused = room.change(move |draft| draft.set("deep", nested(101))).await.unwrap_err();
    assert_eq!(refused.to_string(), "values nest 101 levels, at most 100 are allowed");
    room.change(move |draft| draft.set("deep", nested(100))).await.unwrap().server().await.unwrap();
    let reader = person(&node.url()).await;
    let copy = enters(&reader, "deep").await;
    let mut expected = json!([]);
    for _ in 1..100 {
        expected = json!([expected]);
    }
    sees(&copy, "a hundred levels", |state| state["deep"] == expected).await;
    assert_eq!(state(&copy).await, state(&room).await);
    node.stop().await;
}
