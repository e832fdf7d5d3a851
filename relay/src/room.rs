//! The room: who is in it, what is durable, and who has been told how much of it.
//!
//! Facts in (`handle_*`), wishes out ([`Room::poll_wish`], and [`Room::poll_append`] when the log can do more).
//! There is no socket, clock, task or random source in here: whoever drives a room executes its wishes, in their
//! order, and comes back with the answers. The node does so with sockets and a store, the simulator with a
//! made-up network and disk.
//!
//! ```text
//!              push                              Append{entries}
//!   members ─────────► line of pushes ─────────────────────────────► log
//!      ▲                                                              │ durable
//!      │  Live: every entry as it becomes durable ◄───────────────────┤
//!      └─ others: pages of the log from their own cursor ◄── Read ────┘
//! ```
//!
//! Invariants:
//! - Nothing is told before it is durable; every member is told every seq once, in order.
//! - At most one append is in flight. After one that failed nothing behind it is stored: everybody who is in
//!   the line is closed with a retry code, and the head is read again, because a failed append may have
//!   happened all the same.
//! - An update whose ids and deletions the log has already is acknowledged and not stored.
//! - Once `poll_wish` has returned `None`, nothing changes until the next fact.

mod line;
mod member;
mod people;
mod presence;
mod replay;
mod storing;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use member::MemberId;
pub use words::Kind;

use crate::{
    compaction::{Moment, Outcome},
    limits::RoomLimits,
    log::Head,
};
use bytes::Bytes;
use hither_protocol::{
    close::CloseCode,
    contents::Contents,
    frames::Access,
    ids::{Channel, Cursor, Epoch, Peer, RoomName},
};
use line::Line;
use member::{Begin, Hearing, Member, Phase, Pushing};
use presence::Presence;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Milliseconds on a clock of the caller's that never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

/// What a room wants done. Wishes for the log are answered with the fact of the same name, once each, in any
/// order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Read where the log stands: [`Room::handle_head`].
    ReadHead,
    /// Read the snapshot: [`Room::handle_snapshot`].
    ReadSnapshot {
        /// The life of the log that is meant.
        epoch: Epoch,
    },
    /// Read entries behind `after`: [`Room::handle_page`].
    Read {
        /// The life of the log that is meant.
        epoch: Epoch,
        /// The last entry that is already known.
        after: u64,
        /// Bytes of updates in the page.
        max_bytes: usize,
    },
    /// Append: [`Room::handle_appended`] or [`Room::handle_append_failed`]. Comes from [`Room::poll_append`].
    Append {
        /// The life of the log that is meant; a log that does not exist is created with it.
        epoch: Epoch,
        /// Updates in their order.
        entries: Vec<Bytes>,
    },
    /// Queue these bytes for a member.
    Send {
        /// To whom.
        member: MemberId,
        /// Whole bodies behind their lengths; shared between members.
        chunk: Bytes,
    },
    /// Say [`Room::handle_drained`] when this member's queue is short (now, if it is) and not too much is being read
    /// for others on its connection: [`Room::is_reading`].
    Watch {
        /// Whose queue.
        member: MemberId,
    },
    /// So many bytes that a member pushed are off the room's hands, in whatever way. It may have left meanwhile.
    Settled {
        /// Who pushed them.
        member: MemberId,
        /// How many.
        bytes: usize,
    },
    /// Close the member's connection. It has left the room already.
    Close {
        /// Whose connection.
        member: MemberId,
        /// Why.
        code: CloseCode,
        /// Why, in words.
        reason: &'static str,
    },
    /// The tail behind the snapshot is long, or the room has been quiet with one: compact, if that is worth it:
    /// [`Room::handle_compacted`].
    Compact {
        /// Where the log stands.
        head: Head,
        /// Whether somebody writes.
        moment: Moment,
    },
}

/// How a compaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compacted {
    /// There is a new snapshot, and entries up to the floor are gone.
    Done {
        /// Seq of the snapshot.
        snapshot: u64,
        /// The last entry that is gone.
        floor: u64,
    },
    /// It makes no sense before the log has this head.
    NotBefore(u64),
    /// Not now.
    Later,
    /// Somebody else changed the log.
    Overtaken,
}

impl From<Outcome> for Compacted {
    fn from(outcome: Outcome) -> Compacted {
        match outcome {
            Outcome::Done { snapshot, floor } => Compacted::Done { snapshot, floor },
            Outcome::NotDue { not_before } | Outcome::Failed { not_before, .. } => {
                Compacted::NotBefore(not_before)
            }
            Outcome::Busy | Outcome::Unavailable(_) => Compacted::Later,
            Outcome::Overtaken => Compacted::Overtaken,
        }
    }
}

/// Somebody comes in.
#[derive(Debug, Clone)]
pub struct Join {
    /// A number that was never used in this room before.
    pub member: MemberId,
    /// Its name for the others: random, at most 53 bits, different from everybody else's here.
    pub peer: Peer,
    /// The door it comes through.
    pub kind: Kind,
    /// What it may do.
    pub access: Access,
    /// How far it has read; only `/sync` knows.
    pub cursor: Option<Cursor>,
}

/// See the module.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    channel: Channel,
    limits: RoomLimits,
    standing: Standing,
    /// The epoch of a log that this room would create.
    fresh: Epoch,
    members: BTreeMap<MemberId, Member>,
    line: Line,
    knowledge: Knowledge,
    presence: Presence,
    unheard: Unheard,
    /// Log reads that were wished for and not answered.
    reading: BTreeSet<u64>,
    reading_snapshot: bool,
    compaction: Compaction,
    wishes: VecDeque<Wish>,
}

/// What the room knows of its log's position.
#[derive(Debug, Clone, Copy)]
enum Standing {
    /// Nothing: the head is being read.
    Opening,
    /// Everything up to `head` is durable, nothing else is.
    Open(Head),
    /// An append failed: at least this is durable, the head is being read again.
    Checking(Head),
    /// The log was deleted or replaced, or cannot be read: this room is over.
    Gone,
}

/// What the room knows of its log's content.
#[derive(Debug)]
enum Knowledge {
    /// Nothing: nobody has pushed yet.
    Unknown,
    /// The snapshot is being read.
    LoadingSnapshot,
    /// Entries behind `after` are being read.
    Loading { contents: Contents, after: u64 },
    /// Everything that the log holds, and what is in the line behind it.
    Known(Contents),
}

/// Presence that somebody must still hear.
#[derive(Debug, Default)]
struct Unheard {
    /// Changed too soon after the last telling, and who must hear it.
    people: BTreeMap<u64, Whom>,
    /// When to tell them.
    tell_at: Option<Millis>,
    /// When stock clients hear from the relay again; only while there are any.
    renew_at: Option<Millis>,
}

/// Who must hear of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whom {
    /// Nobody: all have heard that the person shows nothing. It is remembered, so that it is not told of too soon again.
    Nobody,
    /// Stock clients, who forget whom they do not hear of.
    Stock,
    /// Everybody.
    All,
}

#[derive(Debug, Default)]
struct Compaction {
    /// Bytes appended since the room was opened or compacted.
    bytes: u64,
    running: Option<Moment>,
    /// Not asked for again before these heads: while somebody writes, and when the room is quiet.
    not_before: u64,
    not_before_quiet: u64,
    /// When the room will have been quiet for long enough, if nobody writes until then.
    quiet_at: Option<Millis>,
}

impl Room {
    /// A room that nobody is in. `channel`: a number that no other room of this process ever had; `fresh`: a
    /// random epoch, in case the log must be created.
    pub fn new(name: RoomName, channel: Channel, fresh: Epoch, limits: RoomLimits) -> Room {
        Room {
            name,
            channel,
            limits,
            standing: Standing::Opening,
            fresh,
            members: BTreeMap::new(),
            line: Line::default(),
            knowledge: Knowledge::Unknown,
            presence: Presence::default(),
            unheard: Unheard::default(),
            reading: BTreeSet::new(),
            reading_snapshot: false,
            compaction: Compaction::default(),
            wishes: VecDeque::from([Wish::ReadHead]),
        }
    }

    /// Its name.
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// The number that frames carry for it.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Where its log stands, if that is known.
    pub fn head(&self) -> Option<Head> {
        match self.standing {
            Standing::Open(head) | Standing::Checking(head) => Some(head),
            Standing::Opening | Standing::Gone => None,
        }
    }

    /// Members, of both doors.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Whether everything that was pushed is durable or refused.
    pub fn is_settled(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether it can be forgotten: nobody is in it and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty()
            && self.line.is_empty()
            && self.reading.is_empty()
            && !self.reading_snapshot
            && self.compaction.running.is_none()
            && self.compaction.quiet_at.is_none()
            && self.wishes.is_empty()
            && !matches!(self.standing, Standing::Opening | Standing::Checking(_))
    }

    /// Whether it must be forgotten: the log it knew is no more. Members come back into a new room.
    pub fn is_gone(&self) -> bool {
        matches!(self.standing, Standing::Gone)
    }

    /// The next thing to do.
    pub fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// The time of [`Room::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Millis) {
        self.tell_due(now);
        self.compact_if_quiet(now);
    }

    /// When [`Room::handle_timeout`] is due, if ever.
    pub fn poll_timeout(&self) -> Option<Millis> {
        [self.unheard.tell_at, self.unheard.renew_at, self.compaction.quiet_at].into_iter().flatten().min()
    }
}

/// Coming and going.
impl Room {
    /// Somebody comes in.
    pub fn handle_join(&mut self, join: Join, now: Millis) {
        let Join { member: id, peer, kind, access, cursor } = join;
        if self.is_gone() {
            return self.wish_close(id, CloseCode::Restarting, "the room was replaced");
        }
        let member = Member {
            kind,
            access,
            peer,
            phase: Phase::Arriving { cursor },
            pushing: Pushing::Open { last: 0 },
            owed: None,
            hearing: Hearing::Nothing,
            yjs: None,
        };
        self.members.insert(id, member);
        if kind == Kind::Sync {
            self.presence.reserve(peer.0);
        }
        if kind == Kind::Yjs && self.unheard.renew_at.is_none() {
            self.unheard.renew_at = Some(Millis(now.0 + self.limits.renew_interval_ms));
        }
        if self.compaction.quiet_at.is_none() {
            // For what an earlier life of this room did not get to.
            self.watch_for_quiet(now);
        }
        if let Some(head) = self.head() {
            self.settle_in(id, head);
        }
    }

    /// Whether somebody is here, or has left and what it pushed is still under way: a [`Wish::Settled`] will come.
    pub fn knows(&self, member: MemberId) -> bool {
        self.members.contains_key(&member) || self.line.has_push_of(member)
    }

    /// Somebody goes, or is gone. What it pushed is stored all the same.
    pub fn handle_leave(&mut self, member: MemberId) {
        self.remove(member);
    }

    /// This member's queue is longer than its socket's limit.
    pub fn handle_slow(&mut self, id: MemberId) {
        let Some(head) = self.head() else { return };
        let Some(member) = self.members.get_mut(&id) else { return };
        // Stock clients hear of people before they have asked for the log, and while they read it.
        let heard = matches!(member.hearing, Hearing::All);
        if heard {
            member.hearing = Hearing::AllBut(BTreeMap::new());
        }
        match member.phase {
            // Live members were told everything up to the head.
            Phase::Live => self.wait(id, Begin::After(head.head)),
            Phase::Unasked if heard => self.wishes.push_back(Wish::Watch { member: id }),
            Phase::Unasked
            | Phase::Arriving { .. }
            | Phase::ReadingSnapshot
            | Phase::Reading { .. }
            | Phase::Waiting { .. } => {}
        }
    }

    /// The queue of a watched member is short.
    pub fn handle_drained(&mut self, id: MemberId) {
        match self.members.get(&id).map(|member| &member.phase) {
            Some(&Phase::Waiting { begin }) => self.go_on(id, begin),
            Some(Phase::Unasked) => self.tell_presence(id),
            _ => {}
        }
    }

    /// Whether the log is being read for this member.
    pub fn is_reading(&self, id: MemberId) -> bool {
        let phase = self.members.get(&id).map(|member| &member.phase);
        matches!(phase, Some(Phase::ReadingSnapshot | Phase::Reading { .. }))
    }

    /// The members in such a phase.
    fn members_in(&self, is_it: impl Fn(&Phase) -> bool) -> Vec<MemberId> {
        self.members.iter().filter(|(_, member)| is_it(&member.phase)).map(|(&id, _)| id).collect()
    }

    /// Whether it was here.
    fn remove(&mut self, id: MemberId) -> bool {
        let Some(member) = self.members.remove(&id) else { return false };
        let departed = self.presence.leave(id, member.peer.0);
        self.tell_departed(&departed);
        if !self.members.values().any(|member| member.kind == Kind::Yjs) {
            self.unheard.renew_at = None;
        }
        true
    }

    fn close(&mut self, id: MemberId, code: CloseCode, reason: &'static str) {
        if self.remove(id) {
            self.wish_close(id, code, reason);
        }
    }

    fn close_all(&mut self, code: CloseCode, reason: &'static str) {
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.close(id, code, reason);
        }
    }

    fn wish_close(&mut self, member: MemberId, code: CloseCode, reason: &'static str) {
        self.wishes.push_back(Wish::Close { member, code, reason });
    }

    fn send(&mut self, member: MemberId, chunk: Bytes) {
        self.wishes.push_back(Wish::Send { member, chunk });
    }

    fn be_replaced(&mut self) {
        self.go(CloseCode::Restarting, "the room was replaced");
    }

    /// The room is over: the log it spoke of is no more.
    fn go(&mut self, code: CloseCode, reason: &'static str) {
        self.standing = Standing::Gone;
        self.close_all(code, reason);
        self.abandon_line(reason);
        self.knowledge = Knowledge::Unknown;
    }
}

impl Standing {
    fn set_head(&mut self, new: Head) {
        if let Standing::Open(head) | Standing::Checking(head) = self {
            *head = new;
        }
    }
}

/// Compaction.
impl Room {
    /// A compaction that was wished for has ended.
    pub fn handle_compacted(&mut self, how: Compacted) {
        let moment = self.compaction.running.take();
        self.compaction.bytes = 0;
        let Some(mut head) = self.head() else { return };
        let later = head.head + self.limits.compact_entries;
        let not_before = match how {
            Compacted::Done { snapshot, floor } => {
                head.snapshot = head.snapshot.max(snapshot);
                head.floor = head.floor.max(floor);
                self.standing.set_head(head);
                0
            }
            Compacted::NotBefore(head) => head,
            Compacted::Later => later,
            Compacted::Overtaken => {
                self.wishes.push_back(Wish::ReadHead);
                later
            }
        };
        match moment {
            Some(Moment::Quiet) => self.compaction.not_before_quiet = not_before,
            _ => self.compaction.not_before = not_before,
        }
        // Much may have come meanwhile, and nothing may come for a long time.
        self.want_compaction();
    }

    fn want_compaction(&mut self) {
        let Standing::Open(head) = self.standing else { return };
        // A snapshot may have what was appended and is not answered for yet.
        let is_long = head.head.saturating_sub(head.snapshot) >= self.limits.compact_entries
            || self.compaction.bytes >= self.limits.compact_bytes;
        if is_long && head.head >= self.compaction.not_before {
            self.compact(head, Moment::Busy);
        }
    }

    /// Whoever joins a room that is quiet had better find one merged update.
    fn watch_for_quiet(&mut self, now: Millis) {
        let is_worth_it = match self.standing {
            Standing::Opening => true,
            Standing::Open(head) | Standing::Checking(head) => self.is_worth_compacting_when_quiet(head),
            Standing::Gone => false,
        };
        self.compaction.quiet_at = is_worth_it.then(|| Millis(now.0 + self.limits.quiet_ms));
    }

    fn is_worth_compacting_when_quiet(&self, head: Head) -> bool {
        // A snapshot may be newer than the head that this room has read.
        let is_tail = head.head.saturating_sub(head.snapshot) >= self.limits.quiet_entries;
        is_tail && head.head >= self.compaction.not_before_quiet
    }

    fn compact_if_quiet(&mut self, now: Millis) {
        if self.compaction.quiet_at.is_some_and(|at| at <= now) {
            if self.compaction.running.is_some() {
                // It began before the last entries came: what it leaves is looked at later.
                return self.watch_for_quiet(now);
            }
            self.compaction.quiet_at = None;
            if let Standing::Open(head) = self.standing
                && self.is_worth_compacting_when_quiet(head)
            {
                self.compact(head, Moment::Quiet);
            }
        }
    }

    fn compact(&mut self, head: Head, moment: Moment) {
        if self.compaction.running.is_none() {
            self.compaction.running = Some(moment);
            self.wishes.push_back(Wish::Compact { head, moment });
        }
    }
}
