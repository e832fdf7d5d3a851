//! A listener on every connection that knows the protocol's promises and what the store has made durable.
//!
//! What a client sends is heard when the relay receives it, what a relay sends when it leaves the relay: there is
//! the moment at which "durable" must already be true.

use crate::store::Store;
use bytes::Bytes;
use hither_protocol::{
    contents::Contents,
    deframe::Deframer,
    frames::{self, ClientFrame, Mode, RelayFrame},
    ids::{Channel, Cursor, Epoch, RoomName},
    limits::{MAX_CLIENT_FRAME_BYTES, MAX_RELAY_FRAME_BYTES},
    scan::scan,
};
use std::collections::BTreeMap;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wiretap {
    up: Deframer,
    down: Deframer,
    joining: BTreeMap<RoomName, Option<Cursor>>,
    joined: BTreeMap<Channel, Joined>,
}

/// One join of it.
#[derive(Debug)]
struct Joined {
    room: RoomName,
    epoch: Epoch,
    mode: Mode,
    /// Everything up to here was told.
    told: u64,
    pushes: Vec<(Bytes, Contents)>,
    acked: u64,
}

/// What was noticed, for the proof that a run did work.
#[derive(Debug, Default)]
pub(crate) struct Noticed(pub(crate) Vec<&'static str>);

impl Wiretap {
    pub(crate) fn new() -> Wiretap {
        Wiretap {
            up: Deframer::new(MAX_CLIENT_FRAME_BYTES),
            down: Deframer::new(MAX_RELAY_FRAME_BYTES),
            joining: BTreeMap::new(),
            joined: BTreeMap::new(),
        }
    }

    pub(crate) fn hear_client(&mut self, message: &Bytes) -> Result<Vec<ClientFrame>, String> {
        let mut frames = Vec::new();
        for body in self.up.read(message.clone()) {
            let frame =
                body.and_then(ClientFrame::decode).map_err(|error| format!("a client sent: {error}"))?;
            match &frame {
                ClientFrame::Join { room, cursor, .. } => {
                    self.joining.insert(room.clone(), *cursor);
                }
                ClientFrame::Leave { channel } => {
                    self.joined.remove(channel);
                }
                ClientFrame::Push { channel, n, update } => {
                    let scan = scan(update).map_err(|error| format!("a client pushed: {error}"))?;
                    let Some(joined) = self.joined.get_mut(channel) else {
                        return Err(format!("a push {n} on a channel that was not joined"));
                    };
                    joined.pushes.push((update.clone(), Contents::of(&scan)));
                    if joined.pushes.len() as u64 != *n {
                        return Err(format!("push {n} where {} is next", joined.pushes.len()));
                    }
                }
                _ => {}
            }
            frames.push(frame);
        }
        Ok(frames)
    }

    pub(crate) fn hear_relay(
        &mut self,
        message: &Bytes,
        store: &Store,
        noticed: &mut Noticed,
    ) -> Result<Vec<RelayFrame>, String> {
        let bodies: Vec<_> = self.down.read(message.clone()).collect();
        let mut frames = Vec::new();
        for body in bodies {
            let frame =
                body.and_then(RelayFrame::decode).map_err(|error| format!("the relay sent: {error}"))?;
            self.check(&frame, store, noticed)?;
            frames.push(frame);
        }
        Ok(frames)
    }

    fn check(&mut self, frame: &RelayFrame, store: &Store, noticed: &mut Noticed) -> Result<(), String> {
        match frame {
            RelayFrame::Joined(frames::Joined { room, channel, epoch, head, mode, .. }) => {
                let Some(cursor) = self.joining.remove(room) else {
                    return Err(format!("Joined for {room}, which nobody asked for"));
                };
                let durable = store.life(room, *epoch).map_or(0, |log| log.head());
                if head.0 > durable {
                    return Err(format!("Joined says head {head} of {room}, durable is {durable}"));
                }
                let told = match (mode, cursor) {
                    (Mode::Resumed, Some(cursor)) if cursor.epoch == *epoch && cursor.seq <= *head => {
                        cursor.seq.0
                    }
                    (Mode::Resumed, None) if head.0 == 0 => 0,
                    (Mode::Resumed, cursor) => {
                        return Err(format!("resumed {cursor:?} at {head} of {epoch}"));
                    }
                    (Mode::Reset, _) => 0,
                };
                match (mode, cursor) {
                    (Mode::Reset, Some(_)) => noticed.0.push("resets of a known cursor"),
                    (Mode::Reset, None) => noticed.0.push("first joins with content"),
                    (Mode::Resumed, Some(_)) if told < head.0 => noticed.0.push("replays"),
                    (Mode::Resumed, _) => noticed.0.push("joins without replay"),
                }
                let joined = Joined {
                    room: room.clone(),
                    epoch: *epoch,
                    mode: *mode,
                    told,
                    pushes: Vec::new(),
                    acked: 0,
                };
                self.joined.insert(*channel, joined);
            }
            RelayFrame::Snapshot { channel, seq, update } => {
                let Some(joined) = self.joined.get_mut(channel) else { return Ok(()) };
                let life = store.life(&joined.room, joined.epoch).ok_or("a snapshot of no log")?;
                if joined.mode != Mode::Reset || joined.told != 0 || seq.0 > life.head() {
                    return Err(format!("a snapshot at {seq} after {} of {}", joined.told, life.head()));
                }
                let held = scan(update).map(|scan| Contents::of(&scan)).map_err(|error| error.to_string())?;
                if !held.covers(&life.prefix(seq.0)) {
                    return Err(format!("the snapshot at {seq} of {} lacks something", joined.room));
                }
                joined.told = seq.0;
                noticed.0.push("snapshots sent");
            }
            RelayFrame::Update { channel, seq, update } => {
                let Some(joined) = self.joined.get_mut(channel) else { return Ok(()) };
                let room = &joined.room;
                if seq.0 != joined.told + 1 {
                    return Err(format!("update {seq} of {room} after {}", joined.told));
                }
                let durable = store.life(room, joined.epoch).and_then(|log| log.entry(seq.0));
                match durable {
                    None => return Err(format!("update {seq} of {room} was sent and is not durable")),
                    Some(entry) if entry != update => {
                        return Err(format!("update {seq} of {room} is not what the log has there"));
                    }
                    Some(_) => {}
                }
                joined.told = seq.0;
                noticed.0.push("updates sent");
            }
            RelayFrame::Ack { channel, n, seq } => {
                let Some(joined) = self.joined.get_mut(channel) else { return Ok(()) };
                let room = &joined.room;
                let life = store.life(room, joined.epoch);
                if *n as usize > joined.pushes.len() || *n <= joined.acked {
                    return Err(format!("ack {n} after {} of {} pushes", joined.acked, joined.pushes.len()));
                }
                let total = life.map(|log| log.total()).unwrap_or_default();
                for (index, (_, contents)) in joined.pushes[..*n as usize].iter().enumerate() {
                    if !total.covers(contents) {
                        return Err(format!(
                            "push {} of {room} was acknowledged and is not durable",
                            index + 1
                        ));
                    }
                }
                if seq.0 < joined.told || seq.0 > life.map_or(0, |log| log.head()) {
                    return Err(format!("ack at {seq} of {room} after {}", joined.told));
                }
                for own in joined.told + 1..=seq.0 {
                    let entry = life.and_then(|log| log.entry(own));
                    if !joined.pushes[..*n as usize].iter().any(|(update, _)| Some(update) == entry) {
                        return Err(format!("ack at {seq} of {room} covers {own}, which is somebody else's"));
                    }
                }
                if seq.0 == joined.told {
                    noticed.0.push("acks without an entry");
                }
                joined.told = seq.0;
                joined.acked = *n;
                noticed.0.push("acks sent");
            }
            RelayFrame::Nack { code, reason, .. } => return Err(format!("a Nack: {code} {reason}")),
            RelayFrame::Refused { code, reason, .. } => return Err(format!("Refused: {code} {reason}")),
            RelayFrame::Left { code, reason, .. } => return Err(format!("Left: {code} {reason}")),
            RelayFrame::Presence { .. } => noticed.0.push("presence sent"),
            RelayFrame::Welcome(_)
            | RelayFrame::Goaway { .. }
            | RelayFrame::Ping { .. }
            | RelayFrame::Pong { .. } => {}
        }
        Ok(())
    }
}
