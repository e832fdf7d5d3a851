//! The client: one link, many rooms, one queue of wishes.
//!
//! ```text
//!   facts ──► handle_* ──► link, rooms ──► settle ──► wishes ──► poll_wish
//! ```
//!
//! After every fact a shell drains [`Client::poll_wish`] and arranges to call [`Client::handle_timeout`] at
//! [`Client::poll_timeout`]. Nothing else is asked of it.

use crate::edit::{Node, Op, Step};
use crate::link::{Due, Link, SocketId};
use crate::outlet::{Outlet, Violation};
use crate::presence::Presence;
use crate::room::Room;
use crate::sorted::Sorted;
use crate::status::{Connection, Edits, Status};
use crate::storage::{StorageError, StorageErrorKind, Stored, Write};
use crate::time::{Clock, Millis};
use crate::value::{Shape, Value};
use crate::{BatchId, Change, ChangeError, Config, Event, Hint, OpenError, OpenOptions, RoomId, Wish};
use bytes::Bytes;
use fastrand::Rng;
use hither_protocol::VERSION;
use hither_protocol::close::CloseCode;
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::{ClientFrame, RelayFrame};
use hither_protocol::ids::{Channel, Cursor, RoomName};
use hither_protocol::limits::{MAX_CLIENT_NAME_BYTES, MAX_RELAY_FRAME_BYTES, MAX_TOKEN_BYTES};

/// The first wait after a failed write, doubled up to a minute, in milliseconds.
const STORE_RETRY_MS: u64 = 250;

/// A client. See the module.
pub struct Client {
    name: String,
    clock: Clock,
    rng: Rng,
    link: Link,
    deframer: Deframer,
    rooms: Sorted<RoomId, Room>,
    channels: Sorted<Channel, RoomId>,
    /// Rooms that were closed before the relay answered their Join. A room of the same name that was opened since
    /// joins when the answer is there: until then the relay would take its Join for a second one.
    forsaken: Vec<RoomName>,
    /// Rooms that read the disk once their namesakes are closed.
    late_loads: Vec<RoomId>,
    last_room: u32,
    store: Store,
    out: Outlet,
}

/// The one batch that is on its way to the disk.
struct Store {
    last_batch: u64,
    in_flight: Option<Batch>,
    /// A batch that failed, to be written again before anything newer.
    failed: Option<(Batch, Millis)>,
    failures: u32,
}

struct Batch {
    id: BatchId,
    writes: Vec<Write>,
    shares: Vec<Share>,
}

/// What a batch says of one room, which may be closed by the time it is written.
struct Share {
    room: RoomId,
    name: RoomName,
    /// The newest edit in it.
    edit: u64,
}

impl Client {
    /// A client without rooms. Its first wish is to connect, if the configuration says so.
    pub fn new(config: Config) -> Client {
        let mut name = config.name;
        while name.len() > MAX_CLIENT_NAME_BYTES {
            name.pop();
        }
        let mut client = Client {
            name,
            clock: Clock::new(config.now),
            rng: Rng::with_seed(config.seed),
            link: Link::new(),
            deframer: Deframer::new(MAX_RELAY_FRAME_BYTES),
            rooms: Sorted::default(),
            channels: Sorted::default(),
            forsaken: Vec::new(),
            late_loads: Vec::new(),
            last_room: 0,
            store: Store { last_batch: 0, in_flight: None, failed: None, failures: 0 },
            out: Outlet::default(),
        };
        if config.connect {
            let due = client.link.connect(config.now);
            client.perform(config.now, due);
        }
        client
    }

    // ---- rooms

    /// Opens a room: wishes [`Wish::Load`], answers later with [`Event::Ready`]. A room that is open already is
    /// refused; shells count references.
    pub fn open(&mut self, now: Millis, name: &str, options: OpenOptions) -> Result<RoomId, OpenError> {
        let now = self.clock.read(now);
        let name = RoomName::new(name)?;
        if self.rooms.values().any(|room| room.name == name && !room.is_closing()) {
            return Err(OpenError::AlreadyOpen);
        }
        if options.token.len() > MAX_TOKEN_BYTES {
            return Err(OpenError::TokenTooLong { bytes: options.token.len(), limit: MAX_TOKEN_BYTES });
        }
        if options.initial.as_ref().is_some_and(|initial| !matches!(initial, Value::Map(_))) {
            return Err(OpenError::InitialIsNoMap);
        }
        let id = RoomId(self.last_room + 1);
        // 53 bits: what a Yjs client id may have.
        let writer = self.rng.u64(1..1 << 53);
        let room = Room::new(now, id, name.clone(), writer, options)?;
        self.last_room = id.0;
        // What is still being written belongs to what is read.
        if self.is_name_closing(&name) {
            self.late_loads.push(id);
        } else {
            self.out.wishes.push_back(Wish::Load { room: id, name: name.to_string() });
        }
        self.rooms.insert(id, room);
        self.settle(now);
        Ok(id)
    }

    /// Leaves a room: what is not on disk yet is written, then comes [`Event::Closed`].
    pub fn close(&mut self, now: Millis, room: RoomId) {
        let now = self.clock.read(now);
        if let Some(open) = self.rooms.get_mut(room).filter(|open| !open.is_closing()) {
            if open.is_joining() {
                self.forsaken.push(open.name.clone());
            }
            open.close(now, &mut self.out);
            self.channels.retain(|id| *id != room);
        }
        self.settle(now);
    }

    /// Plants what a room was opened with, if it is still empty. Comes before a shell lets an application put operations
    /// together: they name places in the document as it is then.
    pub fn plant(&mut self, now: Millis, room: RoomId) {
        let now = self.clock.read(now);
        if let Some(open) = self.rooms.get_mut(room) {
            open.plant(now, &mut self.out);
        }
        self.settle(now);
    }

    /// Applies operations as one transaction, at once. An empty room that is changed takes no initial content any more:
    /// see [`Self::plant`].
    pub fn change(&mut self, now: Millis, room: RoomId, ops: &[Op]) -> Result<Change, ChangeError> {
        let now = self.clock.read(now);
        let open = self.rooms.get_mut(room).ok_or(ChangeError::NotOpen)?;
        let change = open.change(now, ops, &mut self.out);
        self.settle(now);
        change
    }

    /// Makes a Yjs update (v1) from elsewhere a local edit.
    pub fn import(&mut self, now: Millis, room: RoomId, update: &[u8]) -> Result<Change, ChangeError> {
        let now = self.clock.read(now);
        let open = self.rooms.get_mut(room).ok_or(ChangeError::NotOpen)?;
        let change = open.import(now, Bytes::copy_from_slice(update), &mut self.out);
        self.settle(now);
        change
    }

    /// Shows a presence state to the others, a JSON text of at most 4 KiB; `None` hides it.
    pub fn set_presence(
        &mut self,
        now: Millis,
        room: RoomId,
        state: Option<String>,
    ) -> Result<(), ChangeError> {
        let now = self.clock.read(now);
        let open = self.rooms.get_mut(room).ok_or(ChangeError::NotOpen)?;
        let result = open.attendance_mut().show(now, state);
        self.settle(now);
        result
    }

    /// The application's own switch.
    pub fn set_connect(&mut self, now: Millis, on: bool) {
        let now = self.clock.read(now);
        if on {
            let due = self.link.connect(now);
            self.perform(now, due);
        } else if let Some(socket) = self.link.disconnect() {
            self.out.wishes.push_back(Wish::Disconnect { socket, code: 1000 });
            self.on_link_down();
        }
        self.settle(now);
    }

    // ---- facts

    /// What the disk has of a room, in answer to [`Wish::Load`].
    pub fn handle_loaded(&mut self, now: Millis, room: RoomId, stored: Result<Stored, StorageError>) {
        let now = self.clock.read(now);
        if let (Some((_, retry_at)), Ok(_)) = (&mut self.store.failed, &stored) {
            // A disk that answers may take what it refused, of this very room perhaps.
            *retry_at = now;
        }
        if let Some(open) = self.rooms.get_mut(room) {
            let was_ready = open.is_ready();
            open.on_loaded(now, stored, &mut self.out);
            if !was_ready && self.link.has_greeted() && !self.forsaken.contains(&open.name) {
                open.join(&mut self.out);
            }
            if let Some(channel) = open.rejoin_if_unsure(&mut self.out) {
                self.channels.remove(channel);
            }
        }
        self.settle(now);
    }

    /// What became of a batch.
    pub fn handle_stored(&mut self, now: Millis, batch: BatchId, result: Result<(), StorageError>) {
        let now = self.clock.read(now);
        let Some(stored) = self.store.in_flight.take_if(|in_flight| in_flight.id == batch) else { return };
        match result {
            Ok(()) => {
                self.store.failures = 0;
                self.reload_after(&stored);
                for share in stored.shares {
                    if let Some(room) = self.rooms.get_mut(share.room) {
                        room.on_saved(share.edit, &mut self.out);
                    }
                }
            }
            Err(error) => {
                let is_lost = error.kind == StorageErrorKind::Corrupt;
                for (id, room) in self.rooms.iter_mut() {
                    // A room that was saved, and had nothing in the batch, is not saved if the disk lost everything.
                    if is_lost || stored.shares.iter().any(|share| share.room == id) {
                        room.on_storage_trouble(&error.to_string());
                    }
                }
                let wait = STORE_RETRY_MS << self.store.failures.min(8);
                self.store.failures += 1;
                if is_lost {
                    // What was written is not there any more: a cursor written now would stand over a hole. All rooms
                    // write all that they have, this batch included.
                    self.rooms.values_mut().for_each(|room| room.write_again(now, now + wait));
                    let orphans = self.orphans(stored);
                    self.store.failed = orphans.map(|orphans| (orphans, now + wait));
                } else {
                    self.store.failed = Some((stored, now + wait));
                }
            }
        }
        self.settle(now);
    }

    /// The transport of a socket is up.
    pub fn handle_connected(&mut self, now: Millis, socket: SocketId) {
        let now = self.clock.read(now);
        if self.link.on_connected(socket) {
            self.deframer = Deframer::new(MAX_RELAY_FRAME_BYTES);
            self.out.frames.clear();
            self.out.frames.push(&ClientFrame::Hello { version: VERSION, client: self.name.clone() });
            // Nothing in Welcome changes what a Join says: waiting for it would cost a round trip.
            self.rooms.values_mut().for_each(|room| room.join(&mut self.out));
        }
        self.settle(now);
    }

    /// A binary message of a socket.
    pub fn handle_message(&mut self, now: Millis, socket: SocketId, message: Bytes) {
        let now = self.clock.read(now);
        if self.link.socket() != Some(socket) {
            return;
        }
        self.link.on_heard(now);
        let mut deframer = std::mem::replace(&mut self.deframer, Deframer::new(MAX_RELAY_FRAME_BYTES));
        let mut violation = None;
        for body in deframer.read(message) {
            let frame = body.and_then(RelayFrame::decode).map_err(|error| Violation(error.to_string()));
            if let Err(broken) = frame.and_then(|frame| self.on_frame(now, frame)) {
                violation = Some(broken);
                break;
            }
        }
        self.deframer = deframer;
        // Also before a violation: the cursor has counted what came before it.
        for room in self.rooms.values_mut() {
            room.absorb(now, &mut self.out);
        }
        if let Some(Violation(what)) = violation {
            self.break_off(now, socket, &what);
        }
        self.settle(now);
    }

    /// A text message of a socket: the protocol has none.
    pub fn handle_text(&mut self, now: Millis, socket: SocketId) {
        let now = self.clock.read(now);
        if self.link.socket() == Some(socket) {
            self.break_off(now, socket, "the relay sent a text message");
        }
        self.settle(now);
    }

    /// A socket closed or never opened.
    pub fn handle_disconnected(&mut self, now: Millis, socket: SocketId, code: Option<u16>, reason: &str) {
        let now = self.clock.read(now);
        if self.link.socket() == Some(socket) {
            self.link.on_lost(now, code, reason, &mut self.rng);
            self.on_link_down();
        }
        self.settle(now);
    }

    /// Something that the shell noticed about the device.
    pub fn handle_hint(&mut self, now: Millis, hint: Hint) {
        let now = self.clock.read(now);
        match hint {
            Hint::Online | Hint::Offline | Hint::Visible => {
                let due = self.link.on_hint(now);
                self.perform(now, due);
                if hint == Hint::Visible {
                    // A tab that was in front until now, and is closed perhaps, has left edits on the disk.
                    let read = self.rooms.values_mut().filter(|room| room.is_ready());
                    read.for_each(|room| room.reload(&mut self.out));
                }
            }
            Hint::Hidden => self.rooms.values_mut().for_each(|room| room.journal().hurry(now)),
        }
        self.settle(now);
    }

    /// The time that [`Self::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Millis) {
        let now = self.clock.read(now);
        let due = self.link.handle_timeout(now);
        self.perform(now, due);
        let has_greeted = self.link.has_greeted();
        for room in self.rooms.values_mut() {
            room.handle_timeout(now, has_greeted, &mut self.out);
        }
        self.settle(now);
    }

    // ---- wishes

    /// The next thing that the core wants done.
    pub fn poll_wish(&mut self) -> Option<Wish> {
        self.out.wishes.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Millis> {
        // While a batch is under way its answer is the next thing that can happen to the disk: a room whose rows
        // wait behind it names no time for them, or a shell would call again and again for nothing.
        let rooms = self.rooms.values().filter_map(|room| room.next_timeout(self.is_storing())).min();
        let retry = self.store.failed.as_ref().map(|(_, at)| *at);
        let due = [self.link.next_timeout(), rooms, retry].into_iter().flatten().min();
        due.map(|due| self.clock.show(due))
    }

    // ---- asks

    /// A room's state as plain values.
    pub fn state(&self, room: RoomId) -> Option<Value> {
        Some(self.rooms.get(room)?.document().state())
    }

    /// The container at the end of a path, for operations on it.
    pub fn node(&mut self, room: RoomId, path: &[Step<'_>]) -> Option<Node> {
        self.rooms.get_mut(room)?.document_mut().node(path)
    }

    /// The value at the end of a path, without reading what is beside it.
    pub fn value(&self, room: RoomId, path: &[Step<'_>]) -> Option<Value> {
        self.rooms.get(room)?.document().value(path)
    }

    /// What kind of container a handle names, and how much it holds: items, UTF-16 units or entries.
    pub fn measure(&self, room: RoomId, node: Node) -> Option<(Shape, u32)> {
        self.rooms.get(room)?.document().measure(node)
    }

    /// A room's whole document as one Yjs update (v1).
    pub fn export(&self, room: RoomId) -> Option<Vec<u8>> {
        Some(self.rooms.get(room)?.document().encode())
    }

    /// What is true about a room now.
    pub fn status(&self, room: RoomId) -> Option<Status> {
        Some(self.rooms.get(room)?.status(&self.link.connection(), &self.clock))
    }

    /// Who else is in a room.
    pub fn presence(&self, room: RoomId) -> Option<&Presence> {
        Some(self.rooms.get(room)?.attendance().seen())
    }

    /// How far a room's edits have come.
    pub fn edits(&self, room: RoomId) -> Option<Edits> {
        Some(self.rooms.get(room)?.edits())
    }

    /// How far the relay's log is in a room's document; `None` before the room was ever joined.
    pub fn cursor(&self, room: RoomId) -> Option<Cursor> {
        self.rooms.get(room)?.cursor()
    }

    /// The way to the relay.
    pub fn connection(&self) -> Connection {
        self.link.connection().shown_by(&self.clock)
    }

    /// Whether rows are on their way to the disk, or wait to be written again; of closed rooms too.
    pub fn is_storing(&self) -> bool {
        self.store.in_flight.is_some() || self.store.failed.is_some()
    }

    // ---- consequences

    fn on_frame(&mut self, now: Millis, frame: RelayFrame) -> Result<(), Violation> {
        if self.link.is_greeting()
            && !matches!(frame, RelayFrame::Welcome(_) | RelayFrame::Goaway { .. } | RelayFrame::Ping { .. })
        {
            return Err(Violation("the relay spoke before Welcome".into()));
        }
        match frame {
            RelayFrame::Welcome(welcome) => {
                if welcome.version != VERSION || !self.link.on_welcome(now, welcome) {
                    return Err(Violation(format!("an unexpected Welcome of version {}", welcome.version)));
                }
                self.out.max_update = usize::try_from(welcome.max_update).unwrap_or(usize::MAX);
            }
            RelayFrame::Joined(joined) if self.was_forsaken(&joined.room) => {
                self.out.frames.push(&ClientFrame::Leave { channel: joined.channel });
                self.join_if_open(&joined.room);
            }
            RelayFrame::Joined(joined) => {
                let room = &joined.room;
                match self.rooms.values_mut().find(|open| open.name == *room && !open.is_closing()) {
                    Some(open) => {
                        self.channels.insert(joined.channel, open.id);
                        open.on_joined(now, &joined, &mut self.out)?;
                        if let Some(channel) = open.rejoin_if_unsure(&mut self.out) {
                            self.channels.remove(channel);
                        }
                    }
                    None => return Err(Violation(format!("Joined for room {room} that was not asked for"))),
                }
            }
            RelayFrame::Refused { room, .. } if self.was_forsaken(&room) => self.join_if_open(&room),
            RelayFrame::Refused { room, code, reason } => {
                if let Some(open) = self.rooms.values_mut().find(|open| open.name == room) {
                    open.on_refused(now, code, reason, &mut self.out);
                }
            }
            RelayFrame::Left { channel, code, reason } => {
                if let Some(open) = self.channels.remove(channel).and_then(|id| self.rooms.get_mut(id)) {
                    open.absorb(now, &mut self.out);
                    open.on_refused(now, code, reason, &mut self.out);
                }
            }
            RelayFrame::Snapshot { channel, seq, update } => {
                self.on_channel(channel, |room, _| room.on_snapshot(seq, update))?;
            }
            RelayFrame::Update { channel, seq, update } => {
                self.on_channel(channel, |room, _| room.on_update(seq, update))?;
            }
            RelayFrame::Ack { channel, n, seq } => {
                self.on_channel(channel, |room, out| {
                    // A replay may end in the very message that already acknowledges.
                    room.on_ack(now, n, seq, out)
                })?;
            }
            RelayFrame::Nack { channel, n, code, reason } => {
                self.on_channel(channel, |room, out| {
                    room.on_nack(n, code, reason, out);
                    Ok(())
                })?;
            }
            RelayFrame::Presence { channel, peer, state } => {
                self.on_channel(channel, |room, _| {
                    room.attendance_mut().on_peer(peer, &state);
                    Ok(())
                })?;
            }
            RelayFrame::Goaway { retry_after_ms, jitter_ms } => {
                self.link.on_goaway(retry_after_ms, jitter_ms)
            }
            RelayFrame::Ping { nonce } => self.out.frames.push(&ClientFrame::Pong { nonce }),
            RelayFrame::Pong { .. } => {}
        }
        Ok(())
    }

    /// Whether this answer is to a Join of a room that was closed since; there is one answer to each.
    fn was_forsaken(&mut self, name: &RoomName) -> bool {
        let at = self.forsaken.iter().position(|forsaken| forsaken == name);
        at.map(|at| self.forsaken.swap_remove(at)).is_some()
    }

    fn join_if_open(&mut self, name: &RoomName) {
        if let Some(open) = self.rooms.values_mut().find(|open| open.name == *name && !open.is_closing()) {
            open.join(&mut self.out);
        }
    }

    /// Frames for rooms that were left a moment ago are still under way: they go nowhere.
    fn on_channel(
        &mut self,
        channel: Channel,
        act: impl FnOnce(&mut Room, &mut Outlet) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        match self.channels.get(channel).and_then(|&id| self.rooms.get_mut(id)) {
            Some(room) => act(room, &mut self.out),
            None => Ok(()),
        }
    }

    fn perform(&mut self, now: Millis, due: Due) {
        match due {
            Due::Nothing => {}
            Due::Connect(socket) => self.out.wishes.push_back(Wish::Connect { socket }),
            Due::Probe => self.out.frames.push(&ClientFrame::Ping { nonce: now.0 }),
            Due::Abandon(socket) => self.drop_socket(now, socket, CloseCode::Silent.number(), "no answer"),
        }
    }

    /// The relay broke the protocol.
    fn break_off(&mut self, now: Millis, socket: SocketId, what: &str) {
        for room in self.rooms.values() {
            self.out.error(room.id, "protocol", what);
        }
        self.drop_socket(now, socket, CloseCode::Malformed.number(), what);
    }

    fn drop_socket(&mut self, now: Millis, socket: SocketId, code: u16, reason: &str) {
        self.out.wishes.push_back(Wish::Disconnect { socket, code });
        self.link.on_lost(now, Some(code), reason, &mut self.rng);
        self.on_link_down();
    }

    fn on_link_down(&mut self) {
        self.out.frames.clear();
        self.channels.clear();
        self.forsaken.clear();
        self.rooms.values_mut().for_each(Room::on_link_lost);
    }

    /// The end of every fact: frames become messages, rows become a batch, what changed is told.
    fn settle(&mut self, now: Millis) {
        if self.link.is_away() {
            self.rooms.values_mut().for_each(|room| room.on_link_away(now, &mut self.out));
        }
        let connection = self.link.connection();
        for room in self.rooms.values_mut() {
            room.settle(now, &connection, &self.clock, &mut self.out);
        }
        if let Some(socket) = self.link.socket() {
            for message in self.out.frames.take() {
                self.out.wishes.push_back(Wish::Send { socket, message });
            }
        }
        self.store_next(now);
        self.finish_closing(now);
    }

    fn store_next(&mut self, now: Millis) {
        if self.store.in_flight.is_some() {
            return;
        }
        let (writes, shares) = match self.store.failed.take() {
            Some((failed, at)) if at > now => {
                self.store.failed = Some((failed, at));
                return;
            }
            Some((failed, _)) => (failed.writes, failed.shares),
            None if self.rooms.values_mut().any(|room| room.journal().is_due(now)) => {
                let mut writes = Vec::new();
                let mut shares = Vec::new();
                // Once a batch goes, everybody's rows go with it: a transaction costs more than a row.
                for (id, room) in self.rooms.iter_mut() {
                    if room.has_writes() {
                        let (taken, edit) = room.take_writes(now);
                        writes.extend(taken);
                        shares.push(Share { room: id, name: room.name.clone(), edit });
                    }
                }
                (writes, shares)
            }
            None => return,
        };
        self.store.last_batch += 1;
        let id = BatchId(self.store.last_batch);
        self.out.wishes.push_back(Wish::Store { batch: id, writes: writes.clone() });
        self.store.in_flight = Some(Batch { id, writes, shares });
    }

    fn finish_closing(&mut self, now: Millis) {
        if let Some((batch, _)) = &mut self.store.failed {
            // A disk that refuses must not keep a room from closing: what it has to write waits with the batch.
            for (id, room) in self.rooms.iter_mut().filter(|(_, room)| room.is_closing()) {
                if room.has_writes() {
                    let (writes, edit) = room.take_writes(now);
                    batch.writes.extend(writes);
                    batch.shares.push(Share { room: id, name: room.name.clone(), edit });
                }
            }
        }
        let is_failing = self.store.failed.is_some();
        let is_writing = |id: RoomId| {
            let batch = self.store.in_flight.as_ref();
            batch.is_some_and(|batch| batch.shares.iter().any(|share| share.room == id))
        };
        let done: Vec<RoomId> = self
            .rooms
            .iter()
            .filter(|(id, room)| room.is_closing() && (is_failing || !is_writing(*id) && !room.has_writes()))
            .map(|(id, _)| id)
            .collect();
        for id in done {
            self.rooms.remove(id);
            self.out.event(id, Event::Closed);
        }
        for id in std::mem::take(&mut self.late_loads) {
            let Some(room) = self.rooms.get(id) else { continue };
            if self.is_name_closing(&room.name) {
                self.late_loads.push(id);
            } else {
                self.out.wishes.push_back(Wish::Load { room: id, name: room.name.to_string() });
            }
        }
    }

    fn is_name_closing(&self, name: &RoomName) -> bool {
        self.rooms.values().any(|room| room.name == *name && room.is_closing())
    }

    /// Rows that reached the disk after their room was closed: whoever opened it again has read the disk without
    /// them.
    fn reload_after(&mut self, stored: &Batch) {
        for (id, room) in self.rooms.iter_mut() {
            if stored.shares.iter().any(|share| share.room != id && share.name == room.name) {
                room.reload(&mut self.out);
            }
        }
    }

    /// Of a batch for a disk that has lost everything, the rows of rooms that are closed: nobody else has them. Their
    /// cursor counts what is lost.
    fn orphans(&self, mut lost: Batch) -> Option<Batch> {
        lost.shares.retain(|share| self.rooms.get(share.room).is_none());
        let shares = &lost.shares;
        lost.writes.retain(|write| {
            matches!(write, Write::PutUpdates { .. } | Write::PutOutbox { .. })
                && shares.iter().any(|share| share.name.as_str() == write.room())
        });
        (!lost.writes.is_empty()).then_some(lost)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("link", &self.link)
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}
