//! The words of y-protocols, read and written: what a stock Yjs client says and understands.
//!
//! No rooms and no sockets here. Only message numbers 0, 1 and 3 are ever written: stock clients do not skip
//! what they do not know.
//!
//! ```text
//!   0 sync       0 step1 bytes(state vector) │ 1 step2 bytes(update) │ 2 update bytes(update)
//!   1 awareness  bytes( n { client clock string(JSON or "null") }* )
//!   3 query awareness
//! ```
//!
//! Messages are written behind their length, so that a chunk can hold many: a stock client reads one message
//! per WebSocket message, and the socket takes the chunk apart again.

use bytes::Bytes;
use hither_protocol::{
    limits::MAX_PRESENCE_BYTES,
    varint::{self, VarintError},
};
use std::collections::BTreeMap;

const SYNC: u64 = 0;
const AWARENESS: u64 = 1;
const QUERY_AWARENESS: u64 = 3;

const STEP1: u64 = 0;
const STEP2: u64 = 1;
const UPDATE: u64 = 2;

/// Awareness entries that one message may carry: a client in a room of this many people sends all of them
/// when it is asked.
pub const MAX_AWARENESS_ENTRIES: usize = 1_024;

/// Clients that a state vector may name: each is at least two bytes, 100,000 authors make some 800 KB.
pub const MAX_STATE_VECTOR_CLIENTS: usize = 100_000;

/// What a document has, as Yjs says it: per client the number of leading ids.
pub type StateVector = BTreeMap<u64, u32>;

/// One person's presence as stock clients exchange it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwarenessEntry {
    /// The Yjs client id.
    pub client: u64,
    /// Newer entries have higher clocks.
    pub clock: u32,
    /// JSON; `None` says that the client is gone.
    pub state: Option<Bytes>,
}

/// A message of a stock client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum YMessage {
    /// "This is what I have: send the rest."
    Step1(StateVector),
    /// The answer to our step 1.
    Step2(Bytes),
    /// A change.
    Update(Bytes),
    /// Presence, its own and what it heard of others.
    Awareness(Vec<AwarenessEntry>),
    /// "Who is here?"
    QueryAwareness,
}

/// Why bytes are no message of y-protocols that a relay understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YError {
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
    /// A message number that this door does not speak.
    #[error("unknown message {0}")]
    UnknownMessage(u64),
    /// A number past its limit.
    #[error("{what}: {value}, at most {limit} are allowed")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The value as sent.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// An awareness state that is not JSON.
    #[error("an awareness state is not JSON")]
    NotJson,
    /// Bytes behind the message.
    #[error("{0} bytes behind the message")]
    Trailing(usize),
}

impl YMessage {
    /// Reads a whole WebSocket message.
    pub fn decode(mut message: Bytes) -> Result<YMessage, YError> {
        let body = &mut message;
        let read = match varint::read(body)? {
            SYNC => match varint::read(body)? {
                STEP1 => YMessage::Step1(read_state_vector(&mut read_bytes(body)?)?),
                STEP2 => YMessage::Step2(read_bytes(body)?),
                UPDATE => YMessage::Update(read_bytes(body)?),
                other => return Err(YError::UnknownMessage(other)),
            },
            AWARENESS => YMessage::Awareness(read_awareness(&mut read_bytes(body)?)?),
            QUERY_AWARENESS => YMessage::QueryAwareness,
            other => return Err(YError::UnknownMessage(other)),
        };
        finish(body)?;
        Ok(read)
    }
}

/// Appends an update, which may be any part of the log.
pub fn write_update(out: &mut Vec<u8>, update: &[u8]) {
    write_sync(out, UPDATE, update);
}

/// Appends a step 2: a stock client is "synced" when it has read it.
pub fn write_step2(out: &mut Vec<u8>, update: &[u8]) {
    write_sync(out, STEP2, update);
}

/// Appends a step 1: the client answers with what the vector lacks.
pub fn write_step1(out: &mut Vec<u8>, vector: &StateVector) {
    let mut bytes = Vec::with_capacity(10 + 10 * vector.len());
    varint::write(&mut bytes, vector.len() as u64);
    for (&client, &clock) in vector {
        varint::write(&mut bytes, client);
        varint::write(&mut bytes, u64::from(clock));
    }
    write_sync(out, STEP1, &bytes);
}

/// Appends an awareness message; without entries it only says "I am here".
pub fn write_awareness<'a>(out: &mut Vec<u8>, entries: impl ExactSizeIterator<Item = (u64, u32, &'a [u8])>) {
    let mut bytes = Vec::new();
    varint::write(&mut bytes, entries.len() as u64);
    for (client, clock, state) in entries {
        varint::write(&mut bytes, client);
        varint::write(&mut bytes, u64::from(clock));
        let state = if state.is_empty() { b"null" } else { state };
        varint::write(&mut bytes, state.len() as u64);
        bytes.extend_from_slice(state);
    }
    varint::write(out, (1 + varint::len(bytes.len() as u64) + bytes.len()) as u64);
    out.push(AWARENESS as u8);
    varint::write(out, bytes.len() as u64);
    out.extend_from_slice(&bytes);
}

fn write_sync(out: &mut Vec<u8>, kind: u64, bytes: &[u8]) {
    let len = bytes.len() as u64;
    varint::write(out, (2 + varint::len(len) + bytes.len()) as u64);
    out.extend_from_slice(&[SYNC as u8, kind as u8]);
    varint::write(out, len);
    out.extend_from_slice(bytes);
}

/// Whether bytes are one JSON text. Stock clients throw where they parse awareness that is not.
pub fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

fn read_bytes(body: &mut Bytes) -> Result<Bytes, YError> {
    let claimed = varint::read(body)?;
    if claimed > body.len() as u64 {
        return Err(YError::Length { claimed, left: body.len() });
    }
    Ok(body.split_to(claimed as usize))
}

fn read_count(body: &mut Bytes, what: &'static str, limit: usize) -> Result<usize, YError> {
    let value = varint::read(body)?;
    if value > limit as u64 {
        return Err(YError::TooLarge { what, value, limit: limit as u64 });
    }
    Ok(value as usize)
}

fn read_u32(body: &mut Bytes, what: &'static str) -> Result<u32, YError> {
    let value = varint::read(body)?;
    u32::try_from(value).map_err(|_| YError::TooLarge { what, value, limit: u64::from(u32::MAX) })
}

/// Client ids have at most 53 bits: JavaScript counts no further.
fn read_client(body: &mut Bytes) -> Result<u64, YError> {
    let (value, limit) = (varint::read(body)?, (1 << 53) - 1);
    if value > limit { Err(YError::TooLarge { what: "a client id", value, limit }) } else { Ok(value) }
}

fn read_state_vector(body: &mut Bytes) -> Result<StateVector, YError> {
    let count = read_count(body, "clients of a state vector", MAX_STATE_VECTOR_CLIENTS)?;
    let mut vector = StateVector::new();
    for _ in 0..count {
        vector.insert(read_client(body)?, read_u32(body, "a clock")?);
    }
    finish(body)?;
    Ok(vector)
}

fn read_awareness(body: &mut Bytes) -> Result<Vec<AwarenessEntry>, YError> {
    let count = read_count(body, "awareness entries", MAX_AWARENESS_ENTRIES)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let client = read_client(body)?;
        let clock = read_u32(body, "a clock")?;
        let state = read_bytes(body)?;
        let state = match &state[..] {
            b"null" => None,
            json if json.len() > MAX_PRESENCE_BYTES => {
                let (value, limit) = (json.len() as u64, MAX_PRESENCE_BYTES as u64);
                return Err(YError::TooLarge { what: "bytes of an awareness state", value, limit });
            }
            json if is_json(json) => Some(state),
            _ => return Err(YError::NotJson),
        };
        entries.push(AwarenessEntry { client, clock, state });
    }
    finish(body)?;
    Ok(entries)
}

fn finish(body: &Bytes) -> Result<(), YError> {
    if body.is_empty() { Ok(()) } else { Err(YError::Trailing(body.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only message of a chunk.
    fn message(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let mut chunk = Vec::new();
        write(&mut chunk);
        let mut chunk = Bytes::from(chunk);
        assert_eq!(varint::read(&mut chunk), Ok(chunk.len() as u64));
        chunk
    }

    fn samples() -> Vec<(Bytes, YMessage)> {
        let vector = StateVector::from([(7, 3), ((1 << 53) - 1, u32::MAX)]);
        let update = Bytes::from_static(&[1, 1, 7, 0, 4, 1, 1, b't', 2, b'h', b'i', 0]);
        let entry = |state: Option<&'static [u8]>| AwarenessEntry {
            client: 300,
            clock: 9,
            state: state.map(Bytes::from_static),
        };
        vec![
            (message(|out| write_step1(out, &vector)), YMessage::Step1(vector.clone())),
            (message(|out| write_step2(out, &update)), YMessage::Step2(update.clone())),
            (message(|out| write_update(out, &update)), YMessage::Update(update.clone())),
            (message(|out| write_awareness(out, [].into_iter())), YMessage::Awareness(vec![])),
            (
                message(|out| write_awareness(out, [(300, 9, &b""[..]), (300, 9, b"{}")].into_iter())),
                YMessage::Awareness(vec![entry(None), entry(Some(b"{}"))]),
            ),
            (Bytes::from_static(&[3]), YMessage::QueryAwareness),
        ]
    }

    #[test]
    fn every_message_survives_the_round_trip_and_no_truncation_or_extension_decodes() {
        for (bytes, read) in samples() {
            assert_eq!(YMessage::decode(bytes.clone()), Ok(read));
            for cut in 0..bytes.len() {
                assert!(YMessage::decode(bytes.slice(..cut)).is_err());
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(YMessage::decode(longer.into()), Err(YError::Trailing(1)));
        }
    }

    #[test]
    fn messages_of_other_servers_are_unknown() {
        for number in [2u8, 4, 8, 10, 102] {
            assert!(YMessage::decode(Bytes::from(vec![number, 0])).is_err());
        }
    }

    #[test]
    fn an_awareness_state_is_accepted_at_its_limit_and_refused_one_past_it_or_when_it_is_not_json() {
        let of =
            |state: &[u8]| YMessage::decode(message(|out| write_awareness(out, [(1, 1, state)].into_iter())));
        let text = |bytes: usize| format!("\"{}\"", "a".repeat(bytes - 2)).into_bytes();
        assert!(of(&text(MAX_PRESENCE_BYTES)).is_ok());
        assert!(matches!(of(&text(MAX_PRESENCE_BYTES + 1)), Err(YError::TooLarge { .. })));
        for bad in [&b"{"[..], b"\xff\xff", b"{} {}", b"\"\xff\""] {
            assert_eq!(of(bad), Err(YError::NotJson));
        }
    }

    #[test]
    fn counts_that_lie_take_no_memory() {
        let mut step1 = vec![0, 0, 4];
        step1.extend([0x9f, 0x8d, 0x06, 1]);
        assert_eq!(YMessage::decode(step1.into()), Err(VarintError::Truncated.into()));
        assert!(matches!(
            YMessage::decode(Bytes::from_static(&[1, 4, 0xff, 0xff, 0xff, 0x0f])),
            Err(YError::TooLarge { .. })
        ));
    }
}
