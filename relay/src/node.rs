//! The node: the rooms that are in use, driven against a log and sockets. It has no rules of its own: it
//! executes a room's wishes and brings back the answers.
//!
//! ```text
//!   socket task ── fact ──► ┌ Mutex<room> ┐ ── Send ──► outboxes of other sockets
//!                           │             │
//!   log task ───── fact ──► └─────────────┘ ── Append ──► append task (lives while there is work)
//! ```
//!
//! A room without members and work costs nothing but its memory, and is forgotten after a while. Lock order:
//! rooms, room, then the leaves (outboxes, alarms, idle). No lock is held across an await.

use crate::{
    compaction::Compactor,
    limits::{NodeLimits, RoomLimits, SocketLimits},
    log::RoomLog,
    outbox::{Closing, Outbox, Turn},
    room::{Join, Kind, MemberId, Millis, Room, Wish},
};
use hither_protocol::{
    close::CloseCode,
    frames::Access,
    ids::{Channel, Cursor, Epoch, Peer, RoomName},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    time::Instant,
};

/// All limits that a node works under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of the node.
    pub node: NodeLimits,
    /// Of each room.
    pub room: RoomLimits,
    /// Of each socket.
    pub socket: SocketLimits,
}

/// See the module.
pub struct Node {
    log: Arc<dyn RoomLog>,
    compactor: Compactor,
    limits: Limits,
    rooms: Mutex<HashMap<RoomName, Arc<RoomCell>>>,
    sockets: Mutex<BTreeMap<u64, (Kind, Arc<Outbox>)>>,
    next: AtomicU64,
    started: Instant,
    reads: Semaphore,
    alarms: Mutex<BTreeSet<(Millis, RoomName)>>,
    /// Rooms that linger, by when they became idle: the first to go where others need the room.
    idle: Mutex<BTreeSet<(Millis, RoomName)>>,
    alarm_moved: Arc<Notify>,
    runtime: Handle,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("rooms", &lock(&self.rooms).len()).finish_non_exhaustive()
    }
}

/// One room behind its lock.
struct RoomCell {
    name: RoomName,
    node: Arc<Node>,
    state: Mutex<CellState>,
}

struct CellState {
    room: Room,
    outboxes: BTreeMap<MemberId, Arc<Outbox>>,
    /// Of those for whom the log is read.
    turns: BTreeMap<MemberId, Turn>,
    /// The alarm that is set for this room, so that the same is not set again and again.
    alarm: Option<Millis>,
    idle_since: Option<Millis>,
    /// A task looks after its appends.
    has_appender: bool,
    /// Forgotten by the node: who finds it must look again.
    is_forgotten: bool,
}

impl CellState {
    /// Lets go of somebody who has left, as soon as nothing that it pushed is under way: until then its socket's budget
    /// is in use.
    fn forget(&mut self, member: MemberId) {
        if !self.room.knows(member) {
            self.outboxes.remove(&member);
        }
    }

    /// Whether the node may forget this room.
    fn is_over(&self) -> bool {
        self.room.is_gone() || self.room.is_idle()
    }

    /// Another may have this member's turn, unless the log is being read for it.
    fn end_turn(&mut self, member: MemberId) {
        if !self.room.is_reading(member) {
            self.turns.remove(&member);
        }
    }

    /// Somebody has left.
    fn leave(&mut self, member: MemberId) {
        self.turns.remove(&member);
        if let Some(outbox) = self.outboxes.get(&member) {
            outbox.unwatch(member);
        }
        self.forget(member);
    }
}

/// A member's place in a room. Dropping it leaves the room.
pub struct Place(Seat);

/// Which member of which room; says nothing about whether it is still there.
#[derive(Clone)]
pub(crate) struct Seat {
    cell: Arc<RoomCell>,
    member: MemberId,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.member.0, self.cell.name)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a connection gets no seat in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Too many rooms on this node.
    #[error("this relay has no room for more rooms")]
    Rooms,
    /// Too many members in this room.
    #[error("this room is full")]
    Members,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Room logic does not panic on what a peer sends; if it ever did, one room is wrong, not all of them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Random bytes for an epoch or a peer number.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

impl Node {
    /// A node over a log. Must be called inside a tokio runtime, on which it works from then on.
    pub fn new(log: Arc<dyn RoomLog>, compactor: Compactor, limits: Limits) -> Arc<Node> {
        let node = Arc::new(Node {
            log,
            compactor,
            limits,
            rooms: Mutex::default(),
            sockets: Mutex::default(),
            next: AtomicU64::new(1),
            started: Instant::now(),
            reads: Semaphore::new(limits.node.reads),
            alarms: Mutex::default(),
            idle: Mutex::default(),
            alarm_moved: Arc::default(),
            runtime: Handle::current(),
        });
        let weak = Arc::downgrade(&node);
        tokio::spawn(async move {
            // Ends with the node: it is upgraded for one look at a time.
            while let Some(node) = weak.upgrade() {
                let next = node.ring_alarms();
                let moved = node.alarm_moved.clone();
                drop(node);
                tokio::select! {
                    () = moved.notified() => {}
                    () = tokio::time::sleep(next) => {}
                }
            }
        });
        node
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sockets that are open.
    pub fn socket_count(&self) -> usize {
        lock(&self.sockets).len()
    }

    /// Sockets by door, to tell them all something.
    pub(crate) fn sockets(&self) -> Vec<(Kind, Arc<Outbox>)> {
        lock(&self.sockets).values().cloned().collect()
    }

    /// Closes every socket with this code.
    pub(crate) fn close_all(&self, code: CloseCode, reason: &str) {
        for (_, outbox) in self.sockets() {
            outbox.close(Closing::new(code, reason));
        }
    }

    /// Counts a socket in until the guard is dropped.
    pub(crate) fn open_socket(self: &Arc<Self>, kind: Kind) -> OpenSocket {
        let outbox = Arc::new(Outbox::new(&self.limits.socket));
        let id = self.number();
        lock(&self.sockets).insert(id, (kind, outbox.clone()));
        OpenSocket { node: self.clone(), id, outbox }
    }

    /// Whether nothing is on its way into the log.
    pub(crate) fn is_drained(&self) -> bool {
        let cells: Vec<_> = lock(&self.rooms).values().cloned().collect();
        cells.iter().all(|cell| lock(&cell.state).room.is_settled())
    }

    /// Seats a connection in a room, which answers through its outbox.
    pub fn join(
        self: &Arc<Self>,
        name: &RoomName,
        kind: Kind,
        access: Access,
        cursor: Option<Cursor>,
        outbox: &Arc<Outbox>,
    ) -> Result<Place, JoinError> {
        let member = MemberId(self.number());
        // 53 bits: JavaScript counts no further.
        let peer = Peer(u64::from_le_bytes(random()) >> 11);
        loop {
            let cell = self.cell(name)?;
            let mut state = lock(&cell.state);
            if state.is_forgotten || state.room.is_gone() {
                drop(state);
                self.forget(&cell, |_| true);
                continue;
            }
            if state.room.member_count() >= self.limits.node.members_per_room {
                return Err(JoinError::Members);
            }
            self.wake_up(&cell.name, &mut state);
            state.outboxes.insert(member, outbox.clone());
            state.room.handle_join(Join { member, peer, kind, access, cursor }, self.now());
            cell.execute(&mut state);
            drop(state);
            return Ok(Place(Seat { cell, member }));
        }
    }

    fn cell(self: &Arc<Self>, name: &RoomName) -> Result<Arc<RoomCell>, JoinError> {
        let mut rooms = lock(&self.rooms);
        if let Some(cell) = rooms.get(name) {
            return Ok(cell.clone());
        }
        if rooms.len() >= self.limits.node.rooms && !self.evict(&mut rooms) {
            return Err(JoinError::Rooms);
        }
        let room = Room::new(name.clone(), Channel(self.number()), Epoch(random()), self.limits.room);
        let state = CellState {
            room,
            outboxes: BTreeMap::new(),
            turns: BTreeMap::new(),
            alarm: None,
            idle_since: None,
            has_appender: false,
            is_forgotten: false,
        };
        let cell = Arc::new(RoomCell { name: name.clone(), node: self.clone(), state: Mutex::new(state) });
        rooms.insert(name.clone(), cell.clone());
        Ok(cell)
    }

    /// Forgets the room that has been idle for longest, if there is one.
    fn evict(&self, rooms: &mut HashMap<RoomName, Arc<RoomCell>>) -> bool {
        loop {
            let Some((_, name)) = lock(&self.idle).pop_first() else { return false };
            let Some(cell) = rooms.get(&name).cloned() else { continue };
            let mut state = lock(&cell.state);
            // Somebody may be on the way in, and has this room's lock before us or finds it forgotten.
            if state.idle_since.is_some() && state.is_over() {
                state.is_forgotten = true;
                rooms.remove(&name);
                return true;
            }
        }
    }

    fn wake_up(&self, name: &RoomName, state: &mut CellState) {
        if let Some(since) = state.idle_since.take() {
            lock(&self.idle).remove(&(since, name.clone()));
        }
    }

    /// Forgets a room, if `may` still says so under all locks.
    fn forget(&self, cell: &Arc<RoomCell>, may: impl FnOnce(&CellState) -> bool) {
        let mut rooms = lock(&self.rooms);
        let mut state = lock(&cell.state);
        if may(&state) {
            state.is_forgotten = true;
            self.wake_up(&cell.name, &mut state);
            if rooms.get(&cell.name).is_some_and(|known| Arc::ptr_eq(known, cell)) {
                rooms.remove(&cell.name);
            }
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn now(&self) -> Millis {
        // From one on: zero is "never" to a room.
        Millis(1 + self.started.elapsed().as_millis() as u64)
    }

    fn set_alarm(&self, at: Millis, room: &RoomName) {
        let mut alarms = lock(&self.alarms);
        let is_first = alarms.first().is_none_or(|(first, _)| at < *first);
        alarms.insert((at, room.clone()));
        drop(alarms);
        if is_first {
            self.alarm_moved.notify_one();
        }
    }

    /// Does what is due, and says how long nothing is.
    fn ring_alarms(&self) -> Duration {
        loop {
            let now = self.now();
            let mut alarms = lock(&self.alarms);
            let name = match alarms.first() {
                None => return Duration::from_secs(3600),
                Some((at, _)) if *at > now => return Duration::from_millis(at.0 - now.0),
                Some(_) => alarms.pop_first().map(|(_, name)| name),
            };
            drop(alarms);
            let cell = name.and_then(|name| lock(&self.rooms).get(&name).cloned());
            if let Some(cell) = cell {
                self.ring(&cell, now);
            }
        }
    }

    fn ring(&self, cell: &Arc<RoomCell>, now: Millis) {
        let linger = self.limits.node.linger.as_millis() as u64;
        let mut state = lock(&cell.state);
        state.alarm = None;
        if state.room.poll_timeout().is_some_and(|at| at <= now) {
            state.room.handle_timeout(now);
        }
        cell.execute(&mut state);
        drop(state);
        self.forget(cell, |state| {
            state.room.is_gone()
                || state.room.is_idle() && state.idle_since.is_some_and(|since| since.0 + linger <= now.0)
        });
    }
}

/// A socket while it is open.
#[derive(Debug)]
pub(crate) struct OpenSocket {
    node: Arc<Node>,
    id: u64,
    pub(crate) outbox: Arc<Outbox>,
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        lock(&self.node.sockets).remove(&self.id);
        self.outbox.end();
    }
}

impl Place {
    /// The number that frames carry for this room.
    pub fn channel(&self) -> Channel {
        lock(&self.0.cell.state).room.channel()
    }

    /// Tells the room a fact about this member.
    pub fn tell(&self, fact: impl FnOnce(&mut Room, MemberId, Millis)) {
        self.0.tell(fact);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = lock(&self.0.cell.state);
        state.room.handle_leave(self.0.member);
        state.leave(self.0.member);
        self.0.cell.execute(&mut state);
    }
}

impl Seat {
    fn tell(&self, fact: impl FnOnce(&mut Room, MemberId, Millis)) {
        let mut state = lock(&self.cell.state);
        fact(&mut state.room, self.member, self.cell.node.now());
        self.cell.execute(&mut state);
    }

    pub(crate) fn member(&self) -> MemberId {
        self.member
    }

    /// The queue of its socket is short, and this is its turn.
    pub(crate) fn drained(&self, turn: Turn) {
        let mut state = lock(&self.cell.state);
        state.turns.insert(self.member, turn);
        state.room.handle_drained(self.member);
        self.cell.execute(&mut state);
        state.end_turn(self.member);
    }
}

impl RoomCell {
    /// Executes what the room wishes. Sends happen under the room's lock, so that their order is the room's.
    fn execute(self: &Arc<Self>, state: &mut CellState) {
        let mut began = Vec::new();
        while let Some(wish) = state.room.poll_wish() {
            match wish {
                Wish::Send { member, chunk } => {
                    let Some(outbox) = state.outboxes.get(&member) else { continue };
                    let is_long = if state.turns.contains_key(&member) {
                        outbox.push_in_turn(chunk)
                    } else {
                        outbox.push(chunk)
                    };
                    if is_long {
                        state.room.handle_slow(member);
                    }
                }
                Wish::Watch { member } => {
                    // Whoever waits has been told what it had the last one for.
                    state.turns.remove(&member);
                    let seat = Seat { cell: self.clone(), member };
                    let Some(outbox) = state.outboxes.get(&member) else { continue };
                    if let Some(turn) = outbox.watch(seat) {
                        state.turns.insert(member, turn);
                        began.push(member);
                        state.room.handle_drained(member);
                    }
                }
                Wish::Settled { member, bytes } => {
                    if let Some(outbox) = state.outboxes.get(&member) {
                        outbox.settled(bytes);
                    }
                    state.forget(member);
                }
                Wish::Close { member, code, reason } => {
                    if let Some(outbox) = state.outboxes.remove(&member) {
                        outbox.unwatch(member);
                        outbox.close(Closing::new(code, reason));
                    }
                    state.turns.remove(&member);
                }
                wish => {
                    self.node.runtime.spawn(self.clone().ask_log(wish));
                }
            }
        }
        for member in began {
            state.end_turn(member);
        }
        if state.room.wants_append() && !state.has_appender {
            state.has_appender = true;
            self.node.runtime.spawn(self.clone().append());
        }
        if state.is_over() {
            let since = state.idle_since.unwrap_or_else(|| self.fall_idle(state));
            let linger =
                if state.room.is_gone() { 0 } else { self.node.limits.node.linger.as_millis() as u64 };
            self.arm(state, Millis(since.0 + linger));
        } else if let Some(at) = state.room.poll_timeout() {
            self.arm(state, at);
        }
    }

    fn fall_idle(&self, state: &mut CellState) -> Millis {
        let now = self.node.now();
        if !state.is_forgotten {
            state.idle_since = Some(now);
            lock(&self.node.idle).insert((now, self.name.clone()));
        }
        now
    }

    fn arm(&self, state: &mut CellState, at: Millis) {
        if state.alarm.is_none_or(|set| at < set) && !state.is_forgotten {
            state.alarm = Some(at);
            self.node.set_alarm(at, &self.name);
        }
    }

    /// Appends while the room has something to append, one batch after the other.
    async fn append(self: Arc<Self>) {
        let log = &self.node.log;
        while self.has_more_to_append() {
            if let Some(at) = log.gather_until() {
                tokio::time::sleep_until(at.into()).await;
            }
            // Not while waiting: what came meanwhile goes along.
            let wish = lock(&self.state).room.poll_append();
            let Some(Wish::Append { epoch, entries }) = wish else { continue };
            let appended = log.append(&self.name, epoch, entries).await;
            let mut state = lock(&self.state);
            match appended {
                Ok(first) => state.room.handle_appended(first, self.node.now()),
                Err(error) => {
                    tracing::error!(room = %self.name, %error, "an append failed");
                    state.room.handle_append_failed(&error);
                }
            }
            self.execute(&mut state);
        }
    }

    /// Whether the append task goes on; under the lock, so that nothing is left behind when it ends.
    fn has_more_to_append(&self) -> bool {
        let mut state = lock(&self.state);
        state.has_appender = state.room.wants_append();
        state.has_appender
    }

    /// Asks the log and brings back the answer.
    async fn ask_log(self: Arc<Self>, wish: Wish) {
        let log = &self.node.log;
        let answer: Box<dyn FnOnce(&mut Room) + Send> = match wish {
            Wish::ReadHead => {
                let head = log.head(&self.name).await;
                Box::new(|room| room.handle_head(head))
            }
            Wish::ReadSnapshot { epoch } => {
                let _turn = self.node.reads.acquire().await;
                let snapshot = log.snapshot(&self.name, epoch).await;
                Box::new(|room| room.handle_snapshot(snapshot))
            }
            Wish::Read { epoch, after, max_bytes } => {
                let _turn = self.node.reads.acquire().await;
                let page = log.read(&self.name, epoch, after, max_bytes).await;
                Box::new(move |room| room.handle_page(after, page))
            }
            Wish::Compact { head, moment } => {
                let outcome = self.node.compactor.compact(&self.name, &head, moment).await;
                Box::new(move |room| room.handle_compacted(outcome.into()))
            }
            Wish::Append { .. }
            | Wish::Send { .. }
            | Wish::Watch { .. }
            | Wish::Settled { .. }
            | Wish::Close { .. } => return,
        };
        let mut state = lock(&self.state);
        answer(&mut state.room);
        self.execute(&mut state);
        let CellState { room, turns, .. } = &mut *state;
        turns.retain(|&member, _| room.is_reading(member));
    }
}
