//! Where the parts of a client leave what they want done, and how they say that a relay broke the protocol.

use crate::{Event, RoomError, RoomId, Wish};
use hither_protocol::enframe::Enframer;
use hither_protocol::limits::MAX_UPDATE_BYTES;
use std::collections::VecDeque;

/// Where rooms leave what they want said and done.
pub(crate) struct Outlet {
    pub(crate) wishes: VecDeque<Wish>,
    pub(crate) frames: Enframer,
    /// The largest update that the relay takes, in bytes.
    pub(crate) max_update: usize,
}

impl Default for Outlet {
    fn default() -> Self {
        Self { wishes: VecDeque::new(), frames: Enframer::default(), max_update: MAX_UPDATE_BYTES }
    }
}

impl Outlet {
    pub(crate) fn event(&mut self, room: RoomId, event: Event) {
        self.wishes.push_back(Wish::Event { room, event });
    }

    pub(crate) fn error(&mut self, room: RoomId, code: &'static str, message: &str) {
        self.event(room, Event::Error(RoomError { code, message: message.to_owned() }));
    }
}

/// A relay that breaks the protocol. The connection is closed and tried again later.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);
