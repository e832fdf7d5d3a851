//! Frames into WebSocket messages: as many as fit into one, the rest into the next.

use crate::frames::ClientFrame;
use crate::limits::MAX_MESSAGE_BYTES;
use crate::varint;
use bytes::Bytes;

/// Gathers one direction of one connection.
#[derive(Debug, Default)]
pub struct Enframer {
    frames: Vec<u8>,
}

impl Enframer {
    /// Appends a client's frame.
    pub fn push(&mut self, frame: &ClientFrame) {
        frame.encode(&mut self.frames);
    }

    /// Forgets what was not taken: the connection is gone.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// The gathered frames as messages of at most [`MAX_MESSAGE_BYTES`], in order.
    pub fn take(&mut self) -> Messages {
        Messages { frames: Bytes::from(std::mem::take(&mut self.frames)) }
    }
}

/// Encoded frames cut into messages between frames.
#[derive(Debug)]
pub struct Messages {
    frames: Bytes,
}

impl Iterator for Messages {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.frames.len() <= MAX_MESSAGE_BYTES {
            let last = std::mem::take(&mut self.frames);
            return (!last.is_empty()).then_some(last);
        }
        let mut end = 0;
        while let Ok((length, header)) = varint::peek(&self.frames[end..]) {
            let next = end + header + length as usize;
            if next > MAX_MESSAGE_BYTES && end > 0 {
                break;
            }
            end = next;
        }
        Some(self.frames.split_to(end.min(self.frames.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deframe::Deframer;
    use crate::ids::Channel;

    /// [T7]
    #[test]
    fn messages_stay_below_the_limit_and_lose_nothing() {
        let mut enframer = Enframer::default();
        let sizes = [1, 70_000, 3, 1_000_000, 200_000, 0];
        let frames: Vec<ClientFrame> = (1u64..)
            .zip(sizes)
            .map(|(n, size)| ClientFrame::Push { channel: Channel(1), n, update: vec![7; size].into() })
            .collect();
        frames.iter().for_each(|frame| enframer.push(frame));
        let mut deframer = Deframer::new(2_000_000);
        let mut back = Vec::new();
        for message in enframer.take() {
            assert!(message.len() <= MAX_MESSAGE_BYTES);
            back.extend(deframer.read(message).map(|body| ClientFrame::decode(body.unwrap()).unwrap()));
        }
        assert_eq!(back, frames);
        assert_eq!(enframer.take().count(), 0);
    }
}
