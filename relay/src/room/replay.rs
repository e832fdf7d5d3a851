//! Replay: telling members what is in the log already, page by page, and learning from the same pages what the
//! log holds.

use super::{
    Knowledge, Room, Standing, Wish,
    line::{self, Arrived},
    member::{Begin, MemberId, Owed, Phase, YjsSync},
    storing::deletions_only,
    words::{self, Entries, Kind},
};
use crate::{
    log::{Head, LogError, Page, Snapshot},
    yprotocol::{self, StateVector},
};
use bytes::Bytes;
use hither_protocol::{
    close::CloseCode,
    contents::Contents,
    frames::{Joined, Mode, RelayFrame},
    id_set::IdSet,
    ids::{Cursor, Seq},
    scan::{Scan, scan},
};

/// Answers of the log.
impl Room {
    /// Where the log stands; `None`: there is no log. May also come unasked, as a hint that it has grown.
    pub fn handle_head(&mut self, answer: Result<Option<Head>, LogError>) {
        let known = match self.standing {
            Standing::Opening => None,
            Standing::Open(head) | Standing::Checking(head) => Some(head),
            Standing::Gone => return,
        };
        let Ok(read) = answer else {
            return self.go(CloseCode::StoreFailed, "the room's log could not be read");
        };
        let unborn = Head { epoch: self.fresh, head: 0, floor: 0, snapshot: 0 };
        let head = match (known, read) {
            (None, read) => read.unwrap_or(unborn),
            (Some(known), None) if known.head == 0 && known.epoch == self.fresh => known,
            (Some(known), Some(read)) if known.epoch == read.epoch => later(known, read),
            (Some(_), _) => return self.be_replaced(),
        };
        if known.is_some() && !self.line.in_flight.is_empty() {
            // A hint while an append is in flight: the answer of the append says more.
            return;
        }
        self.standing = Standing::Open(head);
        match known {
            None => {
                let arriving: Vec<MemberId> = self.members.keys().copied().collect();
                for id in arriving {
                    self.settle_in(id, head);
                }
            }
            Some(known) if known.head < head.head => {
                // Entries that nobody was told of: an append that failed and happened all the same.
                if matches!(self.knowledge, Knowledge::Known(_)) {
                    self.knowledge = Knowledge::Unknown;
                }
                self.send_live_members_reading(known.head);
            }
            Some(_) => {}
        }
        self.learn_if_awaited();
        self.acknowledge_known();
        self.want_compaction();
        if !self.is_worth_compacting_when_quiet(head) {
            self.compaction.quiet_at = None;
        }
    }

    /// The snapshot, if the log has one.
    pub fn handle_snapshot(&mut self, answer: Result<Option<Snapshot>, LogError>) {
        self.reading_snapshot = false;
        let Some(mut head) = self.head() else { return };
        let waiting = self.members_in(|phase| matches!(phase, Phase::ReadingSnapshot));
        let loads = matches!(self.knowledge, Knowledge::LoadingSnapshot);
        let snapshot = match answer {
            Ok(snapshot) => snapshot,
            Err(LogError::EpochChanged) => return self.be_replaced(),
            Err(_) => return self.fail_readers(&waiting, loads),
        };
        let after = snapshot.as_ref().map_or(0, |snapshot| snapshot.seq);
        if after > head.snapshot {
            head.snapshot = after;
            self.standing.set_head(head);
        }
        // It may be as large as the document: a member that only wants all of it does not pay for reading it.
        let scanned = snapshot
            .as_ref()
            .filter(|_| loads || waiting.iter().any(|id| self.is_asking(*id)))
            .map(|snapshot| scan(&snapshot.update));
        if loads {
            let mut contents = Contents::new();
            if let Some(Ok(scan)) = &scanned {
                contents.absorb(scan);
            }
            self.load(contents, after);
        }
        let mut encoded: [Option<Bytes>; 2] = [None, None];
        for id in waiting {
            let Some(member) = self.members.get_mut(&id) else { continue };
            if let Some(snapshot) = &snapshot {
                let kind = member.kind;
                let chunk = match (&mut member.yjs, &scanned) {
                    (Some(sync), Some(Ok(scan))) if sync.has(&scan.inserts) => {
                        sync.deletes.merge(&scan.deletes);
                        None
                    }
                    _ => Some(encoded[kind as usize].get_or_insert_with(|| {
                        words::snapshot(kind, self.channel, Seq(snapshot.seq), &snapshot.update)
                    })),
                };
                if let Some(chunk) = chunk.cloned() {
                    self.wishes.push_back(Wish::Send { member: id, chunk });
                }
            }
            self.pause_or_go_live(id, after);
        }
    }

    /// A page of the log behind `after`.
    pub fn handle_page(&mut self, after: u64, answer: Result<Page, LogError>) {
        self.reading.remove(&after);
        let Some(head) = self.head() else { return };
        let waiting = self.members_in(|phase| matches!(phase, Phase::Reading { after: at } if *at == after));
        let loads = matches!(&self.knowledge, Knowledge::Loading { after: at, .. } if *at == after);
        let mut entries = match answer {
            Ok(page) => page.entries,
            Err(LogError::EpochChanged) => return self.be_replaced(),
            Err(LogError::Trimmed { .. }) => return self.start_over(&waiting, loads),
            Err(LogError::Superseded | LogError::Unavailable(_) | LogError::Corrupt { .. }) => {
                return self.fail_readers(&waiting, loads);
            }
        };
        // What is in the log but was not announced as durable yet comes with its batch.
        entries.retain(|&(seq, _)| seq <= head.head);
        if entries.is_empty() && after < head.head {
            return self.fail_readers(&waiting, loads);
        }
        let last = after + entries.len() as u64;
        let updates: Vec<&Bytes> = entries.iter().map(|(_, update)| update).collect();
        let scans: Vec<Option<Scan>> = if loads || waiting.iter().any(|id| self.is_asking(*id)) {
            updates.iter().map(|update| scan(update).ok()).collect()
        } else {
            Vec::new()
        };
        if loads && let Knowledge::Loading { contents, .. } = &mut self.knowledge {
            let mut contents = std::mem::take(contents);
            scans.iter().flatten().for_each(|scan| contents.absorb(scan));
            self.load(contents, last);
        }
        let mut encoded: [Option<Entries>; 2] = [None, None];
        for id in waiting {
            let Some(member) = self.members.get_mut(&id) else { continue };
            let kind = member.kind;
            let entries = encoded[kind as usize].get_or_insert_with(|| {
                Entries::encode(kind, self.channel, after + 1, updates.iter().copied())
            });
            let chunk = match &mut member.yjs {
                Some(sync) => lacking(sync, entries, &scans),
                None => entries.chunk.clone(),
            };
            if !chunk.is_empty() {
                self.wishes.push_back(Wish::Send { member: id, chunk });
            }
            self.pause_or_go_live(id, last);
        }
    }

    /// The log could not be read for these.
    pub(super) fn fail_readers(&mut self, waiting: &[MemberId], loads: bool) {
        for &id in waiting {
            self.close(id, CloseCode::StoreFailed, "the room's log could not be read");
        }
        if loads {
            self.knowledge = Knowledge::Unknown;
            self.abandon_line("the room's log could not be read");
        }
    }

    /// A compaction has overtaken these readers.
    pub(super) fn start_over(&mut self, waiting: &[MemberId], loads: bool) {
        // Perhaps one that this room did not wish for: whoever comes next must begin with its snapshot.
        self.wishes.push_back(Wish::ReadHead);
        for &id in waiting {
            match self.members.get_mut(&id) {
                Some(member) if member.kind == Kind::Yjs => {
                    member.phase = Phase::ReadingSnapshot;
                    self.want_snapshot();
                }
                // Its cursor is too old by now: when it comes back it is told so.
                _ => self.close(id, CloseCode::Busy, "the log was compacted meanwhile"),
            }
        }
        if loads {
            self.knowledge = Knowledge::LoadingSnapshot;
            self.want_snapshot();
        }
    }
}

/// Where one life of a log stands: nothing of it goes back, and an answer may have been read before what is known.
fn later(known: Head, read: Head) -> Head {
    Head {
        epoch: known.epoch,
        head: known.head.max(read.head),
        floor: known.floor.max(read.floor),
        snapshot: known.snapshot.max(read.snapshot),
    }
}

/// The entries that a stock client lacks; deletions of the others are kept for its step 2.
fn lacking(sync: &mut YjsSync, entries: &Entries, scans: &[Option<Scan>]) -> Bytes {
    let mut out = Vec::new();
    for (index, scan) in scans.iter().enumerate() {
        match scan {
            Some(scan) if sync.has(&scan.inserts) => sync.deletes.merge(&scan.deletes),
            _ => out.extend_from_slice(entries.slice(index..index + 1)),
        }
    }
    out.into()
}

/// Catching up with the log.
impl Room {
    /// The room's head is known, and so is where this member begins.
    pub(super) fn settle_in(&mut self, id: MemberId, head: Head) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Phase::Arriving { cursor } = member.phase else { return };
        if member.kind == Kind::Yjs {
            member.phase = Phase::Unasked;
            if member.yjs.is_some() {
                self.wait(id, Begin::Everything);
            } else {
                self.tell_presence(id);
            }
            return;
        }
        let resumed_at = match cursor {
            Some(Cursor { epoch, seq }) => {
                Some(seq.0).filter(|seq| epoch == head.epoch && (head.floor..=head.head).contains(seq))
            }
            None => Some(0).filter(|_| head.head == 0),
        };
        let joined = Joined {
            room: self.name.clone(),
            channel: self.channel,
            peer: member.peer,
            access: member.access,
            epoch: head.epoch,
            head: Seq(head.head),
            mode: if resumed_at.is_some() { Mode::Resumed } else { Mode::Reset },
        };
        self.send(id, words::frame(&RelayFrame::Joined(joined)));
        self.wait(id, resumed_at.map_or(Begin::Everything, Begin::After));
    }

    /// The member goes on when its turn comes.
    pub(super) fn wait(&mut self, id: MemberId, begin: Begin) {
        if let Some(member) = self.members.get_mut(&id) {
            member.phase = Phase::Waiting { begin };
            self.wishes.push_back(Wish::Watch { member: id });
        }
    }

    /// Its turn has come: live, or the next page.
    pub(super) fn go_on(&mut self, id: MemberId, begin: Begin) {
        let Some(head) = self.head() else { return };
        let after = match begin {
            Begin::After(after) => after,
            Begin::Everything if head.snapshot == 0 => 0,
            Begin::Everything => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.phase = Phase::ReadingSnapshot;
                    self.want_snapshot();
                }
                return;
            }
        };
        if after == head.head {
            return self.go_live(id);
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.phase = Phase::Reading { after };
            self.want_page(after);
        }
    }

    /// A page or snapshot up to `after` was sent.
    pub(super) fn pause_or_go_live(&mut self, id: MemberId, after: u64) {
        let Some(head) = self.head() else { return };
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Some(Owed { n, seq }) = member.owed
            && seq.0 <= after
        {
            member.owed = None;
            // Not its own seq: the reader is past it, and an Ack moves no cursor back.
            let ack = line::ack(self.channel, n, Seq(after));
            self.wishes.push_back(Wish::Send { member: id, chunk: ack });
        }
        if after == head.head {
            return self.go_live(id);
        }
        self.wait(id, Begin::After(after));
    }

    pub(super) fn go_live(&mut self, id: MemberId) {
        let channel = self.channel;
        let Some(head) = self.head() else { return };
        let Some(member) = self.members.get_mut(&id) else { return };
        member.phase = Phase::Live;
        let owed = member.owed.take();
        let yjs = member.yjs.take();
        if let Some(Owed { n, .. }) = owed {
            self.send(id, line::ack(channel, n, Seq(head.head)));
        }
        if let Some(sync) = yjs {
            // It counts as synced now, so everything else went before.
            let update = deletions_only(&sync.deletes);
            self.send(id, words::message(|out| yprotocol::write_step2(out, &update)));
            self.arrive(Arrived::AskBack { member: id });
        }
        self.tell_presence(id);
    }

    pub(super) fn want_page(&mut self, after: u64) {
        if let Some(head) = self.head()
            && self.reading.insert(after)
        {
            let max_bytes = self.limits.page_bytes;
            self.wishes.push_back(Wish::Read { epoch: head.epoch, after, max_bytes });
        }
    }

    pub(super) fn want_snapshot(&mut self) {
        if let Some(head) = self.head()
            && !self.reading_snapshot
        {
            self.reading_snapshot = true;
            self.wishes.push_back(Wish::ReadSnapshot { epoch: head.epoch });
        }
    }

    /// Starts to read what the log holds, if that is not known.
    pub(super) fn learn(&mut self) {
        let Standing::Open(head) = self.standing else { return };
        if matches!(self.knowledge, Knowledge::Unknown) {
            if head.snapshot > 0 {
                self.knowledge = Knowledge::LoadingSnapshot;
                self.want_snapshot();
            } else {
                self.load(Contents::new(), 0);
            }
        }
    }

    pub(super) fn learn_if_awaited(&mut self) {
        if !self.line.arrived.is_empty() {
            self.learn();
        }
    }

    /// The log's content is known up to `after`.
    pub(super) fn load(&mut self, contents: Contents, after: u64) {
        let Some(head) = self.head() else { return };
        if after < head.head {
            self.knowledge = Knowledge::Loading { contents, after };
            return self.want_page(after);
        }
        self.knowledge = Knowledge::Known(contents);
        while let Some(arrived) = self.line.arrived.pop_front() {
            self.admit(arrived);
        }
        self.acknowledge_known();
    }
}

/// Stock clients.
impl Room {
    /// A stock client says what it has, and asks for the rest. Asked again while the answer is on its way:
    /// that answer will do.
    pub fn handle_step1(&mut self, id: MemberId, vector: StateVector) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.yjs.is_some() {
            return;
        }
        let vector = match member.phase {
            Phase::Arriving { .. } | Phase::Unasked | Phase::Live => vector,
            // It is slow: everything comes anyway, and when it has caught up it counts as synced.
            Phase::ReadingSnapshot | Phase::Reading { .. } | Phase::Waiting { .. } => StateVector::new(),
        };
        member.yjs = Some(Box::new(YjsSync { vector, deletes: IdSet::new() }));
        if matches!(member.phase, Phase::Unasked | Phase::Live) {
            self.wait(id, Begin::Everything);
        }
    }

    pub(super) fn is_asking(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(|member| member.yjs.is_some())
    }
}
