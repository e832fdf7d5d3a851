//! How deep an update nests shared containers into each other.
//!
//! yrs and Yjs delete and collect a container by recursion into what it holds: a list in a list in a list…,
//! 24 KB of update, ends a thread with 1 MiB of stack once somebody deletes the outermost. An item names its
//! container only if it has no neighbour, so the way up leads from neighbour to neighbour to a parent:
//!
//! ```text
//!   "c" ─origin─► "b" ─origin─► list ─parent─► map ─parent─► root        "c" lies 2 deep, then the root's 1
//! ```
//!
//! Only what one update shows is counted: a chain that starts outside of it starts at 1. Whoever nests one
//! level per update gets past this, and is found when the log is folded into one snapshot.

use super::{ScanError, Walk};
use crate::limits::MAX_CONTAINER_DEPTH;
use std::cmp::Reverse;

/// How an item says where it lies.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    /// In a root.
    Root,
    /// Beside another item.
    Beside(u64, u32),
    /// Inside the container that has this id.
    Inside(u64, u32),
}

/// Items in a row that lie in the same container; a container is always a run of its own.
struct Run {
    client: u64,
    start: u32,
    end: u32,
    container: bool,
    anchor: Anchor,
}

impl Run {
    fn order(&self) -> (Reverse<u64>, u32) {
        (Reverse(self.client), self.start)
    }
}

#[derive(Default)]
pub(super) struct Nesting {
    runs: Vec<Run>,
}

/// Being looked at: met again, it is a circle, which readers never resolve.
const OPEN: u32 = u32::MAX;

impl Nesting {
    pub(super) fn add(&mut self, client: u64, start: u32, end: u32, anchor: Anchor, container: bool) {
        if let (Some(last), Anchor::Beside(other, clock)) = (self.runs.last_mut(), anchor)
            && !container
            && !last.container
            && (last.client, last.end) == (client, start)
            && other == client
            && (last.start..last.end).contains(&clock)
        {
            last.end = end;
            return;
        }
        self.runs.push(Run { client, start, end, container, anchor });
    }

    /// Refuses what lies deeper than [`MAX_CONTAINER_DEPTH`].
    pub(super) fn check(mut self) -> Walk<()> {
        // The order in which Yjs and yrs write; what is as large as a document is not sorted again.
        if !self.runs.is_sorted_by_key(Run::order) {
            self.runs.sort_unstable_by_key(Run::order);
        }
        let mut depths = vec![0; self.runs.len()];
        let mut way_up = Vec::new();
        for first in 0..self.runs.len() {
            let mut index = first;
            // Up, until something known, a root, or the edge of the update.
            let mut depth = loop {
                match depths[index] {
                    0 => {}
                    OPEN => break 0,
                    known => break known,
                }
                depths[index] = OPEN;
                way_up.push(index);
                match self.above(index) {
                    Some(above) => index = above,
                    None => break 0,
                }
            };
            // And down again. `depth` is that of `index`, 0 if there is nothing above.
            while let Some(below) = way_up.pop() {
                let inside = matches!(self.runs[below].anchor, Anchor::Inside(..));
                depth = match depth {
                    0 => 1,
                    above if inside && self.runs[index].container => above + 1,
                    above => above,
                };
                if depth > MAX_CONTAINER_DEPTH {
                    let Run { client, start: clock, .. } = self.runs[below];
                    return Err(ScanError::NestedTooDeep { client, clock, limit: MAX_CONTAINER_DEPTH }.into());
                }
                depths[below] = depth;
                index = below;
            }
        }
        Ok(())
    }

    /// The run that the anchor of `index` lies in, if this update has it.
    fn above(&self, index: usize) -> Option<usize> {
        let (Anchor::Beside(client, clock) | Anchor::Inside(client, clock)) = self.runs[index].anchor else {
            return None;
        };
        let behind = self.runs.partition_point(|run| run.order() <= (Reverse(client), clock));
        let found = behind.checked_sub(1)?;
        (self.runs[found].client == client && clock < self.runs[found].end).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Containers of one client, each inside the one before, with `between` characters before each.
    fn nested(levels: u32, between: u32) -> Nesting {
        let mut nesting = Nesting::default();
        let (mut clock, mut anchor) = (0, Anchor::Root);
        for _ in 0..levels {
            for _ in 0..between {
                nesting.add(7, clock, clock + 1, anchor, false);
                anchor = Anchor::Beside(7, clock);
                clock += 1;
            }
            nesting.add(7, clock, clock + 1, anchor, true);
            anchor = Anchor::Inside(7, clock);
            clock += 1;
        }
        nesting
    }

    #[test]
    fn containers_nest_up_to_the_limit() {
        for between in [0, 1, 5] {
            assert_eq!(nested(MAX_CONTAINER_DEPTH, between).check(), Ok(()));
            let error = nested(MAX_CONTAINER_DEPTH + 1, between).check().unwrap_err();
            let clock = MAX_CONTAINER_DEPTH * (between + 1);
            assert_eq!(*error, ScanError::NestedTooDeep { client: 7, clock, limit: MAX_CONTAINER_DEPTH });
        }
        assert!(nested(1_000_000, 0).check().is_err(), "without recursion of our own");
    }

    #[test]
    fn a_row_of_neighbours_is_not_deep() {
        let mut nesting = Nesting::default();
        for clock in 0..10_000 {
            let anchor = if clock == 0 { Anchor::Root } else { Anchor::Beside(7, clock - 1) };
            nesting.add(7, clock, clock + 1, anchor, true);
        }
        assert_eq!(nesting.check(), Ok(()));
    }

    #[test]
    fn a_way_through_other_clients_is_followed_whatever_their_order() {
        // Clients with rising and with falling numbers.
        for number in [|level: u64| level, |level| u64::MAX - level] {
            let mut nesting = Nesting::default();
            for level in 0..u64::from(MAX_CONTAINER_DEPTH) + 1 {
                let anchor = match level {
                    0 => Anchor::Root,
                    _ => Anchor::Inside(number(level - 1), 0),
                };
                nesting.add(number(level), 0, 1, anchor, true);
            }
            assert!(nesting.check().is_err());
        }
    }

    #[test]
    fn a_circle_ends() {
        let mut nesting = Nesting::default();
        nesting.add(1, 0, 1, Anchor::Inside(2, 0), true);
        nesting.add(2, 0, 1, Anchor::Inside(1, 0), true);
        nesting.add(3, 0, 1, Anchor::Beside(3, 0), false);
        assert_eq!(nesting.check(), Ok(()));
    }
}
