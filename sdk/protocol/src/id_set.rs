//! Which ids: a set of (client, clock) pairs, kept as ranges.
//!
//! Every character, list entry and map entry that a client writes has an id: the client's number and its clock,
//! which counts 0, 1, 2…. So what a log holds, what an update brings and what it deletes are each a handful of
//! ranges per client, however large the document:
//!
//! ```text
//! client 7:  0────────41   60──64        ranges are sorted, never touch, never empty
//! client 9:  0──3
//! ```
//!
//! It is no state vector: it may have holes, and it can say what is deleted, which a state vector cannot.

use crate::varint;
use smallvec::{SmallVec, smallvec};
use std::collections::BTreeMap;
use std::ops::Range;

/// Most clients have one range: as many as a pointer and a length would take are held without an allocation. On 64 bits
/// these are two; on 32 it is one, and then this is laid out as the ranges of yrs are, with which it shares its code.
type Ranges = SmallVec<[Range<u32>; size_of::<usize>() / size_of::<u32>()]>;

/// A set of ids. Iterates by client number, so that equal sets give equal bytes.
///
/// ```
/// use hither_protocol::id_set::IdSet;
///
/// let mut set = IdSet::new();
/// set.insert(7, 0..3);
/// set.insert(7, 3..5); // touches: one range
/// assert_eq!(set.ranges(7), &[0..5]);
/// assert_eq!(set.prefix(7), 5);
/// ```
#[derive(Debug, Clone, Default, Eq)]
pub struct IdSet {
    /// No client without a range.
    clients: BTreeMap<u64, Ranges>,
}

impl IdSet {
    /// The empty set; allocates nothing.
    pub const fn new() -> IdSet {
        IdSet { clients: BTreeMap::new() }
    }

    /// Whether it holds no id.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many ids it holds. Walks all ranges.
    pub fn len(&self) -> u64 {
        self.iter().flat_map(|(_, ranges)| ranges).map(|range| u64::from(range.end - range.start)).sum()
    }

    /// How many ranges it holds: what it costs in memory, 8 bytes each.
    pub fn range_count(&self) -> usize {
        self.clients.values().map(|ranges| ranges.len()).sum()
    }

    /// The clients that have an id in it, in rising order.
    pub fn clients(&self) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator + '_ {
        self.clients.keys().copied()
    }

    /// The ranges of one client: sorted, apart from each other, none empty.
    pub fn ranges(&self, client: u64) -> &[Range<u32>] {
        self.clients.get(&client).map_or(&[], |ranges| ranges)
    }

    /// Clients in rising order with their ranges.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &[Range<u32>])> {
        self.clients.iter().map(|(&client, ranges)| (client, ranges.as_slice()))
    }

    /// The end of the run of `client` that starts at clock 0: its state without holes, 0 if it has none.
    pub fn prefix(&self, client: u64) -> u32 {
        match self.ranges(client).first() {
            Some(first) if first.start == 0 => first.end,
            _ => 0,
        }
    }

    /// Adds ids. At the end of a client's ranges, where nearly all of them go, this is one comparison.
    pub fn insert(&mut self, client: u64, range: Range<u32>) {
        if range.start < range.end {
            insert(self.clients.entry(client).or_default(), range);
        }
    }

    /// Whether one id is in it.
    pub fn contains(&self, client: u64, clock: u32) -> bool {
        covering(self.ranges(client), clock).is_some()
    }

    /// Whether every id of `other` is in it.
    pub fn covers(&self, other: &IdSet) -> bool {
        other.iter().all(|(client, theirs)| {
            let ours = self.ranges(client);
            theirs.iter().all(|range| covers(ours, range))
        })
    }

    /// Adds every id of `other`.
    pub fn merge(&mut self, other: &IdSet) {
        for (&client, theirs) in &other.clients {
            let ours = self.clients.entry(client).or_default();
            if ours.is_empty() {
                ours.clone_from(theirs);
            } else if theirs.len() <= FEW {
                theirs.iter().for_each(|range| insert(ours, range.clone()));
            } else {
                *ours = union(ours, theirs);
            }
        }
    }

    /// The ids of this set that `other` lacks.
    pub fn difference(&self, other: &IdSet) -> IdSet {
        let mut rest = IdSet::new();
        for (&client, ours) in &self.clients {
            let left = match other.clients.get(&client) {
                None => ours.clone(),
                Some(theirs) => without(ours, theirs),
            };
            if !left.is_empty() {
                rest.clients.insert(client, left);
            }
        }
        rest
    }

    /// Appends the set as Yjs writes a delete set in update format v1: clients in falling order.
    pub fn encode_v1(&self, out: &mut Vec<u8>) {
        varint::write(out, self.clients.len() as u64);
        for (client, ranges) in self.iter().rev() {
            varint::write(out, client);
            varint::write(out, ranges.len() as u64);
            for range in ranges {
                varint::write(out, range.start.into());
                varint::write(out, (range.end - range.start).into());
            }
        }
    }
}

impl PartialEq for IdSet {
    fn eq(&self, other: &IdSet) -> bool {
        self.covers(other) && other.covers(self)
    }
}

impl<R: IntoIterator<Item = Range<u32>>> FromIterator<(u64, R)> for IdSet {
    fn from_iter<T: IntoIterator<Item = (u64, R)>>(clients: T) -> IdSet {
        let mut set = IdSet::new();
        for (client, ranges) in clients {
            ranges.into_iter().for_each(|range| set.insert(client, range));
        }
        set
    }
}

/// Up to here, inserting one by one beats rebuilding the list.
const FEW: usize = 8;

fn insert(ranges: &mut Ranges, new: Range<u32>) {
    match ranges.last_mut() {
        Some(last) if new.start > last.end => ranges.push(new),
        Some(last) if new.start >= last.start => last.end = last.end.max(new.end),
        None => ranges.push(new),
        Some(_) => insert_inside(ranges, new),
    }
}

fn insert_inside(ranges: &mut Ranges, new: Range<u32>) {
    // Those from `first` to before `behind` overlap or touch the new one and melt into it.
    let first = ranges.partition_point(|range| range.end < new.start);
    let behind = first + ranges[first..].partition_point(|range| range.start <= new.end);
    if first == behind {
        ranges.insert(first, new);
    } else {
        ranges[first].start = ranges[first].start.min(new.start);
        ranges[first].end = ranges[behind - 1].end.max(new.end);
        ranges.drain(first + 1..behind);
    }
}

/// The range that holds `clock`.
fn covering(ranges: &[Range<u32>], clock: u32) -> Option<&Range<u32>> {
    let behind = ranges.partition_point(|range| range.start <= clock);
    ranges[..behind].last().filter(|range| clock < range.end)
}

/// Since ranges never touch, one of them must hold all of `wanted`.
fn covers(ranges: &[Range<u32>], wanted: &Range<u32>) -> bool {
    covering(ranges, wanted.start).is_some_and(|range| wanted.end <= range.end)
}

fn union(ours: &[Range<u32>], theirs: &[Range<u32>]) -> Ranges {
    let mut merged = Ranges::with_capacity(ours.len() + theirs.len());
    let (mut a, mut b) = (ours.iter().peekable(), theirs.iter().peekable());
    while let Some(next) = match (a.peek(), b.peek()) {
        (Some(x), Some(y)) if x.start <= y.start => a.next(),
        (_, Some(_)) => b.next(),
        (_, None) => a.next(),
    } {
        insert(&mut merged, next.clone());
    }
    merged.shrink_to_fit();
    merged
}

fn without(ours: &[Range<u32>], theirs: &[Range<u32>]) -> Ranges {
    let mut rest: Ranges = smallvec![];
    for range in ours {
        let mut start = range.start;
        let first = theirs.partition_point(|taken| taken.end <= start);
        for taken in theirs[first..].iter().take_while(|taken| taken.start < range.end) {
            if start < taken.start {
                rest.push(start..taken.start);
            }
            start = taken.end;
        }
        if start < range.end {
            rest.push(start..range.end);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The same set without cleverness.
    type Model = BTreeSet<(u64, u32)>;

    struct Dice(u64);
    impl Dice {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % limit
        }
    }

    fn random(dice: &mut Dice, inserts: u64) -> (IdSet, Model) {
        let (mut set, mut model) = (IdSet::new(), Model::new());
        for _ in 0..inserts {
            let client = dice.below(3);
            let start = dice.below(60) as u32;
            let end = start + dice.below(7) as u32;
            set.insert(client, start..end);
            model.extend((start..end).map(|clock| (client, clock)));
        }
        (set, model)
    }

    fn ids(set: &IdSet) -> Model {
        let all = set.iter().flat_map(|(client, ranges)| {
            ranges.iter().flat_map(move |range| range.clone().map(move |clock| (client, clock)))
        });
        all.collect()
    }

    fn assert_canonical(set: &IdSet) {
        for (client, ranges) in set.iter() {
            assert!(!ranges.is_empty(), "client {client} has no range");
            assert!(ranges.iter().all(|range| range.start < range.end), "{ranges:?}");
            assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "{ranges:?}");
        }
    }

    #[test]
    fn it_agrees_with_a_plain_set_of_ids() {
        for seed in 0..2_000 {
            let mut dice = Dice(seed);
            let (a, model_a) = {
                let inserts = dice.below(30);
                random(&mut dice, inserts)
            };
            let (b, model_b) = {
                let inserts = dice.below(30);
                random(&mut dice, inserts)
            };
            assert_canonical(&a);
            assert_eq!(ids(&a), model_a, "seed {seed}");
            assert_eq!(a.len(), model_a.len() as u64);
            assert_eq!(a.is_empty(), model_a.is_empty());

            let mut both = a.clone();
            both.merge(&b);
            assert_canonical(&both);
            assert_eq!(ids(&both), &model_a | &model_b, "seed {seed}");
            assert!(both.covers(&a) && both.covers(&b));

            let only_a = a.difference(&b);
            assert_canonical(&only_a);
            assert_eq!(ids(&only_a), &model_a - &model_b, "seed {seed}");
            assert_eq!(b.covers(&a), only_a.is_empty(), "seed {seed}");

            for client in 0..3 {
                let hole = (0..).find(|&clock| !model_a.contains(&(client, clock)));
                assert_eq!(Some(a.prefix(client)), hole);
                for clock in 0..70 {
                    assert_eq!(a.contains(client, clock), model_a.contains(&(client, clock)));
                    let four = (clock..clock + 4).all(|clock| model_a.contains(&(client, clock)));
                    assert_eq!(covers(a.ranges(client), &(clock..clock + 4)), four);
                }
            }
        }
    }

    #[test]
    fn an_empty_range_changes_no_set() {
        let mut set = IdSet::new();
        set.insert(1, 5..5);
        assert!(set.is_empty());
        assert_eq!(set.range_count(), 0);
    }

    #[test]
    fn the_bytes_are_those_of_a_yjs_delete_set() {
        let set: IdSet = [(1, vec![0..2, 5..6]), (300, vec![7..8, 9..10])].into_iter().collect();
        let mut out = Vec::new();
        set.encode_v1(&mut out);
        assert_eq!(out, [2, 0xac, 2, 2, 7, 1, 9, 1, 1, 2, 0, 2, 5, 1]);
    }

    #[test]
    fn a_large_set_merges_in_time_that_grows_with_its_size() {
        // One by one, 200,000 ranges into 200,000 would move 300 GB.
        let even: IdSet = [(1, (0..200_000).map(|i| 8 * i..8 * i + 1))].into_iter().collect();
        let odd: IdSet = [(1, (0..200_000).map(|i| 8 * i + 4..8 * i + 5))].into_iter().collect();
        let mut both = even.clone();
        both.merge(&odd);
        assert_eq!(both.range_count(), 400_000);
        assert_eq!(both.difference(&odd), even);
    }
}
