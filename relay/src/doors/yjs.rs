//! The door `/yjs/{room}`: plain y-protocols, for stock Yjs clients. One socket, one room.
//!
//! The exchange, seen from the client:
//! ```text
//!   step 1 (what I have) ─►
//!                          ◄─ updates that it may lack, from the log, as they are
//!                          ◄─ step 2: deletions of what it has; now it counts itself synced
//!                          ◄─ step 1 (what the log has), never empty for a room with content
//!   step 2 (the rest)    ─►   stored without what the log has already
//!                          ◄─ echo, when it is durable
//! ```

use crate::{
    node::{Node, Place},
    outbox::{Closing, Outbox},
    room::Kind,
    socket::{Door, Framing, Ping},
    yprotocol::{YError, YMessage},
};
use bytes::Bytes;
use hither_protocol::{
    close::{CloseCode, short_reason},
    frames::Access,
    ids::RoomName,
    limits::MAX_UPDATE_BYTES,
    scan::scan,
};
use std::sync::Arc;

/// One connection.
pub(crate) struct YjsDoor {
    outbox: Arc<Outbox>,
    place: Place,
}

impl YjsDoor {
    pub(crate) fn new(node: &Arc<Node>, outbox: Arc<Outbox>, room: &RoomName) -> Result<YjsDoor, Closing> {
        match node.join(room, Kind::Yjs, Access::ReadWrite, None, &outbox) {
            Ok(place) => Ok(YjsDoor { outbox, place }),
            Err(full) => Err(Closing::new(CloseCode::Busy, full)),
        }
    }

    fn push(&self, update: Bytes) -> Result<(), Closing> {
        if update.len() > MAX_UPDATE_BYTES {
            return Err(Closing::new(CloseCode::TooLarge, "the update is too large"));
        }
        let scan = scan(&update)
            .map_err(|error| Closing::new(CloseCode::Malformed, short_reason(&error.to_string())))?;
        self.outbox.pushed(update.len());
        self.place.tell(|room, member, _| room.handle_push(member, 0, update, scan));
        Ok(())
    }
}

impl Door for YjsDoor {
    fn handle_message(&mut self, message: Bytes) -> Result<(), Closing> {
        match YMessage::decode(message).map_err(|error| broken(&error))? {
            YMessage::Step1(vector) => {
                self.place.tell(|room, member, _| room.handle_step1(member, vector));
            }
            YMessage::Step2(update) | YMessage::Update(update) => self.push(update)?,
            YMessage::Awareness(entries) => {
                self.place.tell(|room, member, now| room.handle_awareness(member, &entries, now));
            }
            YMessage::QueryAwareness => {
                self.place.tell(|room, member, _| room.handle_query_awareness(member));
            }
        }
        Ok(())
    }

    fn ping(&mut self) -> Ping {
        Ping::WebSocket
    }

    fn is_introduced(&self) -> bool {
        true
    }

    fn framing(&self) -> Framing {
        Framing::Apart
    }
}

fn broken(error: &YError) -> Closing {
    let code = match error {
        YError::TooLarge { .. } => CloseCode::TooLarge,
        _ => CloseCode::Malformed,
    };
    Closing::new(code, error)
}
