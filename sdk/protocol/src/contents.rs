//! What a room's log holds: every id that was written and every id that was deleted, without the document.
//!
//! This is how a relay that never decodes a CRDT still knows that an update brings nothing new (a client that
//! reconnects and is unsure what arrived sends it again), and how a client knows what the relay lacks.

use crate::id_set::IdSet;
use crate::scan::Scan;

/// The ids that some updates hold together. Grows with sessions, not with edits: a client that types a
/// thousand characters in a row adds one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What was written, deleted since or not.
    pub inserts: IdSet,
    /// What was deleted; may name ids whose insert is not here yet.
    pub deletes: IdSet,
}

impl Contents {
    /// Nothing yet.
    pub const fn new() -> Contents {
        Contents { inserts: IdSet::new(), deletes: IdSet::new() }
    }

    /// What one update holds.
    pub fn of(scan: &Scan) -> Contents {
        Contents { inserts: scan.inserts.clone(), deletes: scan.deletes.clone() }
    }

    /// Whether there is neither an insert nor a deletion.
    pub fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.deletes.is_empty()
    }

    /// Whether the update brings no id and no deletion that is not here already: storing it would change
    /// nothing for anyone who reads the whole log.
    pub fn adds_nothing(&self, scan: &Scan) -> bool {
        self.inserts.covers(&scan.inserts) && self.deletes.covers(&scan.deletes)
    }

    /// Whether a reader of the log can take the update in at once: it continues every client where this ends,
    /// without a hole, and refers to nothing that is not here.
    ///
    /// A log in which every entry was ready when it came never makes a reader put items aside. That is worth
    /// having: yrs 0.28.1 reads freed memory when a block spans the edge of a hole that it holds.
    pub fn is_ready_for(&self, scan: &Scan) -> bool {
        let gapless = |(client, ranges): (u64, &[std::ops::Range<u32>])| {
            ranges.iter().all(|range| range.start <= self.inserts.prefix(client))
        };
        !scan.skips && scan.inserts.iter().all(gapless) && self.inserts.covers(&scan.needs)
    }

    /// Whether everything of `other` is here.
    pub fn covers(&self, other: &Contents) -> bool {
        self.inserts.covers(&other.inserts) && self.deletes.covers(&other.deletes)
    }

    /// Counts an update in.
    pub fn absorb(&mut self, scan: &Scan) {
        self.inserts.merge(&scan.inserts);
        self.deletes.merge(&scan.deletes);
    }

    /// Counts in what another log holds.
    pub fn merge(&mut self, other: &Contents) {
        self.inserts.merge(&other.inserts);
        self.deletes.merge(&other.deletes);
    }

    /// What is here and is missing from `other`.
    pub fn missing_from(&self, other: &Contents) -> Contents {
        Contents {
            inserts: self.inserts.difference(&other.inserts),
            deletes: self.deletes.difference(&other.deletes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;

    /// Client 7 writes "ab" into the root text "t".
    const AB: &[u8] = &[1, 1, 7, 0, 4, 1, 1, b't', 2, b'a', b'b', 0];
    /// Deletes the "a" of it.
    const DELETE_A: &[u8] = &[0, 1, 7, 1, 0, 1];

    #[test]
    fn an_update_adds_something_once() {
        let (insert, delete) = (scan(AB).unwrap(), scan(DELETE_A).unwrap());
        let mut log = Contents::new();
        assert!(!log.adds_nothing(&insert));
        log.absorb(&insert);
        assert!(log.adds_nothing(&insert));
        assert!(!log.adds_nothing(&delete), "a deletion is news of its own");
        log.absorb(&delete);
        assert!(log.adds_nothing(&insert) && log.adds_nothing(&delete));
    }

    #[test]
    fn an_update_is_ready_once_what_it_stands_on_is_here() {
        let ab = scan(AB).unwrap();
        let mut log = Contents::new();
        assert!(log.is_ready_for(&ab) && ab.needs.is_empty());
        // Client 8 writes behind the "b" of client 7.
        let behind = scan(&[1, 1, 8, 0, 0x84, 7, 1, 1, b'c', 0]).unwrap();
        assert!(behind.needs.contains(7, 1) && !log.is_ready_for(&behind));
        // Client 7 goes on.
        let more = scan(&[1, 1, 7, 2, 0x84, 7, 1, 1, b'c', 0]).unwrap();
        assert!(!log.is_ready_for(&more));
        // The same with a hole where "ab" belongs.
        let hole = scan(&[1, 2, 7, 0, 10, 2, 0x84, 8, 0, 1, b'c', 0]).unwrap();
        assert!(!log.is_ready_for(&hole));
        log.absorb(&ab);
        assert!(log.is_ready_for(&behind) && log.is_ready_for(&more) && log.is_ready_for(&ab));
        assert!(!log.is_ready_for(&hole));
    }

    #[test]
    fn the_piece_that_makes_yrs_read_freed_memory_is_not_ready() {
        // Clients that apply the second piece of a text before the first hold a hole; the block that spans its
        // edge, [1, 1, 1, 0, 4, 1, 1, b't', 4, b'a', b'b', b'c', b'd', 0], is then cut in two by yrs, which
        // frees one half and follows a pointer to it from the other.
        let second = scan(&[1, 2, 1, 0, 10, 2, 4, 1, 1, b't', 2, b'c', b'd', 0]).unwrap();
        assert!(second.skips && !Contents::new().is_ready_for(&second));
        let without_skip = scan(&[1, 1, 1, 2, 4, 1, 1, b't', 2, b'c', b'd', 0]).unwrap();
        assert!(!without_skip.skips && !Contents::new().is_ready_for(&without_skip));
    }

    #[test]
    fn what_is_missing_completes_the_other_side() {
        let (insert, delete) = (scan(AB).unwrap(), scan(DELETE_A).unwrap());
        let mut whole = Contents::of(&insert);
        whole.absorb(&delete);
        let mut half = Contents::of(&insert);
        let missing = whole.missing_from(&half);
        assert!(missing.inserts.is_empty());
        assert_eq!(missing.deletes, delete.deletes);
        half.merge(&missing);
        assert!(half.covers(&whole) && whole.covers(&half));
        assert!(whole.missing_from(&half).is_empty());
    }
}
