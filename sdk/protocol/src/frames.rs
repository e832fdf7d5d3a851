//! Every frame of `hither.v1`, read and written side by side. SPEC.md has the same table in prose.
//!
//! A body is one type byte and its fields; numbers are [`varint`]s; `rest` fields reach to the end of the body.
//! Decoding copies nothing: payloads are slices of the message that carried them.

use crate::ids::{Channel, Cursor, Epoch, Peer, RoomName, RoomNameError, Seq};
use crate::limits::{
    FRAGMENT_BYTES, MAX_CLIENT_NAME_BYTES, MAX_PRESENCE_BYTES, MAX_REASON_BYTES, MAX_TOKEN_BYTES,
};
use crate::varint::{self, VarintError};
use bytes::{Buf, Bytes};

/// The type byte of a fragment; [`crate::deframe`] joins them, so no decoder below ever sees one.
pub const FRAGMENT: u8 = 0x22;

const PING: u8 = 0x20;
const PONG: u8 = 0x21;

const HELLO: u8 = 0x01;
const JOIN: u8 = 0x02;
const LEAVE: u8 = 0x03;
const PUSH: u8 = 0x04;
const CLIENT_PRESENCE: u8 = 0x05;
const TOKEN: u8 = 0x06;

const WELCOME: u8 = 0x41;
const JOINED: u8 = 0x42;
const SNAPSHOT: u8 = 0x43;
const UPDATE: u8 = 0x44;
const ACK: u8 = 0x45;
const NACK: u8 = 0x46;
const RELAY_PRESENCE: u8 = 0x47;
const LEFT: u8 = 0x48;
const GOAWAY: u8 = 0x49;
const REFUSED: u8 = 0x4a;

/// The wire table: direction, number, name, fields. A number is never used twice; retired ones stay here.
pub const TABLE: &[(&str, u8, &str, &str)] = &[
    ("client", HELLO, "Hello", "version client:string"),
    ("client", JOIN, "Join", "room:string token:bytes cursor:0|1,epoch[16],seq"),
    ("client", LEAVE, "Leave", "channel"),
    ("client", PUSH, "Push", "channel n update:rest"),
    ("client", CLIENT_PRESENCE, "Presence", "channel state:rest"),
    ("client", TOKEN, "Token", "channel token:rest"),
    ("both", PING, "Ping", "nonce"),
    ("both", PONG, "Pong", "nonce"),
    ("both", FRAGMENT, "Fragment", "total chunk:rest"),
    ("relay", WELCOME, "Welcome", "version ping_interval_ms max_update max_presence max_rooms"),
    ("relay", JOINED, "Joined", "room:string channel peer access:u8 epoch[16] head mode:u8"),
    ("relay", SNAPSHOT, "Snapshot", "channel seq update:rest"),
    ("relay", UPDATE, "Update", "channel seq update:rest"),
    ("relay", ACK, "Ack", "channel n seq"),
    ("relay", NACK, "Nack", "channel n code reason:string"),
    ("relay", RELAY_PRESENCE, "Presence", "channel peer state:rest"),
    ("relay", LEFT, "Left", "channel code reason:string"),
    ("relay", GOAWAY, "Goaway", "retry_after_ms jitter_ms"),
    ("relay", REFUSED, "Refused", "room:string code reason:string"),
];

/// Why bytes are no frame. Always the sender's fault; the connection closes with
/// [`crate::close::CloseCode::Malformed`] or, for [`FrameError::TooLong`], with `TooLarge`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A number that ends early or is too large.
    #[error(transparent)]
    Varint(#[from] VarintError),
    /// A length that does not fit what is there.
    #[error("a length of {claimed} where {left} bytes are left")]
    Length {
        /// The length as sent.
        claimed: u64,
        /// What the message still holds.
        left: usize,
    },
    /// A field past its limit.
    #[error("{what} has {bytes} bytes, at most {limit} are allowed")]
    TooLong {
        /// The field.
        what: &'static str,
        /// Its length as sent.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A type byte that this direction does not have.
    #[error("unknown frame type 0x{0:02x}")]
    UnknownType(u8),
    /// A one-byte field with a value that it does not have.
    #[error("{what} cannot be {value}")]
    UnknownValue {
        /// The field.
        what: &'static str,
        /// The value as sent.
        value: u64,
    },
    /// A text that is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A room without a name that can be one.
    #[error(transparent)]
    Room(#[from] RoomNameError),
    /// Bytes behind the last field.
    #[error("{0} bytes behind the last field")]
    Trailing(usize),
    /// A fragment that does not fit the ones before it.
    #[error("a fragment {0}")]
    Fragment(&'static str),
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are documented by the table above and by SPEC.md
pub enum ClientFrame {
    /// The first frame of a connection.
    Hello { version: u64, client: String },
    /// "Let me into this room; I have read it up to here."
    Join { room: RoomName, token: Bytes, cursor: Option<Cursor> },
    /// "I leave this room."
    Leave { channel: Channel },
    /// The `n`-th update of this join.
    Push { channel: Channel, n: u64, update: Bytes },
    /// This connection's presence in a room: UTF-8 JSON, empty for none.
    Presence { channel: Channel, state: Bytes },
    /// A fresh token for a room that was joined.
    Token { channel: Channel, token: Bytes },
    /// "Are you there?"
    Ping { nonce: u64 },
    /// "I am."
    Pong { nonce: u64 },
}

/// What a relay says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are documented by the table above and by SPEC.md
pub enum RelayFrame {
    /// The answer to Hello, with the limits in force.
    Welcome(Welcome),
    /// The answer to Join: the room's replay follows.
    Joined(Joined),
    /// All entries up to `seq` as one update; only in a reset.
    Snapshot { channel: Channel, seq: Seq, update: Bytes },
    /// The entry at `seq`, durable.
    Update { channel: Channel, seq: Seq, update: Bytes },
    /// Pushes up to `n` are durable; entries up to `seq` are the reader's own or were sent before this.
    Ack { channel: Channel, n: u64, seq: Seq },
    /// Push `n` and all later ones of this join are refused.
    Nack { channel: Channel, n: u64, code: u64, reason: String },
    /// Another connection's presence; empty when it left.
    Presence { channel: Channel, peer: Peer, state: Bytes },
    /// The relay takes the room away.
    Left { channel: Channel, code: u64, reason: String },
    /// The relay will close: come back after this time plus a random part of the jitter.
    Goaway { retry_after_ms: u64, jitter_ms: u64 },
    /// A Join that failed.
    Refused { room: RoomName, code: u64, reason: String },
    /// "Are you there?"
    Ping { nonce: u64 },
    /// "I am."
    Pong { nonce: u64 },
}

/// The limits that a relay has in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol version in use on this connection.
    pub version: u64,
    /// The longest silence of a living relay, in milliseconds.
    pub ping_interval_ms: u64,
    /// The largest update that is accepted, in bytes.
    pub max_update: u64,
    /// The longest presence state, in bytes.
    pub max_presence: u64,
    /// Rooms that this connection may be in at once.
    pub max_rooms: u64,
}

/// A room that lets a client in, and where its log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The room that was asked for.
    pub room: RoomName,
    /// The number that stands for it on this connection.
    pub channel: Channel,
    /// This connection, to the others in the room.
    pub peer: Peer,
    /// What this client may do there.
    pub access: Access,
    /// The life of the log.
    pub epoch: Epoch,
    /// Its newest entry; the replay ends there.
    pub head: Seq,
    /// Whether the replay goes on from the cursor or begins anew.
    pub mode: Mode,
}

/// What a member may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Pushes are refused.
    ReadOnly,
    /// Pushes are welcome.
    ReadWrite,
}

/// How a replay relates to the cursor of the Join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Exactly the entries behind the cursor follow.
    Resumed,
    /// The whole state follows; the cursor said nothing about this log.
    Reset,
}

impl ClientFrame {
    /// Reads a whole body, as [`crate::deframe::Deframer`] yields it.
    pub fn decode(mut body: Bytes) -> Result<Self, FrameError> {
        let body = &mut body;
        let frame = match read_u8(body)? {
            HELLO => ClientFrame::Hello {
                version: varint::read(body)?,
                client: read_string(body, "a client name", MAX_CLIENT_NAME_BYTES)?,
            },
            JOIN => ClientFrame::Join {
                room: read_room(body)?,
                token: read_bytes(body, "a token", MAX_TOKEN_BYTES)?,
                cursor: match read_u8(body)? {
                    0 => None,
                    1 => Some(Cursor { epoch: read_epoch(body)?, seq: Seq(varint::read(body)?) }),
                    value => return Err(FrameError::UnknownValue { what: "a cursor", value: value.into() }),
                },
            },
            LEAVE => ClientFrame::Leave { channel: read_channel(body)? },
            PUSH => {
                ClientFrame::Push { channel: read_channel(body)?, n: varint::read(body)?, update: rest(body) }
            }
            CLIENT_PRESENCE => {
                ClientFrame::Presence { channel: read_channel(body)?, state: read_presence(body)? }
            }
            TOKEN => ClientFrame::Token {
                channel: read_channel(body)?,
                token: read_rest(body, "a token", MAX_TOKEN_BYTES)?,
            },
            PING => ClientFrame::Ping { nonce: varint::read(body)? },
            PONG => ClientFrame::Pong { nonce: varint::read(body)? },
            other => return Err(FrameError::UnknownType(other)),
        };
        finish(body, frame)
    }

    /// Appends the frame with its length, in fragments if it is long.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut head = Vec::with_capacity(32);
        let payload = match self {
            ClientFrame::Hello { version, client } => {
                start(&mut head, HELLO, &[*version]);
                write_bytes(&mut head, client.as_bytes());
                None
            }
            ClientFrame::Join { room, token, cursor } => {
                start(&mut head, JOIN, &[]);
                write_bytes(&mut head, room.as_str().as_bytes());
                write_bytes(&mut head, token);
                match cursor {
                    None => head.push(0),
                    Some(cursor) => {
                        head.push(1);
                        head.extend_from_slice(&cursor.epoch.0);
                        varint::write(&mut head, cursor.seq.0);
                    }
                }
                None
            }
            ClientFrame::Leave { channel } => {
                start(&mut head, LEAVE, &[channel.0]);
                None
            }
            ClientFrame::Push { channel, n, update } => {
                start(&mut head, PUSH, &[channel.0, *n]);
                Some(update)
            }
            ClientFrame::Presence { channel, state } => {
                start(&mut head, CLIENT_PRESENCE, &[channel.0]);
                Some(state)
            }
            ClientFrame::Token { channel, token } => {
                start(&mut head, TOKEN, &[channel.0]);
                Some(token)
            }
            ClientFrame::Ping { nonce } => {
                start(&mut head, PING, &[*nonce]);
                None
            }
            ClientFrame::Pong { nonce } => {
                start(&mut head, PONG, &[*nonce]);
                None
            }
        };
        write_frame(out, &head, payload.map_or(&[], |payload| payload));
    }
}

impl RelayFrame {
    /// Reads a whole body, as [`crate::deframe::Deframer`] yields it.
    pub fn decode(mut body: Bytes) -> Result<Self, FrameError> {
        let body = &mut body;
        let frame = match read_u8(body)? {
            WELCOME => RelayFrame::Welcome(Welcome {
                version: varint::read(body)?,
                ping_interval_ms: varint::read(body)?,
                max_update: varint::read(body)?,
                max_presence: varint::read(body)?,
                max_rooms: varint::read(body)?,
            }),
            JOINED => RelayFrame::Joined(Joined {
                room: read_room(body)?,
                channel: read_channel(body)?,
                peer: Peer(varint::read(body)?),
                access: match read_u8(body)? {
                    0 => Access::ReadOnly,
                    1 => Access::ReadWrite,
                    value => return Err(FrameError::UnknownValue { what: "an access", value: value.into() }),
                },
                epoch: read_epoch(body)?,
                head: Seq(varint::read(body)?),
                mode: match read_u8(body)? {
                    0 => Mode::Resumed,
                    1 => Mode::Reset,
                    value => return Err(FrameError::UnknownValue { what: "a mode", value: value.into() }),
                },
            }),
            SNAPSHOT => RelayFrame::Snapshot {
                channel: read_channel(body)?,
                seq: Seq(varint::read(body)?),
                update: rest(body),
            },
            UPDATE => RelayFrame::Update {
                channel: read_channel(body)?,
                seq: Seq(varint::read(body)?),
                update: rest(body),
            },
            ACK => RelayFrame::Ack {
                channel: read_channel(body)?,
                n: varint::read(body)?,
                seq: Seq(varint::read(body)?),
            },
            NACK => RelayFrame::Nack {
                channel: read_channel(body)?,
                n: varint::read(body)?,
                code: varint::read(body)?,
                reason: read_string(body, "a reason", MAX_REASON_BYTES)?,
            },
            RELAY_PRESENCE => RelayFrame::Presence {
                channel: read_channel(body)?,
                peer: Peer(varint::read(body)?),
                state: read_presence(body)?,
            },
            LEFT => RelayFrame::Left {
                channel: read_channel(body)?,
                code: varint::read(body)?,
                reason: read_string(body, "a reason", MAX_REASON_BYTES)?,
            },
            GOAWAY => {
                RelayFrame::Goaway { retry_after_ms: varint::read(body)?, jitter_ms: varint::read(body)? }
            }
            REFUSED => RelayFrame::Refused {
                room: read_room(body)?,
                code: varint::read(body)?,
                reason: read_string(body, "a reason", MAX_REASON_BYTES)?,
            },
            PING => RelayFrame::Ping { nonce: varint::read(body)? },
            PONG => RelayFrame::Pong { nonce: varint::read(body)? },
            other => return Err(FrameError::UnknownType(other)),
        };
        finish(body, frame)
    }

    /// Appends the frame with its length, in fragments if it is long.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut head = Vec::with_capacity(32);
        let payload = match self {
            RelayFrame::Welcome(welcome) => {
                let Welcome { version, ping_interval_ms, max_update, max_presence, max_rooms } = *welcome;
                start(&mut head, WELCOME, &[version, ping_interval_ms, max_update, max_presence, max_rooms]);
                None
            }
            RelayFrame::Joined(Joined { room, channel, peer, access, epoch, head: seq, mode }) => {
                start(&mut head, JOINED, &[]);
                write_bytes(&mut head, room.as_str().as_bytes());
                varint::write(&mut head, channel.0);
                varint::write(&mut head, peer.0);
                head.push(match access {
                    Access::ReadOnly => 0,
                    Access::ReadWrite => 1,
                });
                head.extend_from_slice(&epoch.0);
                varint::write(&mut head, seq.0);
                head.push(match mode {
                    Mode::Resumed => 0,
                    Mode::Reset => 1,
                });
                None
            }
            RelayFrame::Snapshot { channel, seq, update } => {
                start(&mut head, SNAPSHOT, &[channel.0, seq.0]);
                Some(update)
            }
            RelayFrame::Update { channel, seq, update } => {
                start(&mut head, UPDATE, &[channel.0, seq.0]);
                Some(update)
            }
            RelayFrame::Ack { channel, n, seq } => {
                start(&mut head, ACK, &[channel.0, *n, seq.0]);
                None
            }
            RelayFrame::Nack { channel, n, code, reason } => {
                start(&mut head, NACK, &[channel.0, *n, *code]);
                write_bytes(&mut head, reason.as_bytes());
                None
            }
            RelayFrame::Presence { channel, peer, state } => {
                start(&mut head, RELAY_PRESENCE, &[channel.0, peer.0]);
                Some(state)
            }
            RelayFrame::Left { channel, code, reason } => {
                start(&mut head, LEFT, &[channel.0, *code]);
                write_bytes(&mut head, reason.as_bytes());
                None
            }
            RelayFrame::Goaway { retry_after_ms, jitter_ms } => {
                start(&mut head, GOAWAY, &[*retry_after_ms, *jitter_ms]);
                None
            }
            RelayFrame::Refused { room, code, reason } => {
                start(&mut head, REFUSED, &[]);
                write_bytes(&mut head, room.as_str().as_bytes());
                varint::write(&mut head, *code);
                write_bytes(&mut head, reason.as_bytes());
                None
            }
            RelayFrame::Ping { nonce } => {
                start(&mut head, PING, &[*nonce]);
                None
            }
            RelayFrame::Pong { nonce } => {
                start(&mut head, PONG, &[*nonce]);
                None
            }
        };
        write_frame(out, &head, payload.map_or(&[], |payload| payload));
    }
}

/// Appends an Update frame without owning the update: the relay's hot path.
pub fn write_update(out: &mut Vec<u8>, channel: Channel, seq: Seq, update: &[u8]) {
    let mut head = [0u8; 21];
    head[0] = UPDATE;
    let mut at = 1;
    for number in [channel.0, seq.0] {
        let mut left = number;
        while left >= 0x80 {
            head[at] = left as u8 | 0x80;
            left >>= 7;
            at += 1;
        }
        head[at] = left as u8;
        at += 1;
    }
    write_frame(out, &head[..at], update);
}

fn start(head: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    head.push(kind);
    numbers.iter().for_each(|&number| varint::write(head, number));
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::write(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the body `head ‖ payload`: whole if it is short, else as fragments.
fn write_frame(out: &mut Vec<u8>, head: &[u8], payload: &[u8]) {
    let total = head.len() + payload.len();
    if total <= FRAGMENT_BYTES {
        out.reserve(total + varint::len(total as u64));
        varint::write(out, total as u64);
        out.extend_from_slice(head);
        out.extend_from_slice(payload);
        return;
    }
    // Only payloads are long, so the first fragment holds the whole head.
    let (first, mut left) = payload.split_at(FRAGMENT_BYTES - head.len());
    write_fragment(out, total, &[head, first]);
    while !left.is_empty() {
        let (chunk, after) = left.split_at(left.len().min(FRAGMENT_BYTES));
        write_fragment(out, total, &[chunk]);
        left = after;
    }
}

fn write_fragment(out: &mut Vec<u8>, total: usize, chunks: &[&[u8]]) {
    let bytes: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    varint::write(out, (1 + varint::len(total as u64) + bytes) as u64);
    out.push(FRAGMENT);
    varint::write(out, total as u64);
    chunks.iter().for_each(|chunk| out.extend_from_slice(chunk));
}

fn read_u8(body: &mut Bytes) -> Result<u8, FrameError> {
    if body.is_empty() {
        return Err(VarintError::Truncated.into());
    }
    Ok(body.get_u8())
}

fn read_channel(body: &mut Bytes) -> Result<Channel, FrameError> {
    Ok(Channel(varint::read(body)?))
}

fn read_epoch(body: &mut Bytes) -> Result<Epoch, FrameError> {
    if body.len() < 16 {
        return Err(FrameError::Length { claimed: 16, left: body.len() });
    }
    let mut epoch = Epoch::default();
    body.copy_to_slice(&mut epoch.0);
    Ok(epoch)
}

fn read_bytes(body: &mut Bytes, what: &'static str, limit: usize) -> Result<Bytes, FrameError> {
    let claimed = varint::read(body)?;
    if claimed > limit as u64 {
        return Err(FrameError::TooLong { what, bytes: claimed, limit: limit as u64 });
    }
    if claimed > body.len() as u64 {
        return Err(FrameError::Length { claimed, left: body.len() });
    }
    Ok(body.split_to(claimed as usize))
}

fn read_string(body: &mut Bytes, what: &'static str, limit: usize) -> Result<String, FrameError> {
    let bytes = read_bytes(body, what, limit)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| FrameError::NotUtf8(what))
}

fn read_room(body: &mut Bytes) -> Result<RoomName, FrameError> {
    // The name's own limit makes the better message; this one only bounds the copy.
    let name = read_string(body, "a room name", crate::limits::MAX_ROOM_NAME_BYTES)?;
    Ok(RoomName::new(&name)?)
}

fn read_presence(body: &mut Bytes) -> Result<Bytes, FrameError> {
    let state = read_rest(body, "a presence state", MAX_PRESENCE_BYTES)?;
    std::str::from_utf8(&state).map_err(|_| FrameError::NotUtf8("a presence state"))?;
    Ok(state)
}

fn read_rest(body: &mut Bytes, what: &'static str, limit: usize) -> Result<Bytes, FrameError> {
    if body.len() > limit {
        return Err(FrameError::TooLong { what, bytes: body.len() as u64, limit: limit as u64 });
    }
    Ok(rest(body))
}

fn rest(body: &mut Bytes) -> Bytes {
    body.split_to(body.len())
}

fn finish<F>(body: &Bytes, frame: F) -> Result<F, FrameError> {
    if body.is_empty() { Ok(frame) } else { Err(FrameError::Trailing(body.len())) }
}

#[cfg(test)]
mod tests;
