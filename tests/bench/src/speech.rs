//! How a person speaks with each kind of server: bytes to send, and what a message means.
//!
//! Three ways: nothing but the update (the bare broadcasts), hither.v1, and y-protocols, which Hocuspocus wraps in
//! the name of the document.

use crate::Failed;
use bytes::Bytes;
use hither_protocol::VERSION;
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::{ClientFrame, Joined, Mode, RelayFrame};
use hither_protocol::ids::{Channel, Cursor, Epoch, RoomName, Seq};
use hither_protocol::limits::MAX_RELAY_FRAME_BYTES;
use hither_protocol::varint;

/// What a message says.
pub(crate) enum Heard {
    /// The room is joined; the replay up to `head` follows.
    Joined { epoch: Epoch, head: Seq, mode: Mode },
    /// Updates of anybody. `seq` is the log's, where there is one.
    Update { seq: Option<Seq>, update: Bytes },
    /// A state as one update; with it a y-protocols client is in sync.
    State { seq: Option<Seq>, update: Bytes },
    /// Own updates are durable.
    Acknowledged { n: u64, seq: Seq },
    /// To be answered at once.
    Answer(Vec<u8>),
}

/// What a newcomer has of the room already.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub(crate) cursor: Option<Cursor>,
    /// As a Yjs state vector: author and clock.
    pub(crate) vector: Vec<(u64, u64)>,
    /// Keep the ids of what arrives, for a check against what was written.
    pub(crate) remembers: bool,
}

pub(crate) enum Speech {
    Opaque,
    Hither {
        deframer: Deframer,
        channel: Channel,
        pushed: u64,
    },
    /// `prefix` stands in front of every message.
    Yjs {
        prefix: Vec<u8>,
    },
}

impl Speech {
    pub(crate) fn hither() -> Speech {
        Speech::Hither { deframer: Deframer::new(MAX_RELAY_FRAME_BYTES), channel: Channel(0), pushed: 0 }
    }

    /// The messages of a newcomer.
    pub(crate) fn greet(&self, room: &str, known: &Known) -> Result<Vec<Vec<u8>>, Failed> {
        match self {
            Speech::Opaque => Ok(vec![]),
            Speech::Hither { .. } => {
                let mut message = Vec::new();
                ClientFrame::Hello { version: VERSION, client: "hither-bench".into() }.encode(&mut message);
                let room = RoomName::new(room)?;
                ClientFrame::Join { room, token: Bytes::new(), cursor: known.cursor }.encode(&mut message);
                Ok(vec![message])
            }
            Speech::Yjs { prefix } => {
                let mut messages = Vec::new();
                if !prefix.is_empty() {
                    // Hocuspocus wants a token before all else, if only an empty one.
                    messages.push([prefix.as_slice(), &[2, 0, 0]].concat());
                }
                let mut vector = Vec::new();
                varint::write(&mut vector, known.vector.len() as u64);
                for (author, clock) in &known.vector {
                    varint::write(&mut vector, *author);
                    varint::write(&mut vector, *clock);
                }
                messages.push(wrap(prefix, &[0, 0], &vector));
                Ok(messages)
            }
        }
    }

    /// `updates` as messages.
    pub(crate) fn push(&mut self, updates: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        match self {
            Speech::Opaque => updates,
            Speech::Hither { channel, pushed, .. } => {
                let mut message = Vec::with_capacity(updates.len() * 40);
                for update in updates {
                    *pushed += 1;
                    ClientFrame::Push { channel: *channel, n: *pushed, update: update.into() }
                        .encode(&mut message);
                }
                vec![message]
            }
            Speech::Yjs { prefix } => updates.iter().map(|update| wrap(prefix, &[0, 2], update)).collect(),
        }
    }

    /// What `message` says, in order.
    pub(crate) fn hear(&mut self, message: Bytes) -> Result<Vec<Heard>, Failed> {
        match self {
            Speech::Opaque => Ok(vec![Heard::Update { seq: None, update: message }]),
            Speech::Hither { deframer, channel, .. } => {
                let mut heard = Vec::new();
                for body in deframer.read(message) {
                    heard.extend(relay_says(RelayFrame::decode(body?)?, channel)?);
                }
                Ok(heard)
            }
            Speech::Yjs { prefix } => yjs_says(prefix, message),
        }
    }
}

fn relay_says(frame: RelayFrame, channel: &mut Channel) -> Result<Option<Heard>, Failed> {
    Ok(Some(match frame {
        RelayFrame::Joined(Joined { channel: given, epoch, head, mode, .. }) => {
            *channel = given;
            Heard::Joined { epoch, head, mode }
        }
        RelayFrame::Snapshot { seq, update, .. } => Heard::State { seq: Some(seq), update },
        RelayFrame::Update { seq, update, .. } => Heard::Update { seq: Some(seq), update },
        RelayFrame::Ack { n, seq, .. } => Heard::Acknowledged { n, seq },
        RelayFrame::Ping { nonce } => {
            let mut answer = Vec::new();
            ClientFrame::Pong { nonce }.encode(&mut answer);
            Heard::Answer(answer)
        }
        RelayFrame::Nack { reason, .. } | RelayFrame::Refused { reason, .. } => {
            return Err(format!("refused: {reason}").into());
        }
        _ => return Ok(None),
    }))
}

fn yjs_says(prefix: &[u8], mut message: Bytes) -> Result<Vec<Heard>, Failed> {
    if !message.starts_with(prefix) {
        return Err("a message for another document".into());
    }
    let _ = message.split_to(prefix.len());
    let mut heard = Vec::new();
    // Some servers put several into one message.
    while !message.is_empty() {
        // 4 is Hocuspocus' name for an answer that wants none.
        if !matches!(varint::read(&mut message)?, 0 | 4) {
            return Ok(heard); // awareness, tokens, states: not what is measured
        }
        let kind = varint::read(&mut message)?;
        let length = varint::read(&mut message)? as usize;
        if length > message.len() {
            return Err("a message that is cut off".into());
        }
        let content = message.split_to(length);
        heard.push(match kind {
            // The server asks what we have: nothing that it lacks.
            0 => Heard::Answer(wrap(prefix, &[0, 1], &[0, 0])),
            1 => Heard::State { seq: None, update: content },
            _ => Heard::Update { seq: None, update: content },
        });
    }
    Ok(heard)
}

fn wrap(prefix: &[u8], head: &[u8], content: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(prefix.len() + content.len() + 8);
    message.extend_from_slice(prefix);
    message.extend_from_slice(head);
    varint::write(&mut message, content.len() as u64);
    message.extend_from_slice(content);
    message
}
