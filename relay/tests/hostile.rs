//! Whatever a stranger sends: its own socket closes with a code that says why, nobody else notices, and the
//! log is as before.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use hither_protocol::{
    frames::{ClientFrame, RelayFrame},
    ids::{Channel, RoomName},
    limits::MAX_MESSAGE_BYTES,
};
use hither_relay::{config::Config, log::MemoryLog};
use std::{sync::Arc, time::Duration};
use support::{Member, Raw, TestRelay, types};

/// A relay with a witness who must notice nothing.
struct Scene {
    relay: TestRelay,
    witness: Member,
    written: u64,
}

impl Scene {
    async fn set() -> Scene {
        let relay = TestRelay::start().await;
        let witness = relay.member("r").await;
        Scene { relay, witness, written: 0 }
    }

    /// The witness can still write, and nobody else has.
    async fn is_calm(&mut self) {
        self.written += 1;
        self.witness.pushes(types(9, self.written as u32 - 1, "x")).await;
        assert_eq!(self.witness.acked(self.written).await, self.written, "only the witness has written");
        assert!(self.witness.log.is_empty());
    }

    async fn sync_socket(&self) -> Raw {
        self.relay.open("/sync", Some("hither.v1")).await
    }

    async fn yjs_socket(&self) -> Raw {
        self.relay.open("/yjs/r", None).await
    }
}

fn frame(frame: &ClientFrame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(&mut out);
    out
}

fn hello() -> Vec<u8> {
    frame(&ClientFrame::Hello { version: 1, client: "x".into() })
}

fn join() -> Vec<u8> {
    frame(&ClientFrame::Join { room: RoomName::new("r").unwrap(), token: Bytes::new(), cursor: None })
}

/// A generator whose numbers a failing test can name.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

#[tokio::test]
async fn random_bytes_close_the_sync_door() {
    let mut scene = Scene::set().await;
    for seed in 0..60 {
        let mut stranger = scene.sync_socket().await;
        let noise = noise(seed, 1 + seed as usize * 7);
        stranger.send(if seed % 2 == 0 { noise } else { [hello(), noise].concat() }).await;
        let code = stranger.closed().await;
        assert!((4400..=4404).contains(&code), "seed {seed}: {code}");
    }
    scene.is_calm().await;
}

/// [Y6]
#[tokio::test]
async fn random_bytes_close_the_yjs_door() {
    let mut scene = Scene::set().await;
    for seed in 0..60 {
        let mut stranger = scene.yjs_socket().await;
        stranger.send([&[0, 2], &noise(seed, 2 + seed as usize * 7)[..]].concat()).await;
        let code = stranger.closed().await;
        assert!((4400..=4404).contains(&code), "seed {seed}: {code}");
    }
    scene.is_calm().await;
}

/// [T5]
#[tokio::test]
async fn every_truncation_of_a_frame_closes_the_connection() {
    let mut scene = Scene::set().await;
    for whole in
        [hello(), join(), frame(&ClientFrame::Push { channel: Channel(1), n: 1, update: types(3, 0, "x") })]
    {
        for cut in 1..whole.len() {
            let mut stranger = scene.sync_socket().await;
            stranger.send([&hello(), &whole[..cut]].concat()).await;
            assert_eq!(stranger.closed().await, 4400, "cut at {cut}");
        }
    }
    scene.is_calm().await;
}

#[tokio::test]
async fn every_truncation_of_an_update_is_refused() {
    let mut scene = Scene::set().await;
    let update = types(3, 0, "xyz");
    for cut in 0..update.len() {
        let mut stranger = scene.relay.member("r").await;
        stranger.pushes(update.slice(..cut)).await;
        let heard = loop {
            match stranger.client.next().await {
                RelayFrame::Update { .. } => {}
                other => break other,
            }
        };
        assert!(matches!(heard, RelayFrame::Nack { n: 1, code: 4400, .. }), "cut at {cut}: {heard:?}");
        let mut stranger = scene.yjs_socket().await;
        stranger.send([&[0, 2, cut as u8], &update[..cut]].concat()).await;
        assert_eq!(stranger.closed().await, 4400, "cut at {cut}");
    }
    scene.is_calm().await;
}

/// [S1] [S2] [S3] [J1]
#[tokio::test]
async fn frames_out_of_order_close_the_connection() {
    let mut scene = Scene::set().await;
    let leave = frame(&ClientFrame::Leave { channel: Channel(12345) });
    let push = frame(&ClientFrame::Push { channel: Channel(12345), n: 1, update: types(3, 0, "x") });
    let presence = frame(&ClientFrame::Presence { channel: Channel(12345), state: Bytes::new() });
    for (what, bytes, code) in [
        ("before hello", join(), 4401),
        ("a second hello", [hello(), hello()].concat(), 4401),
        ("a room joined twice", [hello(), join(), join()].concat(), 4401),
        ("leaving nothing", [hello(), leave].concat(), 4401),
        ("pushing nowhere", [hello(), push].concat(), 4401),
        ("present nowhere", [hello(), presence].concat(), 4401),
        ("another version", frame(&ClientFrame::Hello { version: 2, client: String::new() }), 4402),
        ("an unknown frame", [hello(), vec![2, 0x7f, 0]].concat(), 4400),
        ("a relay's frame", [hello(), vec![3, 0x49, 1, 1]].concat(), 4400),
        ("an empty frame", [hello(), vec![0]].concat(), 4400),
        ("a frame of the other door", [hello(), vec![0, 0, 1, 0]].concat(), 4400),
        ("a huge length", [hello(), vec![0xff; 9], vec![1]].concat(), 4404),
        (
            "a huge fragment",
            [hello(), vec![0x0a, 0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0]].concat(),
            4404,
        ),
    ] {
        let mut stranger = scene.sync_socket().await;
        stranger.send(bytes).await;
        assert_eq!(stranger.closed().await, code, "{what}");
    }
    scene.is_calm().await;
}

/// [Y6]
#[tokio::test]
async fn messages_that_y_protocols_do_not_have_close_the_yjs_door() {
    let mut scene = Scene::set().await;
    let deep: Vec<u8> = [vec![1, 1, 3, 0, 8, 1, 1, b't', 1], [117, 1].repeat(5_000), vec![0, 0]].concat();
    let mut nested = vec![0, 2];
    hither_protocol::varint::write(&mut nested, deep.len() as u64);
    nested.extend(&deep);
    for (what, bytes) in [
        ("auth", vec![2, 0]),
        ("hocuspocus stateless", vec![5, 1, b'x']),
        ("y-sweet's", vec![102, 0]),
        ("another sync step", vec![0, 3, 0]),
        ("a frame of the other door", hello()),
        ("a length past the end", vec![0, 2, 0xff, 0xff, 0x03, 1]),
        ("deep nesting", nested),
        ("awareness that is not JSON", vec![1, 5, 1, 1, 1, 1, b'{']),
        ("nothing", vec![]),
    ] {
        let mut stranger = scene.yjs_socket().await;
        stranger.send(bytes).await;
        let code = stranger.closed().await;
        assert!(code == 4400 || code == 4404, "{what}: {code}");
    }
    scene.is_calm().await;
}

/// [T1] [T2]
#[tokio::test]
async fn text_frames_and_wrong_subprotocols_close_the_connection() {
    let mut scene = Scene::set().await;
    for mut stranger in [scene.sync_socket().await, scene.yjs_socket().await] {
        stranger.text("hello").await;
        assert_eq!(stranger.closed().await, 4400);
    }
    assert_eq!(scene.relay.open("/sync", None).await.closed().await, 4402);
    let long = format!("/yjs/{}", "a".repeat(257));
    assert_eq!(scene.relay.open(&long, None).await.closed().await, 4400);
    scene.relay.open(&long[..long.len() - 1], None).await.send(vec![3]).await;
    scene.is_calm().await;
}

/// [T7]
#[tokio::test]
async fn a_message_is_accepted_at_the_limit_and_closes_the_connection_one_past_it() {
    let mut scene = Scene::set().await;
    // Pings fill a message to the byte.
    let filled = |len: usize| [hello(), [2, 0x20, 1].repeat(len / 3)].concat();
    let mut message = filled(MAX_MESSAGE_BYTES - hello().len());
    while message.len() < MAX_MESSAGE_BYTES {
        let at = hello().len();
        // A nonce of one byte more.
        message.splice(at..at + 3, [3, 0x20, 0x81, 1]);
    }
    assert_eq!(message.len(), MAX_MESSAGE_BYTES);
    let mut stranger = scene.sync_socket().await;
    stranger.send(message.clone()).await;
    assert!(stranger.next().await.is_ok());
    let mut stranger = scene.sync_socket().await;
    message.push(0);
    stranger.send(message).await;
    assert_eq!(stranger.closed().await, 4404);
    scene.is_calm().await;
}

/// [S2]
#[tokio::test]
async fn a_stranger_that_never_says_hello_is_closed() {
    let mut config = Config::default();
    config.limits.socket.hello_within = Duration::from_millis(100);
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let mut silent = relay.open("/sync", Some("hither.v1")).await;
    assert_eq!(silent.closed().await, 4503);
}

#[tokio::test]
async fn joins_are_accepted_at_the_rate_limit_and_close_the_connection_past_it() {
    let mut config = Config::default();
    config.limits.socket.joins_per_second = 5;
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let mut client = relay.client().await;
    let joins = |rooms: std::ops::Range<u32>| {
        let join = |index: u32| {
            let room = RoomName::new(&format!("r{index}")).unwrap();
            frame(&ClientFrame::Join { room, token: Bytes::new(), cursor: None })
        };
        rooms.flat_map(join).collect::<Vec<u8>>()
    };
    client.raw.send(joins(0..5)).await;
    for _ in 0..5 {
        assert!(matches!(client.next().await, RelayFrame::Joined(_)));
    }
    // Far more than one past it, and in one message: a busy machine takes its time, and the limit grows with that.
    client.raw.send(joins(5..200)).await;
    assert_eq!(client.raw.closed().await, 4429);
}
