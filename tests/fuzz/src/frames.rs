//! The frames of `/sync`, from the WebSocket message to the frame and back.

use bytes::Bytes;
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::{ClientFrame, RelayFrame};
use hither_protocol::limits::{MAX_CLIENT_FRAME_BYTES, MAX_MESSAGE_BYTES};

/// The first byte says where the rest is cut into messages; the messages go to both sides.
pub fn messages(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let stream = Bytes::copy_from_slice(rest);
    let size = if first == 0 { rest.len().max(1) } else { usize::from(first) };
    let mut deframer = Deframer::new(MAX_CLIENT_FRAME_BYTES);
    let (mut came, mut yielded) = (0, 0);
    for at in (0..stream.len()).step_by(size) {
        let message = stream.slice(at..stream.len().min(at + size));
        came += message.len();
        let mut is_broken = false;
        for body in deframer.read(message) {
            assert!(!is_broken, "a body behind an error");
            let Ok(body) = body else {
                is_broken = true;
                continue;
            };
            yielded += body.len();
            assert!(!body.is_empty());
            of_client(body.clone());
            of_relay(body);
        }
        if is_broken {
            return;
        }
        assert!(deframer.held_bytes() + yielded <= came, "more than what came");
    }
}

fn of_client(body: Bytes) {
    let length = body.len();
    let Ok(frame) = ClientFrame::decode(body) else { return };
    let mut again = Vec::new();
    frame.encode(&mut again);
    let read = reread(&again).map(|body| ClientFrame::decode(body).unwrap());
    assert_eq!(read, [frame]);
    assert!(again.len() <= length + length / 64 + 64, "{length} bytes became {}", again.len());
}

fn of_relay(body: Bytes) {
    let Ok(frame) = RelayFrame::decode(body) else { return };
    let mut again = Vec::new();
    frame.encode(&mut again);
    assert_eq!(reread(&again).map(|body| RelayFrame::decode(body).unwrap()), [frame]);
}

/// The one body of an encoded frame, which may have been written in fragments.
fn reread(encoded: &[u8]) -> [Bytes; 1] {
    assert!(encoded.len() <= MAX_MESSAGE_BYTES, "the inputs here are shorter than a message");
    let mut deframer = Deframer::new(MAX_CLIENT_FRAME_BYTES);
    let bodies: Result<Vec<Bytes>, _> = deframer.read(Bytes::copy_from_slice(encoded)).collect();
    bodies.unwrap().try_into().unwrap()
}
