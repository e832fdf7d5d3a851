//! Frames there and back, and every field at its limit and one past it.

use super::*;
use crate::deframe::Deframer;

fn room(name: &str) -> RoomName {
    RoomName::new(name).unwrap()
}

fn client_frames() -> Vec<ClientFrame> {
    let cursor = Cursor { epoch: Epoch([9; 16]), seq: Seq(1 << 40) };
    let channel = Channel(200);
    vec![
        ClientFrame::Hello { version: 1, client: "hither 0.1".into() },
        ClientFrame::Join { room: room("r"), token: Bytes::new(), cursor: None },
        ClientFrame::Join { room: room("räum/1"), token: Bytes::from_static(b"t"), cursor: Some(cursor) },
        ClientFrame::Leave { channel },
        ClientFrame::Push { channel, n: 7, update: Bytes::from_static(&[1, 2, 3]) },
        ClientFrame::Presence { channel, state: Bytes::from_static(b"{}") },
        ClientFrame::Presence { channel, state: Bytes::new() },
        ClientFrame::Token { channel, token: Bytes::from_static(b"fresh") },
        ClientFrame::Ping { nonce: u64::MAX },
        ClientFrame::Pong { nonce: 0 },
    ]
}

fn relay_frames() -> Vec<RelayFrame> {
    let (channel, seq, epoch) = (Channel(3), Seq(500), Epoch([1; 16]));
    let limits =
        Welcome { version: 1, ping_interval_ms: 10_000, max_update: 9, max_presence: 8, max_rooms: 7 };
    let joined = |access, mode| {
        RelayFrame::Joined(Joined {
            room: room("r"),
            channel,
            peer: Peer(77),
            access,
            epoch,
            head: seq,
            mode,
        })
    };
    vec![
        RelayFrame::Welcome(limits),
        joined(Access::ReadOnly, Mode::Resumed),
        joined(Access::ReadWrite, Mode::Reset),
        RelayFrame::Snapshot { channel, seq, update: Bytes::from_static(&[0, 0]) },
        RelayFrame::Update { channel, seq, update: Bytes::from_static(&[0, 0]) },
        RelayFrame::Ack { channel, n: 3, seq },
        RelayFrame::Nack { channel, n: 3, code: 4404, reason: "too large".into() },
        RelayFrame::Presence { channel, peer: Peer(1), state: Bytes::from_static(b"null") },
        RelayFrame::Left { channel, code: 4403, reason: String::new() },
        RelayFrame::Goaway { retry_after_ms: 1000, jitter_ms: 5000 },
        RelayFrame::Refused { room: room("x"), code: 4403, reason: "no".into() },
        RelayFrame::Ping { nonce: 1 },
        RelayFrame::Pong { nonce: 2 },
    ]
}

fn body_of(message: Vec<u8>) -> Bytes {
    let mut deframer = Deframer::new(1 << 20);
    let bodies: Vec<_> = deframer.read(message.into()).map(Result::unwrap).collect();
    assert_eq!(bodies.len(), 1);
    bodies[0].clone()
}

#[test]
fn every_frame_survives_the_round_trip_and_no_truncation_decodes_to_it() {
    for frame in client_frames() {
        let mut out = Vec::new();
        frame.encode(&mut out);
        let body = body_of(out);
        assert_eq!(ClientFrame::decode(body.clone()), Ok(frame.clone()));
        for cut in 0..body.len() {
            assert_ne!(ClientFrame::decode(body.slice(..cut)), Ok(frame.clone()));
        }
    }
    for frame in relay_frames() {
        let mut out = Vec::new();
        frame.encode(&mut out);
        let body = body_of(out);
        assert_eq!(RelayFrame::decode(body.clone()), Ok(frame.clone()));
        for cut in 0..body.len() {
            assert_ne!(RelayFrame::decode(body.slice(..cut)), Ok(frame.clone()));
        }
    }
}

/// [T5]
#[test]
fn trailing_bytes_are_refused_where_no_rest_field_takes_them() {
    let mut out = Vec::new();
    ClientFrame::Leave { channel: Channel(1) }.encode(&mut out);
    let mut body = body_of(out).to_vec();
    body.push(0);
    assert_eq!(ClientFrame::decode(body.into()), Err(FrameError::Trailing(1)));
}

#[test]
fn a_frame_of_the_other_direction_is_unknown() {
    for frame in relay_frames() {
        let mut out = Vec::new();
        frame.encode(&mut out);
        if !matches!(frame, RelayFrame::Ping { .. } | RelayFrame::Pong { .. }) {
            assert!(matches!(ClientFrame::decode(body_of(out)), Err(FrameError::UnknownType(_))));
        }
    }
    assert_eq!(ClientFrame::decode(Bytes::new()), Err(VarintError::Truncated.into()));
}

#[test]
fn fields_are_accepted_at_their_limit_and_refused_one_past_it() {
    let join = |name: usize, token: usize| {
        let mut body = vec![JOIN];
        write_bytes(&mut body, &vec![b'a'; name]);
        write_bytes(&mut body, &vec![0; token]);
        body.push(0);
        ClientFrame::decode(body.into())
    };
    assert!(join(256, MAX_TOKEN_BYTES).is_ok());
    assert!(matches!(join(257, 0), Err(FrameError::TooLong { .. })));
    assert!(matches!(join(0, 0), Err(FrameError::Room(RoomNameError::Empty))));
    assert!(matches!(join(1, MAX_TOKEN_BYTES + 1), Err(FrameError::TooLong { .. })));

    let presence = |bytes: usize| {
        let mut body = vec![CLIENT_PRESENCE, 1];
        body.extend(vec![b' '; bytes]);
        ClientFrame::decode(body.into())
    };
    assert!(presence(MAX_PRESENCE_BYTES).is_ok());
    assert!(matches!(presence(MAX_PRESENCE_BYTES + 1), Err(FrameError::TooLong { .. })));

    let hello = |bytes: usize| {
        let mut body = vec![HELLO, 1];
        write_bytes(&mut body, &vec![b'x'; bytes]);
        ClientFrame::decode(body.into())
    };
    assert!(hello(MAX_CLIENT_NAME_BYTES).is_ok());
    assert!(matches!(hello(MAX_CLIENT_NAME_BYTES + 1), Err(FrameError::TooLong { .. })));
}

#[test]
fn the_hot_path_writes_the_same_bytes() {
    for (channel, seq, bytes) in [(0, 0, 1), (127, 128, 24), (u64::MAX, u64::MAX, FRAGMENT_BYTES)] {
        let (channel, seq, update) = (Channel(channel), Seq(seq), Bytes::from(vec![5; bytes]));
        let (mut hot, mut cold) = (Vec::new(), Vec::new());
        write_update(&mut hot, channel, seq, &update);
        RelayFrame::Update { channel, seq, update }.encode(&mut cold);
        assert_eq!(hot, cold);
    }
}

#[test]
fn the_table_has_no_number_twice_in_a_direction() {
    for direction in ["client", "relay"] {
        let mut numbers: Vec<u8> =
            TABLE.iter().filter(|row| row.0 == direction || row.0 == "both").map(|row| row.1).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }
}
