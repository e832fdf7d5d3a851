//! WebSocket messages into frame bodies. A message holds one frame or several, each behind its length; a body
//! that is too long for one message arrives as consecutive Fragment frames and is joined here.
//!
//! ```text
//!   message ──► varuint(len) body │ varuint(len) body │ …
//!                            └─ 0x22 total chunk ─► joined ─► body
//! ```
//!
//! The memory held is what has arrived, never what a length claims.

use crate::frames::{FRAGMENT, FrameError};
use crate::varint;
use bytes::{Buf, Bytes};

/// Takes one direction of one connection apart. After an error the connection is beyond repair.
#[derive(Debug)]
pub struct Deframer {
    max_body: usize,
    joining: Option<Joining>,
}

/// A body of which some fragments have arrived.
#[derive(Debug)]
struct Joining {
    total: usize,
    joined: Vec<u8>,
}

impl Deframer {
    /// `max_body`: the longest body that is accepted, in bytes, whole or joined.
    pub fn new(max_body: usize) -> Self {
        Self { max_body, joining: None }
    }

    /// The bodies that this message completes, in their order.
    pub fn read(&mut self, message: Bytes) -> Bodies<'_> {
        Bodies { deframer: self, message }
    }

    /// Bytes of an unfinished body that are held, for accounting.
    pub fn held_bytes(&self) -> usize {
        self.joining.as_ref().map_or(0, |joining| joining.joined.len())
    }

    fn take_fragment(&mut self, mut fragment: Bytes) -> Result<Option<Bytes>, FrameError> {
        let total = varint::read(&mut fragment)?;
        let total = usize::try_from(total).ok().filter(|&total| total <= self.max_body).ok_or(
            FrameError::TooLong { what: "a fragmented frame", bytes: total, limit: self.max_body as u64 },
        )?;
        if fragment.is_empty() {
            return Err(FrameError::Fragment("empty"));
        }
        let joining = self.joining.get_or_insert_with(|| Joining { total, joined: Vec::new() });
        if joining.total != total {
            return Err(FrameError::Fragment("of another frame"));
        }
        if joining.joined.len() + fragment.len() > total {
            return Err(FrameError::Fragment("past the announced end"));
        }
        joining.joined.extend_from_slice(&fragment);
        if joining.joined.len() < total {
            return Ok(None);
        }
        let body = self.joining.take().map(|joining| Bytes::from(joining.joined));
        match body.as_deref() {
            Some([FRAGMENT, ..]) => Err(FrameError::Fragment("inside a fragment")),
            _ => Ok(body),
        }
    }
}

/// The bodies of one message; see [`Deframer::read`].
#[derive(Debug)]
pub struct Bodies<'a> {
    deframer: &'a mut Deframer,
    message: Bytes,
}

impl Bodies<'_> {
    fn step(&mut self) -> Result<Option<Bytes>, FrameError> {
        while !self.message.is_empty() {
            let len = varint::read(&mut self.message)?;
            if len > self.deframer.max_body as u64 {
                let limit = self.deframer.max_body as u64;
                return Err(FrameError::TooLong { what: "a frame", bytes: len, limit });
            }
            if len == 0 || len > self.message.len() as u64 {
                return Err(FrameError::Length { claimed: len, left: self.message.len() });
            }
            let mut body = self.message.split_to(len as usize);
            if body[0] != FRAGMENT {
                return Ok(Some(body));
            }
            body.advance(1);
            if let Some(body) = self.deframer.take_fragment(body)? {
                return Ok(Some(body));
            }
        }
        Ok(None)
    }
}

impl Iterator for Bodies<'_> {
    type Item = Result<Bytes, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            // Nothing after a broken frame can be trusted to begin where it seems to.
            self.message.clear();
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{ClientFrame, RelayFrame};
    use crate::ids::{Channel, Seq};
    use crate::limits::{FRAGMENT_BYTES, MAX_CLIENT_FRAME_BYTES};

    fn bodies(deframer: &mut Deframer, message: &[u8]) -> Result<Vec<Bytes>, FrameError> {
        deframer.read(Bytes::copy_from_slice(message)).collect()
    }

    /// [T3]
    #[test]
    fn several_frames_share_a_message() {
        let mut message = Vec::new();
        ClientFrame::Ping { nonce: 1 }.encode(&mut message);
        ClientFrame::Leave { channel: Channel(300) }.encode(&mut message);
        let got = bodies(&mut Deframer::new(1024), &message).unwrap();
        let frames: Vec<_> = got.into_iter().map(|body| ClientFrame::decode(body).unwrap()).collect();
        assert_eq!(frames, [ClientFrame::Ping { nonce: 1 }, ClientFrame::Leave { channel: Channel(300) }]);
    }

    /// [T6]
    #[test]
    fn a_long_frame_travels_in_fragments_and_others_may_stand_between() {
        let update = Bytes::from(vec![7u8; 3 * FRAGMENT_BYTES + 5]);
        let frame = RelayFrame::Update { channel: Channel(1), seq: Seq(9), update };
        let mut message = Vec::new();
        frame.encode(&mut message);
        let mut ping = Vec::new();
        RelayFrame::Ping { nonce: 3 }.encode(&mut ping);

        let mut deframer = Deframer::new(MAX_CLIENT_FRAME_BYTES);
        let mut rest = Bytes::from(message);
        let mut seen = Vec::new();
        while !rest.is_empty() {
            let (len, header) = varint::peek(&rest).unwrap();
            let part = rest.split_to(header + len as usize);
            assert!(part.len() <= FRAGMENT_BYTES + 64);
            for piece in [&part[..], &ping[..]] {
                seen.extend(bodies(&mut deframer, piece).unwrap());
            }
        }
        let frames: Vec<_> = seen.into_iter().map(|body| RelayFrame::decode(body).unwrap()).collect();
        assert_eq!(frames.iter().filter(|f| matches!(f, RelayFrame::Ping { nonce: 3 })).count(), 4);
        assert!(frames.contains(&frame));
        assert_eq!(deframer.held_bytes(), 0);
    }

    /// [T3]
    #[test]
    fn lengths_that_lie_are_refused_before_memory_is_taken() {
        let huge = |total: u64| {
            let mut body = vec![FRAGMENT];
            varint::write(&mut body, total);
            body.push(0);
            let mut message = vec![body.len() as u8];
            message.extend(body);
            message
        };
        let mut deframer = Deframer::new(100);
        assert!(matches!(bodies(&mut deframer, &huge(1 << 62)), Err(FrameError::TooLong { .. })));
        assert!(matches!(bodies(&mut deframer, &huge(101)), Err(FrameError::TooLong { .. })));
        assert_eq!(bodies(&mut deframer, &huge(100)), Ok(vec![]));
        assert_eq!(deframer.held_bytes(), 1);
        assert_eq!(bodies(&mut deframer, &huge(99)), Err(FrameError::Fragment("of another frame")));
        assert!(matches!(bodies(&mut deframer, &[5, 0x20]), Err(FrameError::Length { .. })));
        assert!(matches!(bodies(&mut deframer, &[0]), Err(FrameError::Length { .. })));
        assert!(matches!(bodies(&mut deframer, &[0x80]), Err(FrameError::Varint(_))));
    }

    /// [T6]
    #[test]
    fn a_fragment_inside_a_fragment_is_refused() {
        let mut deframer = Deframer::new(100);
        let inner = [FRAGMENT, 1, 9];
        let mut body = vec![FRAGMENT, inner.len() as u8];
        body.extend(inner);
        let mut message = vec![body.len() as u8];
        message.extend(body);
        assert_eq!(bodies(&mut deframer, &message), Err(FrameError::Fragment("inside a fragment")));
    }
}
