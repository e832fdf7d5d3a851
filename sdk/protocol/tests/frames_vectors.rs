//! Golden vectors: every frame of `hither.v1` as bytes and as JSON, in `vectors/frames.json`, which the
//! TypeScript tests read too. The frames below are the source of that file. After a change of the wire:
//!
//! ```sh
//! HITHER_WRITE_VECTORS=1 cargo test -p hither-protocol --test frames_vectors
//! ```
//!
//! In the file, bytes are hex, and integers that JavaScript cannot hold exactly are decimal strings.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use hither_protocol::VERSION;
use hither_protocol::close::CloseCode;
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::{Access, ClientFrame, Joined, Mode, RelayFrame, TABLE, Welcome};
use hither_protocol::ids::{Channel, Cursor, Epoch, Peer, RoomName, Seq};
use hither_protocol::limits::MAX_CLIENT_FRAME_BYTES;
use serde_json::{Map, Value, json};

/// What a reader of an older table cannot understand needs a new version. If this fails you changed the
/// table: raise `VERSION`, then pin both here. Before a version was released, pinning the hash is enough.
const PINNED: (u64, u64) = (1, 0x92dd_369b_5a5e_ec5e);

#[test]
fn the_wire_table_changes_only_with_the_version() {
    let text: String = TABLE
        .iter()
        .map(|(direction, number, name, fields)| format!("{direction} {number:02x} {name} {fields}\n"))
        .collect();
    // FNV-1a.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!((VERSION, hash), PINNED, "version {VERSION}, hash 0x{hash:016x}\n{text}");
}

fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

fn epoch() -> Epoch {
    Epoch(std::array::from_fn(|index| 0xf0 + index as u8))
}

fn client_frames() -> Vec<(&'static str, ClientFrame)> {
    let update = Bytes::from_static(&[1, 1, 7, 0, 4, 1, 1, b't', 2, b'h', b'i', 0]);
    vec![
        ("a greeting", ClientFrame::Hello { version: 1, client: "hither-js/0.1.0".into() }),
        ("a greeting without a name", ClientFrame::Hello { version: 300, client: String::new() }),
        ("a first join", ClientFrame::Join { room: room("notes"), token: Bytes::new(), cursor: None }),
        (
            "a join that resumes",
            ClientFrame::Join {
                room: room("комната/🛋"),
                token: Bytes::from_static(b"\x00\xfftoken"),
                cursor: Some(Cursor { epoch: epoch(), seq: Seq(16_384) }),
            },
        ),
        ("a leave", ClientFrame::Leave { channel: Channel(128) }),
        ("a keystroke", ClientFrame::Push { channel: Channel(1), n: 1, update }),
        (
            "the largest numbers",
            ClientFrame::Push { channel: Channel(u64::MAX), n: (1 << 53) - 1, update: Bytes::new() },
        ),
        (
            "a cursor in a text",
            ClientFrame::Presence {
                channel: Channel(2),
                state: Bytes::from_static("{\"name\":\"Åsa\"}".as_bytes()),
            },
        ),
        ("no presence any more", ClientFrame::Presence { channel: Channel(2), state: Bytes::new() }),
        ("a fresh token", ClientFrame::Token { channel: Channel(3), token: Bytes::from_static(b"abc") }),
        ("a ping", ClientFrame::Ping { nonce: 0 }),
        ("a pong", ClientFrame::Pong { nonce: 127 }),
    ]
}

fn relay_frames() -> Vec<(&'static str, RelayFrame)> {
    let update = Bytes::from_static(&[0, 1, 7, 1, 0, 1]);
    let joined = |access, head, mode| {
        RelayFrame::Joined(Joined {
            room: room("notes"),
            channel: Channel(9),
            peer: Peer(70_000),
            access,
            epoch: epoch(),
            head,
            mode,
        })
    };
    let denied = CloseCode::Denied.number().into();
    vec![
        (
            "a welcome",
            RelayFrame::Welcome(Welcome {
                version: 1,
                ping_interval_ms: 15_000,
                max_update: 8 << 20,
                max_presence: 4_096,
                max_rooms: 1_000,
            }),
        ),
        ("a resumed member", joined(Access::ReadWrite, Seq(41), Mode::Resumed)),
        ("a reader who starts over", joined(Access::ReadOnly, Seq(0), Mode::Reset)),
        ("a snapshot", RelayFrame::Snapshot { channel: Channel(9), seq: Seq(40), update: update.clone() }),
        ("an entry", RelayFrame::Update { channel: Channel(9), seq: Seq(41), update }),
        ("an acknowledgement", RelayFrame::Ack { channel: Channel(9), n: 3, seq: Seq(44) }),
        (
            "a refused push",
            RelayFrame::Nack { channel: Channel(9), n: 4, code: denied, reason: "read only".into() },
        ),
        (
            "a neighbour's presence",
            RelayFrame::Presence { channel: Channel(9), peer: Peer(1), state: Bytes::from_static(b"null") },
        ),
        (
            "a neighbour who left",
            RelayFrame::Presence { channel: Channel(9), peer: Peer(1), state: Bytes::new() },
        ),
        ("a room taken away", RelayFrame::Left { channel: Channel(9), code: denied, reason: String::new() }),
        ("a restart", RelayFrame::Goaway { retry_after_ms: 500, jitter_ms: 10_000 }),
        (
            "a refused join",
            RelayFrame::Refused { room: room("x"), code: denied, reason: "la clé a expiré".into() },
        ),
        ("a ping", RelayFrame::Ping { nonce: u64::MAX }),
        ("a pong", RelayFrame::Pong { nonce: 1 }),
    ]
}

/// Bodies that are no frame, and a piece of the reason.
const REFUSED: &[(&str, &str, &[u8], &str)] = &[
    ("a type that nobody has", "client", &[0x7f], "unknown frame type 0x7f"),
    ("a frame of the other direction", "client", &[0x45, 1, 1, 1], "unknown frame type 0x45"),
    ("a frame of the other direction", "relay", &[0x04, 1, 1], "unknown frame type 0x04"),
    ("a number that ends early", "client", &[0x03, 0x80], "inside a number"),
    (
        "a number of more than 64 bits",
        "client",
        &[0x20, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        "64 bits",
    ),
    ("bytes behind the last field", "client", &[0x20, 1, 0], "1 bytes behind"),
    ("a room without a name", "client", &[0x02, 0, 0, 0], "empty"),
    ("a room name that is not UTF-8", "client", &[0x02, 1, 0xff, 0, 0], "not UTF-8"),
    ("a token longer than the frame", "client", &[0x02, 1, b'x', 9, 0], "length of 9"),
    ("a cursor of an unknown kind", "client", &[0x02, 1, b'x', 0, 2], "a cursor cannot be 2"),
    ("half an epoch", "client", &[0x02, 1, b'x', 0, 1, 1, 2, 3], "length of 16"),
    ("presence that is not UTF-8", "client", &[0x05, 1, 0xc0], "not UTF-8"),
    ("an access that is neither", "relay", &[0x42, 1, b'x', 1, 1, 2], "an access cannot be 2"),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &Value) -> Vec<u8> {
    let digits = digits.as_str().unwrap();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn number(value: u64) -> Value {
    if value < 1 << 53 { value.into() } else { value.to_string().into() }
}

fn client_json(frame: &ClientFrame) -> Value {
    match frame {
        ClientFrame::Hello { version, client } => {
            json!({"type": "Hello", "version": number(*version), "client": client})
        }
        ClientFrame::Join { room, token, cursor } => {
            let cursor =
                cursor.map(|cursor| json!({"epoch": hex(&cursor.epoch.0), "seq": number(cursor.seq.0)}));
            json!({"type": "Join", "room": room.as_str(), "token": hex(token), "cursor": cursor})
        }
        ClientFrame::Leave { channel } => json!({"type": "Leave", "channel": number(channel.0)}),
        ClientFrame::Push { channel, n, update } => {
            json!({"type": "Push", "channel": number(channel.0), "n": number(*n), "update": hex(update)})
        }
        ClientFrame::Presence { channel, state } => {
            json!({"type": "Presence", "channel": number(channel.0), "state": hex(state)})
        }
        ClientFrame::Token { channel, token } => {
            json!({"type": "Token", "channel": number(channel.0), "token": hex(token)})
        }
        ClientFrame::Ping { nonce } => json!({"type": "Ping", "nonce": number(*nonce)}),
        ClientFrame::Pong { nonce } => json!({"type": "Pong", "nonce": number(*nonce)}),
    }
}

fn relay_json(frame: &RelayFrame) -> Value {
    match frame {
        RelayFrame::Welcome(welcome) => json!({
            "type": "Welcome",
            "version": number(welcome.version),
            "ping_interval_ms": number(welcome.ping_interval_ms),
            "max_update": number(welcome.max_update),
            "max_presence": number(welcome.max_presence),
            "max_rooms": number(welcome.max_rooms),
        }),
        RelayFrame::Joined(Joined { room, channel, peer, access, epoch, head, mode }) => json!({
            "type": "Joined",
            "room": room.as_str(),
            "channel": number(channel.0),
            "peer": number(peer.0),
            "access": match access { Access::ReadOnly => "read-only", Access::ReadWrite => "read-write" },
            "epoch": hex(&epoch.0),
            "head": number(head.0),
            "mode": match mode { Mode::Resumed => "resumed", Mode::Reset => "reset" },
        }),
        RelayFrame::Snapshot { channel, seq, update } => {
            json!({"type": "Snapshot", "channel": number(channel.0), "seq": number(seq.0), "update": hex(update)})
        }
        RelayFrame::Update { channel, seq, update } => {
            json!({"type": "Update", "channel": number(channel.0), "seq": number(seq.0), "update": hex(update)})
        }
        RelayFrame::Ack { channel, n, seq } => {
            json!({"type": "Ack", "channel": number(channel.0), "n": number(*n), "seq": number(seq.0)})
        }
        RelayFrame::Nack { channel, n, code, reason } => json!({
            "type": "Nack", "channel": number(channel.0), "n": number(*n), "code": number(*code), "reason": reason,
        }),
        RelayFrame::Presence { channel, peer, state } => {
            json!({"type": "Presence", "channel": number(channel.0), "peer": number(peer.0), "state": hex(state)})
        }
        RelayFrame::Left { channel, code, reason } => {
            json!({"type": "Left", "channel": number(channel.0), "code": number(*code), "reason": reason})
        }
        RelayFrame::Goaway { retry_after_ms, jitter_ms } => {
            json!({"type": "Goaway", "retry_after_ms": number(*retry_after_ms), "jitter_ms": number(*jitter_ms)})
        }
        RelayFrame::Refused { room, code, reason } => {
            json!({"type": "Refused", "room": room.as_str(), "code": number(*code), "reason": reason})
        }
        RelayFrame::Ping { nonce } => json!({"type": "Ping", "nonce": number(*nonce)}),
        RelayFrame::Pong { nonce } => json!({"type": "Pong", "nonce": number(*nonce)}),
    }
}

/// One vector. The rule is the row of the wire table: the type byte.
fn vector(name: &str, from: &str, bytes: &[u8], decoded: Value) -> Value {
    json!({"name": name, "from": from, "rule": format!("0x{:02x}", bytes[1]), "hex": hex(bytes), "decoded": decoded})
}

fn frames() -> Vec<Value> {
    let client = client_frames().into_iter().map(|(name, frame)| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        vector(name, "client", &bytes, client_json(&frame))
    });
    let relay = relay_frames().into_iter().map(|(name, frame)| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        vector(name, "relay", &bytes, relay_json(&frame))
    });
    client.chain(relay).collect()
}

fn refused() -> Vec<Value> {
    let vectors = REFUSED
        .iter()
        .map(|(name, from, body, why)| json!({"name": name, "from": from, "hex": hex(body), "why": why}));
    vectors.collect()
}

/// Messages, and the bodies that come out of them.
fn messages() -> Vec<Value> {
    vec![
        json!({"name": "several frames in a message", "messages": ["02200103038001"], "bodies": ["2001", "038001"]}),
        json!({
            "name": "a body in three fragments with a ping between them",
            "messages": ["0422050401022007", "0422050102", "03220503"],
            "bodies": ["2007", "0401010203"],
        }),
    ]
}

fn file() -> String {
    let lines = |vectors: Vec<Value>| {
        let lines: Vec<String> = vectors.iter().map(|vector| format!("    {vector}")).collect();
        lines.join(",\n")
    };
    format!(
        "{{\n  \"about\": \"Golden vectors of hither.v1, written by tests/frames_vectors.rs; bytes are hex, \
         integers past 2^53-1 are strings.\",\n  \"version\": {VERSION},\n  \"frames\": [\n{}\n  ],\n  \
         \"messages\": [\n{}\n  ],\n  \"refused\": [\n{}\n  ]\n}}\n",
        lines(frames()),
        lines(messages()),
        lines(refused())
    )
}

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/frames.json");

fn read() -> Map<String, Value> {
    serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap()
}

#[test]
fn the_file_says_what_the_frames_say() {
    if std::env::var_os("HITHER_WRITE_VECTORS").is_some() {
        std::fs::write(PATH, file()).unwrap();
    }
    let found = std::fs::read_to_string(PATH).unwrap();
    assert_eq!(found, file(), "the wire changed: see the head of this file");
}

#[test]
fn every_frame_of_the_table_has_a_vector() {
    let file = read();
    for (direction, byte, name, _) in TABLE {
        let rule = format!("0x{byte:02x}");
        let senders = match *direction {
            "both" => vec!["client", "relay"],
            one => vec![one],
        };
        for from in senders {
            let found = file["frames"].as_array().unwrap().iter().any(|vector| {
                vector["rule"] == *rule && vector["from"] == from && vector["decoded"]["type"] == *name
            });
            assert!(found || *name == "Fragment", "{name} from {from} has no vector");
        }
    }
}

/// [T4] [T5]
#[test]
fn the_bytes_of_the_file_decode_to_its_json() {
    for vector in read()["frames"].as_array().unwrap() {
        let message = Bytes::from(unhex(&vector["hex"]));
        let mut deframer = Deframer::new(MAX_CLIENT_FRAME_BYTES);
        let bodies: Vec<Bytes> = deframer.read(message).collect::<Result<_, _>>().unwrap();
        let [body] = &bodies[..] else { panic!("{}: {} bodies", vector["name"], bodies.len()) };
        let decoded = match vector["from"].as_str() {
            Some("client") => client_json(&ClientFrame::decode(body.clone()).unwrap()),
            _ => relay_json(&RelayFrame::decode(body.clone()).unwrap()),
        };
        assert_eq!(decoded, vector["decoded"], "{}", vector["name"]);
    }
}

#[test]
fn messages_come_apart_as_the_file_says() {
    for vector in read()["messages"].as_array().unwrap() {
        let mut deframer = Deframer::new(MAX_CLIENT_FRAME_BYTES);
        let mut bodies = Vec::new();
        for message in vector["messages"].as_array().unwrap() {
            for body in deframer.read(Bytes::from(unhex(message))) {
                bodies.push(Value::from(hex(&body.unwrap())));
            }
        }
        assert_eq!(Value::from(bodies), vector["bodies"], "{}", vector["name"]);
    }
}

#[test]
fn what_is_no_frame_is_refused() {
    for vector in read()["refused"].as_array().unwrap() {
        let body = Bytes::from(unhex(&vector["hex"]));
        let error = match vector["from"].as_str() {
            Some("client") => ClientFrame::decode(body).unwrap_err(),
            _ => RelayFrame::decode(body).unwrap_err(),
        };
        assert!(error.to_string().contains(vector["why"].as_str().unwrap()), "{}: {error}", vector["name"]);
    }
}
