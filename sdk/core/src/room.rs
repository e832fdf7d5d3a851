//! One open room of a client: its document, its outbox, its journal and its place in the relay's log.
//!
//! ```text
//!   Away ──join──► Joining ──Joined──► Replaying ──head reached──► Live
//!    ▲                │ Refused           │                         │ Left, Nack
//!    │                ▼                   │ socket lost             ▼
//!    └───────────  Barred ◄───────────────┴────────────────────── (or Away)
//! ```
//!
//! While the relay replays, nothing is pushed: what comes may show that it has some of the outbox already. At
//! the end the outbox holds exactly what the log lacks, and after a reset also whatever else this document has
//! and the log lost. What of that waits for something else follows when it can be taken in.

mod disk;

use crate::document::Document;
use crate::edit::Op;
use crate::journal::Journal;
use crate::outbox::{Outbox, Row};
use crate::outlet::{Outlet, Violation};
use crate::presence::Attendance;
use crate::seed::{self, Seed};
use crate::status::{Connection, Edits, Local, Server, Status};
use crate::time::{Clock, Millis};
use crate::{Change, ChangeError, Event, OpenOptions, RoomId, Wish};
use bytes::Bytes;
use hither_protocol::close::CloseCode;
use hither_protocol::contents::Contents;
use hither_protocol::frames::{Access, ClientFrame, Joined, Mode};
use hither_protocol::ids::{Channel, Cursor, RoomName, Seq};
use hither_protocol::limits::MAX_UPDATE_BYTES;
use hither_protocol::scan::{Scan, scan};

/// How long after a refusal that may pass the room is asked for again, in milliseconds.
const REJOIN_MS: u64 = 2_000;

/// An open room.
pub(crate) struct Room {
    pub(crate) id: RoomId,
    pub(crate) name: RoomName,
    token: Bytes,
    document: Document,
    outbox: Outbox,
    journal: Journal,
    phase: Phase,
    /// Answers of the disk that are awaited although it was read.
    reloads: u32,
    /// Something here may be missing on the relay: it must be joined without a cursor.
    is_unsure: bool,
    /// What waits in the document since the last reset may be missing on the relay.
    is_owing: bool,
    session: Session,
    cursor: Option<Cursor>,
    incoming: Vec<(Bytes, Scan)>,
    seed: Option<Seed>,
    edits: Edits,
    acked_told: u64,
    refused: Option<(u16, String)>,
    trouble: Option<String>,
    attendance: Attendance,
    status_told: Option<Status>,
}

/// Whether an update of this size is not too large for a relay.
pub(crate) fn fits(bytes: usize) -> Result<(), ChangeError> {
    if bytes > MAX_UPDATE_BYTES {
        return Err(ChangeError::TooLarge { bytes, limit: MAX_UPDATE_BYTES });
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Loading,
    /// The disk could not be read; the room works from memory and asks again.
    Unread {
        retry_at: Millis,
        failures: u32,
    },
    Open,
    Closing,
}

#[derive(Debug)]
enum Session {
    Away,
    Joining,
    Replaying {
        channel: Channel,
        until: Seq,
        mode: Mode,
        access: Access,
        found: Contents,
    },
    Live {
        channel: Channel,
        access: Access,
    },
    /// The relay does not want us here; a new connection asks again.
    Barred {
        reason: String,
        retry_at: Option<Millis>,
    },
}

impl Room {
    /// Fails if the initial content cannot be planted.
    pub(crate) fn new(
        now: Millis,
        id: RoomId,
        name: RoomName,
        writer: u64,
        options: OpenOptions,
    ) -> Result<Self, ChangeError> {
        let declared = options.initial.as_ref().map(seed::declared).unwrap_or_default();
        let seed = match options.initial {
            Some(initial) => Seed::new(now, initial, &declared)?,
            None => None,
        };
        Ok(Self {
            id,
            token: options.token.into(),
            document: Document::new(writer, &declared),
            outbox: Outbox::default(),
            journal: Journal::new(name.as_str(), writer),
            name,
            phase: Phase::Loading,
            reloads: 0,
            is_unsure: false,
            is_owing: false,
            session: Session::Away,
            cursor: None,
            incoming: Vec::new(),
            seed,
            edits: Edits::default(),
            acked_told: 0,
            refused: None,
            trouble: None,
            attendance: Attendance::default(),
            status_told: None,
        })
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    pub(crate) fn document_mut(&mut self) -> &mut Document {
        &mut self.document
    }

    pub(crate) fn edits(&self) -> Edits {
        self.edits
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    pub(crate) fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    pub(crate) fn attendance_mut(&mut self) -> &mut Attendance {
        &mut self.attendance
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Unread { .. })
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether the relay owes an answer to a Join.
    pub(crate) fn is_joining(&self) -> bool {
        matches!(self.session, Session::Joining)
    }

    pub(crate) fn channel(&self) -> Option<Channel> {
        match self.session {
            Session::Replaying { channel, .. } | Session::Live { channel, .. } => Some(channel),
            Session::Away | Session::Joining | Session::Barred { .. } => None,
        }
    }

    // ---- the application

    pub(crate) fn change(
        &mut self,
        now: Millis,
        ops: &[Op],
        out: &mut Outlet,
    ) -> Result<Change, ChangeError> {
        if !self.is_ready() {
            return Err(ChangeError::NotReady);
        }
        let bytes: usize = ops.iter().map(Op::size_bound).sum();
        fits(bytes)?;
        let changed = self.document.apply(ops)?;
        let edit = changed.update.map_or(0, |update| self.record(now, update.into(), out));
        Ok(Change { edit, patch: changed.patch })
    }

    pub(crate) fn import(
        &mut self,
        now: Millis,
        update: Bytes,
        out: &mut Outlet,
    ) -> Result<Change, ChangeError> {
        if !self.is_ready() {
            return Err(ChangeError::NotReady);
        }
        fits(update.len())?;
        let scan = scan(&update).map_err(|error| ChangeError::Malformed(error.words()))?;
        if scan.is_empty() {
            return Ok(Change { edit: 0, patch: Vec::new() });
        }
        let (patch, errors) = self.document.integrate(&[(&update[..], &scan)]);
        if let Some(error) = errors.first() {
            return Err(ChangeError::Malformed(error.to_string()));
        }
        self.redeem(now);
        Ok(Change { edit: self.record(now, update, out), patch })
    }

    /// A local update gets its number, its row and its way to the relay.
    fn record(&mut self, now: Millis, update: Bytes, out: &mut Outlet) -> u64 {
        self.keep(now, update);
        self.push(out);
        let edit = self.edits.made;
        if let Some((code, message)) = self.refused.clone() {
            out.event(self.id, Event::Refused { from: edit, to: edit, code, message });
        }
        edit
    }

    fn keep(&mut self, now: Millis, update: Bytes) {
        self.edits.made += 1;
        let row = Row { key: self.journal.next_key(now), update, edit: self.edits.made };
        self.journal.add_local(now, &row);
        self.outbox.add(row);
    }

    /// What had to wait and could be taken in now is pushed before, or with, what will stand on it.
    fn redeem(&mut self, now: Millis) {
        let released = self.document.take_released();
        if self.is_owing {
            for update in released {
                if !self.outbox.rows().any(|row| row.update == update) {
                    self.keep(now, update.into());
                }
            }
            self.is_owing = self.document.waiting().next().is_some();
        }
    }

    /// Plants the initial content if the room is still empty. What two devices plant is the same update.
    pub(crate) fn plant(&mut self, now: Millis, out: &mut Outlet) {
        if !self.is_ready() {
            return;
        }
        let Some(seed) = self.seed.take().filter(|_| self.document.is_blank()) else { return };
        let Ok(scan) = scan(&seed.update) else { return };
        let (patch, _) = self.document.integrate(&[(&seed.update[..], &scan)]);
        self.record(now, seed.update.into(), out);
        self.tell_patch(patch, out);
    }

    fn tell_patch(&self, patch: Vec<u8>, out: &mut Outlet) {
        if !patch.is_empty() {
            out.event(self.id, Event::Patch { patch });
        }
    }

    pub(crate) fn close(&mut self, now: Millis, out: &mut Outlet) {
        if let Some(channel) = self.channel() {
            out.frames.push(&ClientFrame::Leave { channel });
        }
        self.session = Session::Away;
        self.phase = Phase::Closing;
        self.journal.hurry(now);
    }

    // ---- the relay

    pub(crate) fn join(&mut self, out: &mut Outlet) {
        if !self.is_ready() {
            return;
        }
        self.outbox.rejoin();
        if std::mem::take(&mut self.is_unsure) {
            self.cursor = None;
        }
        self.session = Session::Joining;
        out.frames.push(&ClientFrame::Join {
            room: self.name.clone(),
            token: self.token.clone(),
            cursor: self.cursor,
        });
    }

    /// Leaves and joins again without a cursor, if that is called for: everything comes, and what does not is
    /// missing there. Returns the channel that was left.
    pub(crate) fn rejoin_if_unsure(&mut self, out: &mut Outlet) -> Option<Channel> {
        let channel = self.channel().filter(|_| self.is_unsure)?;
        out.frames.push(&ClientFrame::Leave { channel });
        self.session = Session::Away;
        self.cursor = None;
        self.incoming.clear();
        self.attendance.on_away();
        self.join(out);
        Some(channel)
    }

    /// Half of a reset says nothing about what the relay lacks: resuming there would forget to heal it. So would
    /// resuming from the cursor on disk, where none was sent.
    fn interrupt(&mut self) {
        self.is_unsure |= match self.session {
            Session::Joining => self.cursor.is_none(),
            Session::Replaying { mode, .. } => mode == Mode::Reset,
            _ => false,
        };
    }

    pub(crate) fn on_link_lost(&mut self) {
        self.interrupt();
        self.session = Session::Away;
        self.attendance.on_away();
    }

    pub(crate) fn on_joined(
        &mut self,
        now: Millis,
        joined: &Joined,
        out: &mut Outlet,
    ) -> Result<(), Violation> {
        let Joined { channel, peer, access, epoch, head, mode, .. } = *joined;
        if !matches!(self.session, Session::Joining) {
            return Err(Violation(format!("Joined for room {} that was not asked for", self.name)));
        }
        let start = match (mode, self.cursor) {
            (Mode::Reset, _) => Seq(0),
            (Mode::Resumed, None) => Seq(0),
            (Mode::Resumed, Some(cursor)) if cursor.epoch == epoch && cursor.seq <= head => cursor.seq,
            (Mode::Resumed, Some(cursor)) => {
                let Cursor { epoch: own, seq } = cursor;
                return Err(Violation(format!("resumed at {head} of {epoch}, the cursor is {seq} of {own}")));
            }
        };
        // Without a cursor everything comes, whatever the relay calls it: what does not come is missing there.
        let mode = if self.cursor.is_none() { Mode::Reset } else { mode };
        self.is_owing &= mode == Mode::Resumed;
        self.cursor = Some(Cursor { epoch, seq: start });
        self.attendance.on_joined(peer);
        let found = Contents::default();
        self.session = Session::Replaying { channel, until: head, mode, access, found };
        self.finish_replay_if_done(now, out);
        Ok(())
    }

    pub(crate) fn on_refused(&mut self, now: Millis, code: u64, reason: String, out: &mut Outlet) {
        let code = u16::try_from(code).unwrap_or(u16::MAX);
        let may_retry = CloseCode::from_number(code.into()).is_none_or(CloseCode::is_retry);
        out.error(self.id, "room-refused", &format!("{code}: {reason}"));
        self.attendance.on_away();
        let retry_at = may_retry.then(|| now + REJOIN_MS);
        self.interrupt();
        self.session = Session::Barred { reason, retry_at };
    }

    pub(crate) fn on_snapshot(&mut self, seq: Seq, update: Bytes) -> Result<(), Violation> {
        match (&self.session, &mut self.cursor) {
            // It may be newer than the head that Joined spoke of: the log goes on, and is compacted, meanwhile.
            (Session::Replaying { mode: Mode::Reset, .. }, Some(cursor))
                if cursor.seq == Seq(0) && seq > Seq(0) =>
            {
                let scan =
                    scan(&update).map_err(|error| Violation(format!("snapshot {seq}: {}", error.words())))?;
                cursor.seq = seq;
                self.incoming.push((update, scan));
                Ok(())
            }
            _ => Err(Violation(format!("a snapshot at {seq} outside of a reset"))),
        }
    }

    pub(crate) fn on_update(&mut self, seq: Seq, update: Bytes) -> Result<(), Violation> {
        let Some(cursor) = &mut self.cursor else {
            return Err(Violation(format!("an update at {seq} before the room was joined")));
        };
        if seq != cursor.seq.next() {
            return Err(Violation(format!("an update at {seq} where {} is next", cursor.seq.next())));
        }
        let scan = scan(&update).map_err(|error| Violation(format!("update {seq}: {}", error.words())))?;
        cursor.seq = seq;
        self.incoming.push((update, scan));
        Ok(())
    }

    pub(crate) fn on_ack(
        &mut self,
        now: Millis,
        n: u64,
        seq: Seq,
        out: &mut Outlet,
    ) -> Result<(), Violation> {
        let (Session::Live { .. }, Some(cursor)) = (&self.session, &mut self.cursor) else {
            return Err(Violation(format!("an acknowledgement of {n} before anything was pushed")));
        };
        let Some(rows) = self.outbox.acknowledge(n) else {
            return Err(Violation(format!("an acknowledgement of push {n} that was never made")));
        };
        if seq < cursor.seq {
            return Err(Violation(format!("an acknowledgement at {seq} behind {}", cursor.seq)));
        }
        cursor.seq = seq;
        self.journal.acknowledged(now, rows, &self.outbox);
        self.push(out);
        Ok(())
    }

    pub(crate) fn on_nack(&mut self, n: u64, code: u64, reason: String, out: &mut Outlet) {
        let code = u16::try_from(code).unwrap_or(u16::MAX);
        // What was pushed before is on its way to the disk, and acknowledged later.
        let from = self.outbox.edit_of(n).unwrap_or(self.edits.made);
        self.refused = Some((code, reason.clone()));
        let message = format!("push {n}: {reason}");
        out.event(self.id, Event::Refused { from, to: self.edits.made, code, message });
    }

    /// Ends a message: what came in it enters the document as one transaction.
    pub(crate) fn absorb(&mut self, now: Millis, out: &mut Outlet) {
        let incoming = std::mem::take(&mut self.incoming);
        if !incoming.is_empty() {
            let updates: Vec<_> = incoming.iter().map(|(update, scan)| (&update[..], scan)).collect();
            let (patch, errors) = self.document.integrate(&updates);
            if self.is_ready() {
                self.tell_patch(patch, out);
            }
            for error in errors {
                out.error(self.id, "update-refused", &error.to_string());
            }
            for (update, scan) in incoming {
                if let Session::Replaying { found, .. } = &mut self.session {
                    found.absorb(&scan);
                }
                self.journal.add_remote(now, update);
            }
            self.redeem(now);
        }
        self.finish_replay_if_done(now, out);
        self.advance(now);
        // What waited for something that came.
        self.push(out);
    }

    fn finish_replay_if_done(&mut self, now: Millis, out: &mut Outlet) {
        let Session::Replaying { channel, until, mode, access, found } = &mut self.session else { return };
        if !self.incoming.is_empty() || self.cursor.is_none_or(|cursor| cursor.seq < *until) {
            return;
        }
        let (channel, mode, access, is_empty) = (*channel, *mode, *access, *until == Seq(0));
        let found = std::mem::take(found);
        self.session = Session::Live { channel, access };
        self.refused = None;
        let pruned = self.outbox.prune(&found);
        self.journal.acknowledged(now, pruned, &self.outbox);
        if mode == Mode::Reset {
            let mut expected = found.clone();
            expected.merge(&self.outbox.contents(&self.document));
            // What is in the outbox may stand on what was lost, and the other way round: both are one row.
            if self.document.missing_from(&expected).is_some()
                && let Some(lost) = self.document.missing_from(&found)
            {
                self.record(now, lost.into(), out);
            }
            self.is_owing = self.document.waiting().next().is_some();
            self.journal.on_new_life(now);
        }
        if is_empty {
            self.plant(now, out);
        } else {
            self.seed = None;
        }
        self.advance(now);
        self.attendance.on_live(now);
        self.push(out);
    }

    /// Lets the cursor on disk follow. In a reset the old one stays until everything that the log lost is in the
    /// outbox, and while the disk is unread until its rows are known: resuming there would forget to heal the relay.
    fn advance(&mut self, now: Millis) {
        let is_in_reset = match self.session {
            Session::Live { .. } => false,
            Session::Replaying { mode, .. } => mode == Mode::Reset,
            Session::Away | Session::Joining | Session::Barred { .. } => true,
        };
        if let Some(cursor) =
            self.cursor.filter(|_| !is_in_reset && !self.is_unsure && self.phase == Phase::Open)
        {
            self.journal.advance(now, cursor);
        }
    }

    fn push(&mut self, out: &mut Outlet) {
        let Session::Live { channel, access: Access::ReadWrite } = self.session else { return };
        // What is unsure may be what the rest stands on: it goes after a reset, with it.
        if self.refused.is_some() || self.is_unsure {
            return;
        }
        while let Some((n, update)) = self.outbox.next_push(&self.document, out.max_update) {
            out.frames.push(&ClientFrame::Push { channel, n, update });
        }
    }

    // ---- time

    pub(crate) fn next_timeout(&self, is_disk_busy: bool) -> Option<Millis> {
        let reload = match self.phase {
            Phase::Unread { retry_at, .. } => Some(retry_at),
            _ => None,
        };
        let rejoin = match self.session {
            Session::Barred { retry_at, .. } => retry_at,
            _ => None,
        };
        let presence = self.attendance.due().filter(|_| matches!(self.session, Session::Live { .. }));
        let journal = self.journal.next_timeout().filter(|_| !is_disk_busy);
        [reload, rejoin, self.seed_due(), presence, journal].into_iter().flatten().min()
    }

    /// When the initial content is planted without an answer of the relay: not while that is on its way, for what two
    /// releases of an application plant in one room is there twice.
    fn seed_due(&self) -> Option<Millis> {
        let is_awaited = matches!(self.session, Session::Joining | Session::Replaying { .. });
        self.seed.as_ref().filter(|_| self.is_ready() && !is_awaited).map(|seed| seed.deadline)
    }

    pub(crate) fn handle_timeout(&mut self, now: Millis, has_greeted: bool, out: &mut Outlet) {
        if let Phase::Unread { retry_at, failures } = self.phase
            && retry_at <= now
        {
            // The answer sets the next time; until then this one must not come again.
            self.phase = Phase::Unread { retry_at: now + 60_000, failures };
            out.wishes.push_back(Wish::Load { room: self.id, name: self.name.to_string() });
        }
        if let Session::Barred { retry_at: Some(at), .. } = self.session {
            if at <= now && has_greeted {
                self.join(out);
            } else if at <= now {
                self.session = Session::Away;
            }
        }
        if self.seed_due().is_some_and(|deadline| deadline <= now) {
            self.plant(now, out);
        }
        self.compact_if_due(now);
    }

    /// The relay cannot be asked whether the room is empty.
    pub(crate) fn on_link_away(&mut self, now: Millis, out: &mut Outlet) {
        if self.cursor.is_none() {
            self.plant(now, out);
        }
    }

    /// Says what became due or changed. Called once at the end of every fact.
    pub(crate) fn settle(&mut self, now: Millis, connection: &Connection, clock: &Clock, out: &mut Outlet) {
        self.journal.settle();
        if let Session::Live { channel, .. } = self.session
            && let Some(state) = self.attendance.take_due(now)
        {
            out.frames.push(&ClientFrame::Presence { channel, state });
        }
        if let Some(presence) = self.attendance.take_changed() {
            out.event(self.id, Event::Presence(presence));
        }
        self.edits.acked = self.outbox.oldest().map_or(self.edits.made, |row| row.edit - 1);
        if self.edits.acked > self.acked_told {
            self.acked_told = self.edits.acked;
            out.event(self.id, Event::Acked { edit: self.acked_told });
        }
        let status = self.status(connection, clock);
        if self.status_told.as_ref() != Some(&status) {
            self.status_told = Some(status.clone());
            out.event(self.id, Event::Status(status));
        }
    }

    pub(crate) fn status(&self, connection: &Connection, clock: &Clock) -> Status {
        let connection = match (&self.session, connection) {
            (Session::Barred { reason, retry_at: None, .. }, Connection::Online) => {
                Connection::Denied { reason: reason.clone() }
            }
            (Session::Barred { reason, retry_at: Some(retry_at), .. }, Connection::Online) => {
                Connection::Waiting { retry_at: *retry_at, reason: reason.clone() }
            }
            // Online means that what is written now is on its way.
            (Session::Away | Session::Joining | Session::Replaying { .. }, Connection::Online)
                if !self.is_closing() =>
            {
                Connection::Connecting
            }
            _ => connection.clone(),
        };
        let local = match (&self.trouble, self.phase) {
            (Some(cause), _) if self.journal.is_sealed() => Local::Absent { cause: cause.clone() },
            (Some(cause), _) => Local::Degraded { cause: cause.clone() },
            (None, Phase::Loading) => Local::Loading,
            (None, _) if self.edits.saved < self.edits.made => Local::Saving,
            (None, _) => Local::Saved,
        };
        let server = match (&self.refused, self.outbox.oldest_at()) {
            (Some((code, message)), _) => Server::Refused { code: *code, message: message.clone() },
            (None, Some(oldest_at)) => Server::Pending { count: self.outbox.len() as u64, oldest_at },
            (None, None) => Server::Saved,
        };
        Status { connection: connection.shown_by(clock), local, server }
    }
}
