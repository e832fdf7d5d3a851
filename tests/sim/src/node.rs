//! A relay process without sockets and threads: rooms, and connections in them. It does for the real
//! [`Room`] what the relay's node, socket and `/sync` door do, wish by wish, in virtual time.

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use hither_protocol::{
    VERSION,
    close::CloseCode,
    deframe::Deframer,
    frames::{Access, ClientFrame, RelayFrame, Welcome},
    ids::{Channel, Cursor, Epoch, Peer, RoomName},
    limits::{MAX_CLIENT_FRAME_BYTES, MAX_PRESENCE_BYTES, MAX_ROOMS_PER_SOCKET},
    scan::scan,
};
use hither_relay::{
    limits::{RoomLimits, SocketLimits},
    log::{Head, LogError, Page, Snapshot},
    room::{Compacted, Join, Kind, MemberId, Millis, Room, Wish},
};
use std::collections::{BTreeMap, VecDeque};

/// What a node wants of the world.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Ask the store; the answer is for this cell.
    Ask { cell: u64, room: RoomName, wish: Wish },
    /// The connection is over.
    Close { wire: u64, code: CloseCode, reason: String },
    /// There is something to write.
    Writable { wire: u64 },
}

/// What the store says to a room.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Head(Result<Option<Head>, LogError>),
    Snapshot(Result<Option<Snapshot>, LogError>),
    Page(u64, Result<Page, LogError>),
    Appended(Result<u64, LogError>),
    Compacted(Compacted),
}

struct Cell {
    name: RoomName,
    room: Room,
    members: BTreeMap<MemberId, u64>,
    idle_since: Option<u64>,
}

impl Cell {
    /// As the relay's node does: somebody who has left is remembered until nothing that it pushed is under way.
    fn forget(&mut self, member: MemberId) {
        if !self.room.knows(member) {
            self.members.remove(&member);
        }
    }
}

struct Door {
    deframer: Deframer,
    is_introduced: bool,
    places: BTreeMap<Channel, (RoomName, u64, MemberId)>,
    unread: VecDeque<Bytes>,
    /// A message is being read: what makes room for the next one meanwhile comes back here.
    is_reading: bool,
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    in_flight_bytes: usize,
    watchers: Vec<(u64, MemberId)>,
    closing: Option<(CloseCode, String)>,
    opened: u64,
    heard: u64,
    said: u64,
    asked: u64,
    pings: u64,
}

/// See the module.
pub(crate) struct Node {
    room_limits: RoomLimits,
    socket_limits: SocketLimits,
    linger_ms: u64,
    max_update: usize,
    rng: Rng,
    started: u64,
    next: u64,
    rooms: BTreeMap<RoomName, u64>,
    cells: BTreeMap<u64, Cell>,
    doors: BTreeMap<u64, Door>,
    effects: VecDeque<Effect>,
    /// A planted mistake: cursors are taken one further.
    pub(crate) skips_on_join: bool,
}

impl Node {
    pub(crate) fn new(options: &crate::Options, rng: Rng, now: u64) -> Node {
        Node {
            room_limits: options.room_limits,
            socket_limits: options.socket_limits,
            linger_ms: options.linger_ms,
            max_update: options.max_update,
            rng,
            started: now,
            next: 1,
            rooms: BTreeMap::new(),
            cells: BTreeMap::new(),
            doors: BTreeMap::new(),
            effects: VecDeque::new(),
            skips_on_join: false,
        }
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The rooms in memory.
    pub(crate) fn cells(&self) -> Vec<(u64, RoomName)> {
        self.rooms.iter().map(|(name, cell)| (*cell, name.clone())).collect()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    // ---- connections

    pub(crate) fn accept(&mut self, wire: u64, now: u64) {
        self.doors.insert(
            wire,
            Door {
                deframer: Deframer::new(MAX_CLIENT_FRAME_BYTES),
                is_introduced: false,
                places: BTreeMap::new(),
                unread: VecDeque::new(),
                is_reading: false,
                queue: VecDeque::new(),
                queued_bytes: 0,
                in_flight_bytes: 0,
                watchers: Vec::new(),
                closing: None,
                opened: now,
                heard: now,
                said: now,
                asked: now,
                pings: 0,
            },
        );
    }

    /// A message has arrived. It is read when the store keeps up.
    pub(crate) fn handle_message(&mut self, wire: u64, message: Bytes, now: u64) {
        if let Some(door) = self.doors.get_mut(&wire) {
            door.unread.push_back(message);
            self.read(wire, now);
        }
    }

    fn read(&mut self, wire: u64, now: u64) {
        loop {
            let limit = self.socket_limits.in_flight_bytes;
            let may_read = |door: &&mut Door| door.in_flight_bytes <= limit && !door.is_reading;
            let Some(door) = self.doors.get_mut(&wire).filter(may_read) else { return };
            let Some(message) = door.unread.pop_front() else { return };
            door.heard = now;
            door.is_reading = true;
            let bodies: Vec<_> = door.deframer.read(message).collect();
            for body in bodies {
                let frame = body.and_then(ClientFrame::decode);
                let handled = match frame {
                    Ok(frame) => self.handle_frame(wire, frame, now),
                    Err(error) => Err((CloseCode::Malformed, error.to_string())),
                };
                if let Err((code, reason)) = handled {
                    return self.close(wire, code, reason, now);
                }
            }
            if let Some(door) = self.doors.get_mut(&wire) {
                door.is_reading = false;
            }
        }
    }

    fn handle_frame(&mut self, wire: u64, frame: ClientFrame, now: u64) -> Result<(), (CloseCode, String)> {
        let out_of_order = |what: &str| Err((CloseCode::OutOfOrder, what.to_owned()));
        let Some(door) = self.doors.get_mut(&wire) else { return Ok(()) };
        let place = |channel: &Channel| door.places.get(channel).map(|(_, cell, member)| (*cell, *member));
        match (door.is_introduced, frame) {
            (false, ClientFrame::Hello { version: VERSION, .. }) => {
                door.is_introduced = true;
                let welcome = Welcome {
                    version: VERSION,
                    ping_interval_ms: self.socket_limits.ping_after.as_millis() as u64,
                    max_update: self.max_update as u64,
                    max_presence: MAX_PRESENCE_BYTES as u64,
                    max_rooms: MAX_ROOMS_PER_SOCKET as u64,
                };
                self.say(wire, &RelayFrame::Welcome(welcome));
            }
            (false, ClientFrame::Hello { .. }) => return Err((CloseCode::Version, "another version".into())),
            (false, _) => return out_of_order("the first frame is Hello"),
            (true, ClientFrame::Hello { .. }) => return out_of_order("a second Hello"),
            (true, ClientFrame::Join { room, cursor, .. }) => {
                if door.places.values().any(|(name, ..)| *name == room) {
                    return out_of_order("joined twice");
                }
                self.join(wire, room, cursor, now);
            }
            (true, ClientFrame::Leave { channel }) => {
                let Some((_, cell, member)) = door.places.remove(&channel) else {
                    return out_of_order("left what was not joined");
                };
                self.leave(cell, member, now);
            }
            (true, ClientFrame::Push { channel, n, update }) => {
                let Some((cell, member)) = place(&channel) else {
                    return out_of_order("pushed without a join");
                };
                let bytes = update.len();
                door.in_flight_bytes += bytes;
                let is_too_large = bytes > self.max_update;
                match scan(&update) {
                    _ if is_too_large => self.tell(cell, now, |room, _| {
                        room.handle_bad_push(member, n, bytes, CloseCode::TooLarge, "too large");
                    }),
                    Ok(scan) => self.tell(cell, now, |room, _| room.handle_push(member, n, update, scan)),
                    Err(_) => self.tell(cell, now, |room, _| {
                        room.handle_bad_push(member, n, bytes, CloseCode::Malformed, "not an update");
                    }),
                }
            }
            (true, ClientFrame::Presence { channel, state }) => {
                let Some((cell, member)) = place(&channel) else {
                    return out_of_order("present without a join");
                };
                self.tell(cell, now, |room, now| room.handle_presence(member, &state, now));
            }
            (true, ClientFrame::Token { channel, .. }) => {
                if place(&channel).is_none() {
                    return out_of_order("a token without a join");
                }
            }
            (true, ClientFrame::Ping { nonce }) => self.say(wire, &RelayFrame::Pong { nonce }),
            (true, ClientFrame::Pong { .. }) => {}
        }
        Ok(())
    }

    fn join(&mut self, wire: u64, name: RoomName, mut cursor: Option<Cursor>, now: u64) {
        if self.skips_on_join
            && let Some(cursor) = &mut cursor
        {
            cursor.seq = cursor.seq.next();
        }
        let member = MemberId(self.number());
        let peer = Peer(self.rng.u64(..) >> 11);
        let known = self.rooms.get(&name).copied();
        let cell = match known.filter(|cell| self.cells.get(cell).is_some_and(|cell| !cell.room.is_gone())) {
            Some(cell) => cell,
            None => self.new_cell(&name),
        };
        let Some(room) = self.cells.get_mut(&cell) else { return };
        room.members.insert(member, wire);
        room.idle_since = None;
        let channel = room.room.channel();
        if let Some(door) = self.doors.get_mut(&wire) {
            door.places.insert(channel, (name, cell, member));
        }
        let join = Join { member, peer, kind: Kind::Sync, access: Access::ReadWrite, cursor };
        self.tell(cell, now, |room, now| room.handle_join(join, now));
    }

    fn new_cell(&mut self, name: &RoomName) -> u64 {
        let (id, channel) = (self.number(), Channel(self.number()));
        let mut epoch = [0; 16];
        epoch.fill_with(|| self.rng.u8(..));
        let room = Room::new(name.clone(), channel, Epoch(epoch), self.room_limits);
        let cell = Cell { name: name.clone(), room, members: BTreeMap::new(), idle_since: None };
        self.cells.insert(id, cell);
        self.rooms.insert(name.clone(), id);
        id
    }

    fn leave(&mut self, cell: u64, member: MemberId, now: u64) {
        self.tell(cell, now, |room, _| room.handle_leave(member));
        if let Some(cell) = self.cells.get_mut(&cell) {
            cell.forget(member);
        }
    }

    /// The peer is gone.
    pub(crate) fn handle_gone(&mut self, wire: u64, now: u64) {
        if let Some(door) = self.doors.remove(&wire) {
            for (_, cell, member) in door.places.into_values() {
                self.leave(cell, member, now);
            }
        }
    }

    fn close(&mut self, wire: u64, code: CloseCode, reason: String, now: u64) {
        if self.doors.contains_key(&wire) {
            self.handle_gone(wire, now);
            self.effects.push_back(Effect::Close { wire, code, reason });
        }
    }

    fn say(&mut self, wire: u64, frame: &RelayFrame) {
        let mut out = Vec::new();
        frame.encode(&mut out);
        self.queue(wire, out.into());
    }

    /// Queues bytes for a connection; whether its queue is longer than the limit now.
    fn queue(&mut self, wire: u64, chunk: Bytes) -> bool {
        let Some(door) = self.doors.get_mut(&wire) else { return false };
        door.queued_bytes += chunk.len();
        door.queue.push_back(chunk);
        self.effects.push_back(Effect::Writable { wire });
        door.queued_bytes > self.socket_limits.queue_bytes
    }

    /// The next message to write. [`Self::handle_written`] says when it is out.
    pub(crate) fn take_message(&mut self, wire: u64) -> Option<Bytes> {
        let door = self.doors.get_mut(&wire)?;
        let first = door.queue.pop_front()?;
        let mut message = BytesMut::from(&first[..]);
        while let Some(next) = door.queue.front()
            && message.len() + next.len() <= self.socket_limits.coalesce_bytes
        {
            message.extend_from_slice(next);
            door.queue.pop_front();
        }
        Some(message.freeze())
    }

    pub(crate) fn handle_written(&mut self, wire: u64, bytes: usize, now: u64) {
        let Some(door) = self.doors.get_mut(&wire) else { return };
        door.said = now;
        door.queued_bytes -= bytes;
        if door.queued_bytes <= self.socket_limits.low_water_bytes {
            for (cell, member) in std::mem::take(&mut door.watchers) {
                self.tell(cell, now, |room, _| room.handle_drained(member));
            }
        }
        self.close_if_written(wire, now);
    }

    fn close_if_written(&mut self, wire: u64, now: u64) {
        let Some(door) = self.doors.get_mut(&wire) else { return };
        if door.queued_bytes == 0
            && let Some((code, reason)) = door.closing.take()
        {
            self.close(wire, code, reason, now);
        }
    }

    // ---- rooms

    fn tell(&mut self, id: u64, now: u64, fact: impl FnOnce(&mut Room, Millis)) {
        let Some(cell) = self.cells.get_mut(&id) else { return };
        // From one on: zero is "never" to a room.
        fact(&mut cell.room, Millis(1 + now - self.started));
        self.execute(id, now);
    }

    fn execute(&mut self, id: u64, now: u64) {
        let mut closing = Vec::new();
        let mut readable = Vec::new();
        while let Some(cell) = self.cells.get_mut(&id) {
            let Some(wish) = cell.room.poll_wish().or_else(|| cell.room.poll_append()) else { break };
            let wire_of = |member: &MemberId| cell.members.get(member).copied();
            match wish {
                Wish::Send { member, chunk } => {
                    if let Some(wire) = wire_of(&member)
                        && self.queue(wire, chunk)
                        && let Some(cell) = self.cells.get_mut(&id)
                    {
                        cell.room.handle_slow(member);
                    }
                }
                Wish::Watch { member } => {
                    let Some(wire) = wire_of(&member) else { continue };
                    let Some(door) = self.doors.get_mut(&wire) else { continue };
                    if door.queued_bytes <= self.socket_limits.low_water_bytes {
                        cell.room.handle_drained(member);
                    } else {
                        door.watchers.push((id, member));
                    }
                }
                Wish::Settled { member, bytes } => {
                    if let Some(wire) = wire_of(&member)
                        && let Some(door) = self.doors.get_mut(&wire)
                    {
                        door.in_flight_bytes = door.in_flight_bytes.saturating_sub(bytes);
                        readable.push(wire);
                    }
                    cell.forget(member);
                }
                Wish::Close { member, code, reason } => {
                    if let Some(wire) = cell.members.remove(&member)
                        && let Some(door) = self.doors.get_mut(&wire)
                    {
                        door.closing.get_or_insert((code, reason.to_string()));
                        closing.push(wire);
                    }
                }
                wish => {
                    let room = cell.name.clone();
                    self.effects.push_back(Effect::Ask { cell: id, room, wish });
                }
            }
        }
        if let Some(cell) = self.cells.get_mut(&id)
            && (cell.room.is_gone() || cell.room.is_idle())
        {
            cell.idle_since.get_or_insert(now);
        }
        closing.into_iter().for_each(|wire| self.close_if_written(wire, now));
        readable.into_iter().for_each(|wire| self.read(wire, now));
    }

    /// The store has answered.
    pub(crate) fn handle_answer(&mut self, cell: u64, answer: Answer, now: u64) {
        self.tell(cell, now, |room, now| match answer {
            Answer::Head(head) => room.handle_head(head),
            Answer::Snapshot(snapshot) => room.handle_snapshot(snapshot),
            Answer::Page(after, page) => room.handle_page(after, page),
            Answer::Appended(Ok(first)) => room.handle_appended(first, now),
            Answer::Appended(Err(error)) => room.handle_append_failed(&error),
            Answer::Compacted(done) => room.handle_compacted(done),
        });
    }

    // ---- time

    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        let doors = self.doors.values().map(|door| self.next_look(door));
        let rooms = self.cells.values().filter_map(|cell| {
            let alarm = cell.room.poll_timeout().map(|at| self.started + at.0 - 1);
            let linger = cell.idle_since.map(|since| since + self.linger_ms);
            [alarm, linger].into_iter().flatten().min()
        });
        doors.chain(rooms).min()
    }

    fn next_look(&self, door: &Door) -> u64 {
        let ms = |duration: std::time::Duration| duration.as_millis() as u64;
        let limits = &self.socket_limits;
        let ping = door.heard.min(door.said).max(door.asked) + ms(limits.ping_after);
        let next = ping.min(door.heard + ms(limits.gone_after));
        if door.is_introduced { next } else { next.min(door.opened + ms(limits.hello_within)) }
    }

    pub(crate) fn handle_timeout(&mut self, now: u64) {
        let ms = |duration: std::time::Duration| duration.as_millis() as u64;
        let limits = self.socket_limits;
        for wire in self.doors.keys().copied().collect::<Vec<_>>() {
            let Some(door) = self.doors.get_mut(&wire) else { continue };
            if !door.is_introduced && now >= door.opened + ms(limits.hello_within) {
                self.close(wire, CloseCode::Silent, "no hello".into(), now);
                continue;
            }
            if door.closing.is_none() && door.in_flight_bytes > limits.in_flight_bytes {
                // It is us who do not listen.
                door.heard = now;
            }
            if now >= door.heard + ms(limits.gone_after) {
                self.close(wire, CloseCode::Silent, "nothing was heard for too long".into(), now);
            } else if now >= door.heard.min(door.said).max(door.asked) + ms(limits.ping_after) {
                door.asked = now;
                door.pings += 1;
                let nonce = door.pings;
                self.say(wire, &RelayFrame::Ping { nonce });
            }
        }
        for id in self.cells.keys().copied().collect::<Vec<_>>() {
            let alarm = self.cells.get(&id).and_then(|cell| cell.room.poll_timeout());
            if alarm.is_some_and(|at| self.started + at.0 - 1 <= now) {
                self.tell(id, now, |room, now| room.handle_timeout(now));
            }
            let Some(cell) = self.cells.get_mut(&id) else { continue };
            if !(cell.room.is_gone() || cell.room.is_idle()) {
                cell.idle_since = None;
            } else if cell.room.is_gone()
                || cell.idle_since.is_some_and(|since| since + self.linger_ms <= now)
            {
                let name = cell.name.clone();
                self.cells.remove(&id);
                if self.rooms.get(&name) == Some(&id) {
                    self.rooms.remove(&name);
                }
            }
        }
    }
}
