//! The way of an update into the log: arrival, line, append, and the telling once it is durable.

use super::{
    Knowledge, Millis, Room, Standing, Wish,
    line::{self, Arrived, Errand, Own, Ticket},
    member::{Begin, MemberId, Owed, Phase, Pushing},
    words::{self, Entries, Kind},
};
use crate::{
    log::LogError,
    yprotocol::{self, StateVector},
};
use bytes::Bytes;
use hither_protocol::{
    close::CloseCode,
    contents::Contents,
    frames::{Access, RelayFrame},
    id_set::IdSet,
    scan::{Scan, with_deletes},
};

impl Room {
    /// A member pushes its `n`-th update; `scan` is of `update`. Stock clients do not count: any `n` will do.
    pub fn handle_push(&mut self, id: MemberId, n: u64, update: Bytes, scan: Scan) {
        let bytes = update.len();
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.access == Access::ReadOnly {
            return self.refuse(id, n, bytes, CloseCode::Denied, "this room is read-only for you");
        }
        match (&mut member.pushing, member.kind) {
            (Pushing::Refused, _) => return self.settle(id, bytes),
            (Pushing::Open { .. }, Kind::Yjs) => {}
            (Pushing::Open { last }, Kind::Sync) if n == *last + 1 => *last = n,
            (Pushing::Open { .. }, Kind::Sync) => {
                return self.close(id, CloseCode::OutOfOrder, "pushes count 1, 2, 3…");
            }
        }
        self.arrive(Arrived::Push { author: id, n, update, scan });
    }

    /// A push that cannot be stored: not an update, or too large. Everything behind it is refused too.
    pub fn handle_bad_push(&mut self, id: MemberId, n: u64, bytes: usize, code: CloseCode, reason: &str) {
        match self.members.get(&id).map(|member| member.pushing) {
            Some(Pushing::Open { .. }) => self.refuse(id, n, bytes, code, reason),
            Some(Pushing::Refused) => self.settle(id, bytes),
            None => {}
        }
    }

    /// A Nack says it to a Hither member; a stock client has no word for it and is closed.
    pub(super) fn refuse(&mut self, id: MemberId, n: u64, bytes: usize, code: CloseCode, reason: &str) {
        let Some(member) = self.members.get_mut(&id) else { return };
        match (member.kind, member.pushing) {
            (_, Pushing::Refused) => {}
            (Kind::Sync, Pushing::Open { .. }) => {
                member.pushing = Pushing::Refused;
                let (channel, code) = (self.channel, u64::from(code.number()));
                let nack = RelayFrame::Nack { channel, n, code, reason: reason.to_owned() };
                self.send(id, words::frame(&nack));
            }
            (Kind::Yjs, Pushing::Open { .. }) => return self.close(id, code, "the update was refused"),
        }
        self.settle(id, bytes);
    }

    pub(super) fn settle(&mut self, member: MemberId, bytes: usize) {
        self.wishes.push_back(Wish::Settled { member, bytes });
    }

    /// Puts something into the line, as soon as the room knows what its log holds.
    pub(super) fn arrive(&mut self, arrived: Arrived) {
        match self.knowledge {
            Knowledge::Known(_) => self.admit(arrived),
            _ => {
                self.line.arrived.push_back(arrived);
                self.learn();
            }
        }
        self.acknowledge_known();
    }

    /// Takes an arrival into the line proper; the contents are known.
    pub(super) fn admit(&mut self, arrived: Arrived) {
        let Knowledge::Known(contents) = &mut self.knowledge else { return };
        let ticket = match arrived {
            Arrived::Push { author, n, update, scan } => {
                let pushed_bytes = update.len();
                let trims = self.members.get(&author).is_some_and(|member| member.kind == Kind::Yjs);
                let errand = match novelty(contents, update, &scan, trims) {
                    Some(update) => {
                        contents.absorb(&scan);
                        Errand::Store { n, update, pushed_bytes }
                    }
                    None => Errand::Known { n, pushed_bytes },
                };
                Ticket { member: author, errand }
            }
            Arrived::AskBack { member } => {
                let inserts = &contents.inserts;
                let vector: StateVector = inserts
                    .clients()
                    .map(|client| (client, inserts.prefix(client)))
                    .filter(|&(_, prefix)| prefix > 0)
                    .collect();
                Ticket { member, errand: Errand::AskBack { vector } }
            }
        };
        self.line.ready.push_back(ticket);
    }

    /// Tells what stands at the front of the line and stores nothing, unless an append is in flight: everything
    /// before it is durable.
    pub(super) fn acknowledge_known(&mut self) {
        let Standing::Open(head) = self.standing else { return };
        if self.line.in_flight.is_empty() {
            let known = self.line.take_known();
            if !known.is_empty() {
                self.tell_batch(&known, head.head + 1);
            }
        }
    }

    /// Whether [`Room::poll_append`] has something to do.
    pub fn wants_append(&self) -> bool {
        matches!(self.standing, Standing::Open(_))
            && self.line.in_flight.is_empty()
            && !self.line.ready.is_empty()
    }

    /// The next [`Wish::Append`]: everything that waits by now, unless an append is in flight. Whoever asks later
    /// gets more in one.
    pub fn poll_append(&mut self) -> Option<Wish> {
        let Standing::Open(head) = self.standing else { return None };
        if !self.wants_append() {
            return None;
        }
        let batch = self.line.next_batch(self.limits.batch_entries, self.limits.batch_bytes);
        let entries = line::updates(&batch).into_iter().cloned().collect();
        self.line.in_flight = batch;
        Some(Wish::Append { epoch: head.epoch, entries })
    }

    /// The append in flight is durable; its first entry is at `first`.
    pub fn handle_appended(&mut self, first: u64, now: Millis) {
        let batch = std::mem::take(&mut self.line.in_flight);
        let Standing::Open(head) = &mut self.standing else { return };
        let before = head.head;
        let (mut count, mut bytes) = (0, 0);
        for update in line::updates(&batch) {
            count += 1;
            bytes += update.len() as u64;
        }
        head.head = first + count - 1;
        self.compaction.bytes += bytes;
        self.watch_for_quiet(now);
        if first > before + 1 {
            // Entries of another node, or of an earlier room of this one, stand in between: everybody reads them from the
            // log, and so does the room itself.
            self.send_live_members_reading(before);
            if let Knowledge::Known(contents) = &mut self.knowledge {
                let contents = std::mem::take(contents);
                self.load(contents, before);
            }
        }
        self.tell_batch(&batch, first);
        self.acknowledge_known();
        self.want_compaction();
    }

    /// The append in flight failed, or may have.
    pub fn handle_append_failed(&mut self, error: &LogError) {
        let Standing::Open(head) = self.standing else { return };
        self.knowledge = Knowledge::Unknown;
        self.abandon_line("the update could not be stored");
        if matches!(error, LogError::EpochChanged) {
            return self.be_replaced();
        }
        self.standing = Standing::Checking(head);
        self.wishes.push_back(Wish::ReadHead);
    }

    /// Nothing of the line will be stored.
    pub(super) fn abandon_line(&mut self, reason: &'static str) {
        for (author, bytes) in self.line.abandon() {
            if self.members.contains_key(&author) {
                self.close(author, CloseCode::StoreFailed, reason);
            } else {
                self.settle(author, bytes);
            }
        }
    }

    /// Tells a durable batch to everybody who is Live, and owes it to its authors who are not.
    pub(super) fn tell_batch(&mut self, batch: &[Ticket], first: u64) {
        let updates = line::updates(batch);
        let count = updates.len();
        let owns = Own::of(batch);
        let channel = self.channel;
        for (&id, own) in owns.iter().filter(|(id, _)| !self.members.contains_key(id)) {
            // It has left this room; its socket goes on in others.
            self.wishes.push_back(Wish::Settled { member: id, bytes: own.pushed_bytes });
        }
        let mut encoded: [Option<Entries>; 2] = [None, None];
        for (&id, member) in &mut self.members {
            let own = if owns.is_empty() { None } else { owns.get(&id) };
            if let Some(own) = own {
                self.wishes.push_back(Wish::Settled { member: id, bytes: own.pushed_bytes });
            }
            if !matches!(member.phase, Phase::Live) {
                if let (Some((n, seq)), Kind::Sync) = (own.and_then(|own| own.last(first)), member.kind) {
                    member.owed = Some(Owed { n, seq });
                }
                continue;
            }
            if count == 0 && own.is_none() {
                continue;
            }
            let entries = encoded[member.kind as usize]
                .get_or_insert_with(|| Entries::encode(member.kind, channel, first, updates.iter().copied()));
            let chunk = match (own, member.kind) {
                (Some(own), Kind::Sync) => own.chunk(channel, first, entries, count),
                _ if count == 0 => continue,
                _ => entries.chunk.clone(),
            };
            self.wishes.push_back(Wish::Send { member: id, chunk });
        }
        for Ticket { member, errand } in batch {
            if let Errand::AskBack { vector } = errand
                && self.members.contains_key(member)
            {
                self.send(*member, words::message(|out| yprotocol::write_step1(out, vector)));
            }
        }
    }

    pub(super) fn send_live_members_reading(&mut self, after: u64) {
        for id in self.members_in(|phase| matches!(phase, Phase::Live)) {
            self.wait(id, Begin::After(after));
        }
    }
}

/// What of an update the log lacks: nothing, or an update to store. With `trims`, deletions that the log has
/// are cut off: a stock client sends all that it knows of with every reconnect.
fn novelty(contents: &Contents, update: Bytes, scan: &Scan, trims: bool) -> Option<Bytes> {
    if contents.adds_nothing(scan) {
        return None;
    }
    if !trims || scan.deletes.is_empty() {
        return Some(update);
    }
    let deletes = scan.deletes.difference(&contents.deletes);
    if contents.inserts.covers(&scan.inserts) {
        Some(deletions_only(&deletes))
    } else if deletes.len() < scan.deletes.len() {
        Some(with_deletes(&update, scan, &deletes).into())
    } else {
        Some(update)
    }
}

/// An update that only deletes.
pub(super) fn deletions_only(deletes: &IdSet) -> Bytes {
    let mut update = vec![0];
    deletes.encode_v1(&mut update);
    update.into()
}
