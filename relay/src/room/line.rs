//! The line of pushes on their way into the log: what has arrived, what may be appended, what is being
//! appended. One append is in flight per room, everything that arrives meanwhile makes the next one; so the
//! slower the disk, the larger the batches.
//!
//! ```text
//!   push ─► arrived ──(contents known)──► ready ──(append)──► in flight ──(durable)──► told
//! ```

use super::{
    member::MemberId,
    words::{self, Entries},
};
use crate::yprotocol::StateVector;
use bytes::Bytes;
use hither_protocol::{
    frames::RelayFrame,
    ids::{Channel, Seq},
    scan::Scan,
};
use std::collections::{BTreeMap, VecDeque};

/// What waits until the room knows what its log holds.
#[derive(Debug)]
pub(crate) enum Arrived {
    Push { author: MemberId, n: u64, update: Bytes, scan: Scan },
    AskBack { member: MemberId },
}

/// One place in the line.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) member: MemberId,
    pub(crate) errand: Errand,
}

/// What happens at this place.
#[derive(Debug)]
pub(crate) enum Errand {
    /// An update is stored. `pushed_bytes`: what its author sent, for its budget.
    Store { n: u64, update: Bytes, pushed_bytes: usize },
    /// A push that adds nothing is acknowledged, once everything before it is durable.
    Known { n: u64, pushed_bytes: usize },
    /// A stock client is asked for what the room lacks, once what is claimed here is durable.
    AskBack { vector: StateVector },
}

impl Arrived {
    /// Who wants it, and how many bytes were pushed for it.
    fn whose(&self) -> (MemberId, usize) {
        match self {
            Arrived::Push { author, update, .. } => (*author, update.len()),
            Arrived::AskBack { member } => (*member, 0),
        }
    }
}

impl Errand {
    fn pushed_bytes(&self) -> usize {
        match self {
            Errand::Store { pushed_bytes, .. } | Errand::Known { pushed_bytes, .. } => *pushed_bytes,
            Errand::AskBack { .. } => 0,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) arrived: VecDeque<Arrived>,
    pub(crate) ready: VecDeque<Ticket>,
    pub(crate) in_flight: Vec<Ticket>,
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.ready.is_empty() && self.in_flight.is_empty()
    }

    /// Takes the tickets in front of the first update that is to be stored.
    pub(crate) fn take_known(&mut self) -> Vec<Ticket> {
        let stores = |ticket: &Ticket| matches!(ticket.errand, Errand::Store { .. });
        let known = self.ready.iter().position(stores).unwrap_or(self.ready.len());
        self.ready.drain(..known).collect()
    }

    /// Takes the next batch: at most so many entries and bytes, but at least one ticket. Errands behind the
    /// last entry go along, they wait for nothing else.
    pub(crate) fn next_batch(&mut self, max_entries: usize, max_bytes: usize) -> Vec<Ticket> {
        let (mut entries, mut bytes, mut tickets) = (0, 0, 0);
        for ticket in &self.ready {
            if let Errand::Store { update, .. } = &ticket.errand {
                if entries > 0 && (entries == max_entries || bytes + update.len() > max_bytes) {
                    break;
                }
                entries += 1;
                bytes += update.len();
            }
            tickets += 1;
        }
        if tickets == self.ready.len() {
            std::mem::take(&mut self.ready).into()
        } else {
            self.ready.drain(..tickets).collect()
        }
    }

    /// Whether a push of somebody is in the line.
    pub(crate) fn has_push_of(&self, member: MemberId) -> bool {
        let is_push =
            |ticket: &Ticket| ticket.member == member && !matches!(ticket.errand, Errand::AskBack { .. });
        self.arrived
            .iter()
            .any(|arrived| matches!(arrived, Arrived::Push { author, .. } if *author == member))
            || self.in_flight.iter().chain(&self.ready).any(is_push)
    }

    /// Everybody with anything in the line, and how many bytes each has pushed for it; the line is empty afterwards.
    pub(crate) fn abandon(&mut self) -> BTreeMap<MemberId, usize> {
        let mut authors = BTreeMap::new();
        let arrived = self.arrived.drain(..).map(|arrived| arrived.whose());
        let tickets = self.in_flight.drain(..).chain(self.ready.drain(..));
        for (member, bytes) in
            arrived.chain(tickets.map(|ticket| (ticket.member, ticket.errand.pushed_bytes())))
        {
            *authors.entry(member).or_default() += bytes;
        }
        authors
    }
}

/// The updates that a batch stores.
pub(crate) fn updates(batch: &[Ticket]) -> Vec<&Bytes> {
    batch
        .iter()
        .filter_map(|ticket| match &ticket.errand {
            Errand::Store { update, .. } => Some(update),
            Errand::Known { .. } | Errand::AskBack { .. } => None,
        })
        .collect()
}

/// Where an author's own pushes stand in a batch.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// `(entries of the batch before it, whether it is an entry itself, n)`.
    places: Vec<(usize, bool, u64)>,
    /// What it sent for them.
    pub(crate) pushed_bytes: usize,
}

impl Own {
    /// Everybody's pushes in a batch.
    pub(crate) fn of(batch: &[Ticket]) -> BTreeMap<MemberId, Own> {
        let mut all: BTreeMap<MemberId, Own> = BTreeMap::new();
        let mut before = 0;
        for Ticket { member, errand } in batch {
            let (place, bytes) = match errand {
                Errand::Store { n, pushed_bytes, .. } => ((before, true, *n), *pushed_bytes),
                Errand::Known { n, pushed_bytes } => ((before, false, *n), *pushed_bytes),
                Errand::AskBack { .. } => continue,
            };
            let own = all.entry(*member).or_default();
            own.places.push(place);
            own.pushed_bytes += bytes;
            before += usize::from(place.1);
        }
        all
    }

    /// The last acknowledgement: push and seq.
    pub(crate) fn last(&self, first: u64) -> Option<(u64, Seq)> {
        self.places
            .last()
            .map(|&(before, is_entry, n)| (n, Seq(first + before as u64 + u64::from(is_entry) - 1)))
    }

    /// The batch as its author reads it: an Ack in the place of each run of its own entries.
    pub(crate) fn chunk(&self, channel: Channel, first: u64, entries: &Entries, count: usize) -> Bytes {
        let mut out = Vec::with_capacity(entries.chunk.len() + 16);
        let mut told = 0;
        let mut unsaid: Option<u64> = None;
        let ack = |out: &mut Vec<u8>, n: &mut Option<u64>, told: usize| {
            if let Some(n) = n.take() {
                RelayFrame::Ack { channel, n, seq: Seq(first + told as u64 - 1) }.encode(out);
            }
        };
        for &(before, is_entry, n) in &self.places {
            if before > told {
                ack(&mut out, &mut unsaid, told);
                out.extend_from_slice(entries.slice(told..before));
                told = before;
            }
            told += usize::from(is_entry);
            unsaid = Some(n);
        }
        ack(&mut out, &mut unsaid, told);
        out.extend_from_slice(entries.slice(told..count));
        out.into()
    }
}

/// An Ack as a chunk of its own.
pub(crate) fn ack(channel: Channel, n: u64, seq: Seq) -> Bytes {
    words::frame(&RelayFrame::Ack { channel, n, seq })
}
