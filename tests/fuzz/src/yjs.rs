//! The messages of `/yjs`: what stock clients send, awareness among them.

use bytes::Bytes;
use hither_protocol::varint;
use hither_relay::yprotocol::{YMessage, is_json, write_awareness, write_step1, write_step2, write_update};

/// One WebSocket message.
pub fn message(bytes: &[u8]) {
    let Ok(read) = YMessage::decode(Bytes::copy_from_slice(bytes)) else { return };
    let mut chunk = Vec::new();
    match &read {
        YMessage::Step1(vector) => write_step1(&mut chunk, vector),
        YMessage::Step2(update) => write_step2(&mut chunk, update),
        YMessage::Update(update) => write_update(&mut chunk, update),
        YMessage::Awareness(entries) => {
            for state in entries.iter().filter_map(|entry| entry.state.as_deref()) {
                assert!(is_json(state) && state != b"null", "stock clients would throw");
            }
            let entries = entries.iter();
            let entries =
                entries.map(|entry| (entry.client, entry.clock, entry.state.as_deref().unwrap_or_default()));
            write_awareness(&mut chunk, entries.collect::<Vec<_>>().into_iter());
        }
        YMessage::QueryAwareness => return,
    }
    let mut chunk = Bytes::from(chunk);
    assert_eq!(varint::read(&mut chunk), Ok(chunk.len() as u64), "a chunk of one message");
    assert_eq!(YMessage::decode(chunk), Ok(read));
}
