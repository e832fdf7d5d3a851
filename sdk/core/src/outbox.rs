//! Local updates that the relay has not acknowledged, in the order in which they were made.
//!
//! ```text
//!   add ─► waiting ──────────► pieces ──next_push──► in flight ──acknowledge──► gone
//!             ▲    all at once                           │
//!             └──────────────── rejoin ──────────────────┘   (a new connection begins to count anew)
//! ```
//!
//! A lone update leaves as it is, at once. What had to wait leaves together, as the document has it by then: a hundred
//! keystrokes are one item, and whatever the rows stand on, in whatever order they came from the disk, is in the log or
//! in the same update. One that is larger than the relay takes goes in pieces, each of which stands on those before.

use crate::document::{self, Document};
use crate::storage::RowKey;
use crate::time::Millis;
use bytes::Bytes;
use hither_protocol::contents::Contents;
use hither_protocol::scan::{self, scan};
use std::collections::VecDeque;

/// Pushes that may be without an answer: at a round trip of 100 ms and ten keystrokes a second one is enough, a
/// program that writes in a loop fills it and is merged from then on.
const MAX_IN_FLIGHT: usize = 32;

/// Bytes that may be without an answer. One push may exceed it.
const MAX_IN_FLIGHT_BYTES: usize = 1024 * 1024;

/// Updates that are merged without the document: beyond this the document's own encoding is cheaper.
const MAX_PLAIN_MERGE: usize = 16;

/// One update and what it was. Several may share one row of the disk.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: RowKey,
    pub(crate) update: Bytes,
    pub(crate) edit: u64,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    rows: VecDeque<Waiting>,
    /// What is pushed next, before any other row.
    pieces: VecDeque<Bytes>,
    flights: VecDeque<Flight>,
    last_n: u64,
}

#[derive(Debug)]
struct Waiting {
    row: Row,
    /// The push whose acknowledgement is the row's, if it is in one.
    push: Option<u64>,
}

#[derive(Debug)]
struct Flight {
    n: u64,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn add(&mut self, row: Row) {
        debug_assert!(self.rows.back().is_none_or(|last| last.row.edit < row.edit));
        self.rows.push_back(Waiting { row, push: None });
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().map(|waiting| &waiting.row)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The oldest row, by which everything before it is acknowledged.
    pub(crate) fn oldest(&self) -> Option<&Row> {
        self.rows().next()
    }

    pub(crate) fn oldest_at(&self) -> Option<Millis> {
        self.oldest().map(|row| row.key.at)
    }

    pub(crate) fn has(&self, key: RowKey) -> bool {
        self.rows().any(|row| row.key == key)
    }

    /// The next push, if the window has room: its number and its update, of at most `max_bytes` unless it cannot be
    /// cut. What the document could not take in yet stays.
    pub(crate) fn next_push(&mut self, document: &Document, max_bytes: usize) -> Option<(u64, Bytes)> {
        let in_flight: usize = self.flights.iter().map(|flight| flight.bytes).sum();
        if self.flights.len() >= MAX_IN_FLIGHT || in_flight >= MAX_IN_FLIGHT_BYTES {
            return None;
        }
        if self.pieces.is_empty() {
            self.gather(document, max_bytes);
        }
        let update = self.pieces.pop_front()?;
        self.last_n += 1;
        self.flights.push_back(Flight { n: self.last_n, bytes: update.len() });
        Some((self.last_n, update))
    }

    /// Makes pieces of all rows that wait and are in the document.
    fn gather(&mut self, document: &Document, max_bytes: usize) {
        if self.rows.iter().all(|waiting| waiting.push.is_some()) {
            return;
        }
        let is_here = is_in(document);
        let is_going = |waiting: &&mut Waiting| waiting.push.is_none() && is_here(&waiting.row);
        let mut going: Vec<&mut Waiting> = self.rows.iter_mut().filter(is_going).collect();
        let updates: Vec<&Bytes> = going.iter().map(|waiting| &waiting.row.update).collect();
        self.pieces = together(document, &updates, max_bytes).into();
        let last = self.last_n + self.pieces.len() as u64;
        going.iter_mut().for_each(|waiting| waiting.push = Some(last));
    }

    /// Takes out what the relay has stored. `None` if it speaks of a push that was never made.
    pub(crate) fn acknowledge(&mut self, n: u64) -> Option<Vec<Row>> {
        if n > self.last_n {
            return None;
        }
        while self.flights.front().is_some_and(|flight| flight.n <= n) {
            self.flights.pop_front();
        }
        Some(self.take_out(|waiting| waiting.push.is_some_and(|push| push <= n)))
    }

    /// The first edit that is not in a push before this one.
    pub(crate) fn edit_of(&self, n: u64) -> Option<u64> {
        let row = self.rows.iter().find(|waiting| waiting.push.is_none_or(|push| push >= n));
        row.map(|waiting| waiting.row.edit)
    }

    /// A new join: nothing is in flight, pushes count from 1 again.
    pub(crate) fn rejoin(&mut self) {
        self.rows.iter_mut().for_each(|waiting| waiting.push = None);
        self.pieces.clear();
        self.flights.clear();
        self.last_n = 0;
    }

    /// Takes out what the log turned out to have. Only between [`Self::rejoin`] and the first push.
    pub(crate) fn prune(&mut self, known: &Contents) -> Vec<Row> {
        self.take_out(|waiting| scan(&waiting.row.update).is_ok_and(|scan| known.adds_nothing(&scan)))
    }

    fn take_out(&mut self, is_done: impl Fn(&Waiting) -> bool) -> Vec<Row> {
        let (done, rest) = std::mem::take(&mut self.rows).into_iter().partition(is_done);
        self.rows = rest;
        let done: VecDeque<Waiting> = done;
        done.into_iter().map(|waiting| waiting.row).collect()
    }

    /// From now on `key` alone stands for all rows on the disk: the keys that did until now, and what all say together.
    /// The document has taken in all of them.
    pub(crate) fn store_together(
        &mut self,
        key: RowKey,
        document: &Document,
    ) -> Option<(Vec<RowKey>, Bytes)> {
        let mut old: Vec<RowKey> = self.rows().map(|row| row.key).collect();
        old.dedup();
        let updates: Vec<&Bytes> = self.rows().map(|row| &row.update).collect();
        let mut pieces = together(document, &updates, usize::MAX);
        let update = pieces.pop().filter(|_| pieces.is_empty())?;
        self.rows.iter_mut().for_each(|waiting| waiting.row.key = key);
        Some((old, update))
    }

    /// From now on each row has a key of its own on the disk; `key` makes one of a time.
    pub(crate) fn store_apart(&mut self, mut key: impl FnMut(Millis) -> RowKey) {
        let mut last = None;
        for Waiting { row, .. } in &mut self.rows {
            match last.replace(row.key) {
                Some(last) if last == row.key => row.key = key(row.key.at),
                _ => {}
            }
        }
    }

    /// What the rows that the document could take in insert and delete together.
    pub(crate) fn contents(&self, document: &Document) -> Contents {
        let is_here = is_in(document);
        contents_of(self.rows().filter(|row| is_here(row)).map(|row| &row.update))
    }
}

/// Whether a row is in the document, and does not wait there.
fn is_in(document: &Document) -> impl Fn(&Row) -> bool {
    let is_complete = document.is_complete();
    move |row| is_complete || scan(&row.update).is_ok_and(|scan| document.holds(&scan.inserts))
}

fn contents_of<'a>(updates: impl IntoIterator<Item = &'a Bytes>) -> Contents {
    let mut contents = Contents::default();
    for update in updates {
        if let Ok(scan) = scan(update) {
            contents.absorb(&scan);
        }
    }
    contents
}

/// What these say, as one update if it is small enough.
fn together(document: &Document, updates: &[&Bytes], max_bytes: usize) -> Vec<Bytes> {
    let in_pieces = |update: &[u8]| -> Vec<Bytes> {
        // What does not scan was never made into a row.
        scan::pieces(update, max_bytes).unwrap_or_default().into_iter().map(Bytes::from).collect()
    };
    match updates {
        [] => return Vec::new(),
        [update] if update.len() <= max_bytes => return vec![(*update).clone()],
        _ => {}
    }
    let wanted = contents_of(updates.iter().copied());
    if updates.len() <= MAX_PLAIN_MERGE
        && updates.iter().map(|update| update.len()).sum::<usize>() <= max_bytes
    {
        let plain: Vec<&[u8]> = updates.iter().map(|update| &update[..]).collect();
        let is_same =
            |merged: &Vec<u8>| scan(merged).is_ok_and(|scan| !scan.skips && Contents::of(&scan) == wanted);
        if let Some(merged) = document::merge(&plain).filter(is_same) {
            return vec![merged.into()];
        }
    }
    match document.encode_from(&wanted) {
        Some(encoded) if encoded.len() <= max_bytes => vec![encoded.into()],
        Some(encoded) => in_pieces(&encoded),
        // The document is in use, which is a bug; the order in which they were made is nearly always right.
        None => updates.iter().flat_map(|update| in_pieces(update)).collect(),
    }
}
