//! The door `/sync`: the SDK's protocol, `hither.v1`. One socket, many rooms.

use crate::{
    limits::SocketLimits,
    node::{Node, Place},
    outbox::{Closing, Outbox},
    room::{Kind, words},
    socket::{Door, Framing, Ping},
    yprotocol::is_json,
};
use bytes::Bytes;
use hither_protocol::{
    VERSION,
    close::{CloseCode, short_reason},
    deframe::Deframer,
    frames::{Access, ClientFrame, FrameError, RelayFrame, Welcome},
    ids::{Channel, Cursor, RoomName},
    limits::{MAX_CLIENT_FRAME_BYTES, MAX_PRESENCE_BYTES, MAX_ROOMS_PER_SOCKET, MAX_UPDATE_BYTES},
    scan::scan,
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::time::Instant;

/// One connection.
pub(crate) struct SyncDoor {
    node: Arc<Node>,
    outbox: Arc<Outbox>,
    deframer: Deframer,
    stage: Stage,
    /// Answers to the pings of one message: they leave as one chunk.
    pongs: Vec<u8>,
}

enum Stage {
    /// Nothing but Hello is understood.
    Stranger,
    /// Welcomed.
    Guest(Guest),
}

struct Guest {
    places: BTreeMap<Channel, (RoomName, Place)>,
    joins: JoinBudget,
    pings: u64,
}

impl SyncDoor {
    pub(crate) fn new(node: Arc<Node>, outbox: Arc<Outbox>) -> SyncDoor {
        let deframer = Deframer::new(MAX_CLIENT_FRAME_BYTES);
        SyncDoor { node, outbox, deframer, stage: Stage::Stranger, pongs: Vec::new() }
    }

    fn handle_frame(&mut self, frame: ClientFrame) -> Result<(), Closing> {
        let (guest, frame) = match (&mut self.stage, frame) {
            (Stage::Stranger, ClientFrame::Hello { version, .. }) => return self.welcome(version),
            (Stage::Stranger, _) => return Err(out_of_order("the first frame is Hello")),
            (Stage::Guest(_), ClientFrame::Hello { .. }) => return Err(out_of_order("a second Hello")),
            (Stage::Guest(guest), frame) => (guest, frame),
        };
        match frame {
            // Answered above.
            ClientFrame::Hello { .. } => {}
            // Without auth there is nothing to check a token against.
            ClientFrame::Join { room, token: _, cursor } => {
                let refusal = guest.join(&self.node, &self.outbox, &room, cursor)?;
                if let Some((code, reason)) = refusal {
                    let code = u64::from(code.number());
                    say(&self.outbox, &RelayFrame::Refused { room, code, reason });
                }
            }
            ClientFrame::Leave { channel } => {
                guest.places.remove(&channel).ok_or_else(|| unknown(channel))?;
            }
            ClientFrame::Push { channel, n, update } => {
                let (_, place) = guest.places.get(&channel).ok_or_else(|| unknown(channel))?;
                push(place, &self.outbox, n, update);
            }
            ClientFrame::Presence { channel, state } => {
                let (_, place) = guest.places.get(&channel).ok_or_else(|| unknown(channel))?;
                let state = match &state[..] {
                    b"null" => Bytes::new(),
                    [] => state,
                    json if is_json(json) => state,
                    _ => return Err(Closing::new(CloseCode::Malformed, "presence that is not JSON")),
                };
                place.tell(|room, member, now| room.handle_presence(member, &state, now));
            }
            ClientFrame::Token { channel, token: _ } => {
                guest.places.get(&channel).ok_or_else(|| unknown(channel))?;
            }
            ClientFrame::Ping { nonce } => RelayFrame::Pong { nonce }.encode(&mut self.pongs),
            // It was heard: that is all that was asked.
            ClientFrame::Pong { .. } => {}
        }
        Ok(())
    }

    fn welcome(&mut self, version: u64) -> Result<(), Closing> {
        if version != VERSION {
            let reason = format!("version {version} is not spoken here, {VERSION} is");
            return Err(Closing::new(CloseCode::Version, reason));
        }
        let limits = &self.node.limits().socket;
        let welcome = Welcome {
            version: VERSION,
            ping_interval_ms: limits.ping_after.as_millis() as u64,
            max_update: MAX_UPDATE_BYTES as u64,
            max_presence: MAX_PRESENCE_BYTES as u64,
            max_rooms: MAX_ROOMS_PER_SOCKET as u64,
        };
        say(&self.outbox, &RelayFrame::Welcome(welcome));
        let joins = JoinBudget::full(limits);
        self.stage = Stage::Guest(Guest { places: BTreeMap::new(), joins, pings: 0 });
        Ok(())
    }
}

impl Guest {
    /// Joins, or says why not.
    fn join(
        &mut self,
        node: &Arc<Node>,
        outbox: &Arc<Outbox>,
        room: &RoomName,
        cursor: Option<Cursor>,
    ) -> Result<Option<(CloseCode, String)>, Closing> {
        if !self.joins.take(&node.limits().socket) {
            return Err(Closing::new(CloseCode::TooMany, "too many joins"));
        }
        if self.places.len() >= MAX_ROOMS_PER_SOCKET {
            let reason = format!("at most {MAX_ROOMS_PER_SOCKET} rooms per connection");
            return Ok(Some((CloseCode::TooMany, reason)));
        }
        if self.places.values().any(|(name, _)| name == room) {
            return Err(out_of_order("joined twice"));
        }
        match node.join(room, Kind::Sync, Access::ReadWrite, cursor, outbox) {
            Ok(place) => {
                self.places.insert(place.channel(), (room.clone(), place));
                Ok(None)
            }
            Err(full) => Ok(Some((CloseCode::Busy, full.to_string()))),
        }
    }
}

/// Scans an update outside of the room's lock and pushes it, or what is wrong with it.
fn push(place: &Place, outbox: &Outbox, n: u64, update: Bytes) {
    outbox.pushed(update.len());
    let bytes = update.len();
    if bytes > MAX_UPDATE_BYTES {
        let (code, reason) = (CloseCode::TooLarge, "the update is too large");
        return place.tell(|room, member, _| room.handle_bad_push(member, n, bytes, code, reason));
    }
    match scan(&update) {
        Ok(scan) => place.tell(|room, member, _| room.handle_push(member, n, update, scan)),
        Err(error) => {
            let reason = error.to_string();
            let reason = short_reason(&reason);
            place
                .tell(|room, member, _| room.handle_bad_push(member, n, bytes, CloseCode::Malformed, reason));
        }
    }
}

impl Door for SyncDoor {
    fn handle_message(&mut self, message: Bytes) -> Result<(), Closing> {
        // The deframer is lent out for the message, because frames change the rest of the door.
        let mut deframer = std::mem::replace(&mut self.deframer, Deframer::new(0));
        let handled = deframer.read(message).try_for_each(|body| {
            let frame = body.and_then(ClientFrame::decode).map_err(|error| broken(&error))?;
            self.handle_frame(frame)
        });
        self.deframer = deframer;
        if !self.pongs.is_empty() {
            self.outbox.push(std::mem::take(&mut self.pongs).into());
        }
        handled
    }

    fn ping(&mut self) -> Ping {
        let Stage::Guest(guest) = &mut self.stage else { return Ping::WebSocket };
        guest.pings += 1;
        Ping::Chunk(words::frame(&RelayFrame::Ping { nonce: guest.pings }))
    }

    fn is_introduced(&self) -> bool {
        matches!(self.stage, Stage::Guest(_))
    }

    fn framing(&self) -> Framing {
        Framing::Together
    }
}

fn say(outbox: &Outbox, frame: &RelayFrame) {
    outbox.push(words::frame(frame));
}

fn broken(error: &FrameError) -> Closing {
    let code = match error {
        FrameError::TooLong { .. } => CloseCode::TooLarge,
        _ => CloseCode::Malformed,
    };
    Closing::new(code, error)
}

fn out_of_order(reason: &str) -> Closing {
    Closing::new(CloseCode::OutOfOrder, reason)
}

fn unknown(channel: Channel) -> Closing {
    Closing::new(CloseCode::OutOfOrder, format!("channel {channel} was not joined"))
}

/// Joins that a connection may still ask for: a second's worth at once, refilled as time passes.
struct JoinBudget {
    left: u32,
    at: Instant,
}

impl JoinBudget {
    fn full(limits: &SocketLimits) -> JoinBudget {
        JoinBudget { left: limits.joins_per_second, at: Instant::now() }
    }

    fn take(&mut self, limits: &SocketLimits) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.at).as_secs_f64() * f64::from(limits.joins_per_second);
        if earned >= 1.0 {
            self.left = (self.left.saturating_add(earned as u32)).min(limits.joins_per_second);
            self.at = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}
