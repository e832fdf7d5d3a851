//! The order of a text's ids, so that a position is found without walking the text.
//!
//! The CRDT keeps a text as a linked list: it finds an id at once and a position by counting from the start. A
//! sequence keeps the same order in leaves that know how much of them is visible.
//!
//! ```text
//!   order  [ leaf 0 · 61 | leaf 2 · 48 | leaf 1 · 70 ]      visible units of each leaf
//!               │
//!               ▼
//!   leaf   [ run | run | run … ]      a run: ids of one author in a row, all visible or all deleted
//!               ▲
//!   places { first id of a run → its leaf }
//! ```
//!
//! Where something of another author goes is decided as in Yjs (YATA: Nicolaescu, Jahns, Derntl, Klamma, "Near
//! Real-Time Peer-to-Peer Shared Editing on Extensible Data Types", 2016, with the conflict rule of Yjs 13), so that
//! the order is the one that the CRDT has. Texts alone, not values: what an id holds is no concern of the order.

/// A leaf with more runs is cut in two.
const MAX_RUNS: usize = 96;

/// Items at one place that may have been written without knowing of each other. More are left to the CRDT.
const MAX_CONFLICT: usize = 512;

/// One id of a sequence. `author` is a number of [`Sequence::author`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Id {
    pub(super) author: u32,
    pub(super) clock: u32,
}

impl Id {
    fn plus(self, count: u32) -> Id {
        Id { author: self.author, clock: self.clock + count }
    }
}

/// An item of an update as the order needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) id: Id,
    pub(super) length: u32,
    pub(super) origin: Option<Id>,
    pub(super) right_origin: Option<Id>,
    pub(super) is_deleted: bool,
}

/// The item cannot be given its place here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// Units that went: where they began, and how many they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gone {
    pub(super) index: u32,
    pub(super) length: u32,
}

/// See the module.
pub(super) struct Sequence {
    authors: Vec<u64>,
    order: Vec<LeafInOrder>,
    leaves: Vec<Vec<Run>>,
    /// Sorted. A new one in the middle moves those behind it, 12 bytes each: cheaper than a tree up to about 100,000 runs,
    /// and a page does not load a tree's code.
    places: Vec<(Id, u32)>,
    visible: u32,
}

#[derive(Clone, Copy)]
struct LeafInOrder {
    leaf: u32,
    visible: u32,
}

/// Ids in a row of which each was written behind the one before it.
type Run = Item;

impl Run {
    fn end(&self) -> u32 {
        self.id.clock + self.length
    }

    fn last(&self) -> Id {
        self.id.plus(self.length - 1)
    }

    fn visible(&self) -> u32 {
        if self.is_deleted { 0 } else { self.length }
    }

    fn has(&self, id: Id) -> bool {
        id.author == self.id.author && (self.id.clock..self.end()).contains(&id.clock)
    }

    /// Whether `next`, standing behind it, is a continuation.
    fn continues(&self, next: &Run) -> bool {
        next.origin == Some(self.last())
            && next.id == self.id.plus(self.length)
            && next.right_origin == self.right_origin
            && next.is_deleted == self.is_deleted
    }

    /// Cuts off what lies behind the first `length` ids.
    fn split_off(&mut self, length: u32) -> Run {
        let rest = Run {
            id: self.id.plus(length),
            length: self.length - length,
            origin: Some(self.id.plus(length - 1)),
            ..*self
        };
        self.length = length;
        rest
    }
}

/// Before a run: where in the order its leaf is, and which of the leaf's runs it is. Behind the last run of a leaf
/// is a place too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Spot {
    leaf: usize,
    run: usize,
}

impl Sequence {
    pub(super) fn new() -> Sequence {
        Sequence {
            authors: Vec::new(),
            order: vec![LeafInOrder { leaf: 0, visible: 0 }],
            leaves: vec![Vec::new()],
            places: Vec::new(),
            visible: 0,
        }
    }

    /// How many units are visible.
    pub(super) fn len(&self) -> u32 {
        self.visible
    }

    /// The number of an author, a new one if it has none.
    pub(super) fn author(&mut self, client: u64) -> u32 {
        self.known_author(client).unwrap_or_else(|| {
            self.authors.push(client);
            self.authors.len() as u32 - 1
        })
    }

    pub(super) fn known_author(&self, client: u64) -> Option<u32> {
        self.authors.iter().position(|&author| author == client).map(|index| index as u32)
    }

    pub(super) fn client(&self, id: Id) -> u64 {
        self.authors[id.author as usize]
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.find(id).is_some()
    }

    /// Whether all ids from `first` to before the clock `end` are here.
    pub(super) fn has_range(&self, first: Id, end: u32) -> bool {
        let mut next = first;
        while next.clock < end {
            match self.find(next) {
                Some((_, run)) => next.clock = run.end(),
                None => return false,
            }
        }
        true
    }

    /// Inserts `length` visible units so that the first stands at `index`, which is at most [`Self::len`]. Returns
    /// the ids beside them.
    pub(super) fn insert(&mut self, index: u32, id: Id, length: u32) -> (Option<Id>, Option<Id>) {
        let spot = self.split_at(index);
        let (origin, right_origin) =
            (self.before(spot).map(|run| run.last()), self.after(spot).map(|run| run.id));
        self.place(spot, Run { id, length, origin, right_origin, is_deleted: false });
        (origin, right_origin)
    }

    /// Deletes `length` visible units from `index` on; both end within [`Self::len`]. Tells the ranges of ids.
    pub(super) fn delete(&mut self, index: u32, length: u32, mut tell: impl FnMut(Id, u32)) {
        let mut left = length;
        while left > 0 {
            let spot = self.split_at(index);
            let Some(run) = self.after(spot) else { return };
            let (id, taken) = (run.id, run.length.min(left));
            self.cut(spot, taken);
            self.bury(spot);
            tell(id, taken);
            left -= taken;
        }
    }

    /// Puts an item where every copy of the document has it. Returns the position of its first unit.
    pub(super) fn integrate(&mut self, item: Item) -> Result<u32, Lost> {
        if let Some(right) = item.right_origin {
            self.split_before(right).ok_or(Lost)?;
        }
        let start = match item.origin {
            Some(origin) => self.split_behind(origin).ok_or(Lost)?,
            None => Spot { leaf: 0, run: 0 },
        };
        let spot = match self.after(start) {
            Some(right) if Some(right.id) != item.right_origin => self.resolve(start, &item)?,
            _ => start,
        };
        let position = self.position(spot);
        self.place(spot, item);
        Ok(position)
    }

    /// The place of an item among others that were written at the same place without knowing of it.
    fn resolve(&self, start: Spot, item: &Item) -> Result<Spot, Lost> {
        let mut at = start;
        let mut place = start;
        let mut passed: Vec<Run> = Vec::new();
        // So many of the passed ones are certainly to the left.
        let mut settled = 0;
        while let Some(other) = self.after(at).copied().filter(|other| Some(other.id) != item.right_origin) {
            if passed.len() == MAX_CONFLICT {
                return Err(Lost);
            }
            let next = self.next(at);
            passed.push(other);
            if other.origin == item.origin {
                if self.client(other.id) < self.client(item.id) {
                    (place, settled) = (next, passed.len());
                } else if other.right_origin == item.right_origin {
                    break;
                }
            } else {
                let origin = other.origin.and_then(|origin| passed.iter().rposition(|run| run.has(origin)));
                match origin {
                    Some(index) if index < settled => (place, settled) = (next, passed.len()),
                    Some(_) => {}
                    None => break,
                }
            }
            at = next;
        }
        Ok(place)
    }

    /// Deletes a range of ids as far as they are here and visible. Tells where they were, each as if the ones told
    /// before it had gone already.
    pub(super) fn delete_ids(&mut self, first: Id, length: u32, gone: &mut Vec<Gone>) {
        let end = first.clock + length;
        let mut next = first.clock;
        while next < end {
            let id = Id { clock: next, ..first };
            let Some((spot, run)) = self.find(id) else {
                // The next run of this author, if it begins inside the range.
                match self.places.get(self.places_before(id)) {
                    Some((start, _)) if start.author == id.author && start.clock < end => next = start.clock,
                    _ => return,
                }
                continue;
            };
            let upto = run.end().min(end);
            if !run.is_deleted {
                let spot = if run.id.clock < next { self.cut(spot, next - run.id.clock) } else { spot };
                self.cut(spot, upto - next);
                gone.push(Gone { index: self.position(spot), length: upto - next });
                self.bury(spot);
            }
            next = upto;
        }
    }

    // ---- places

    fn find(&self, id: Id) -> Option<(Spot, Run)> {
        let behind = self.places.partition_point(|(start, _)| *start <= id);
        let (start, leaf) = self.places[behind.checked_sub(1)?];
        let runs = &self.leaves[leaf as usize];
        let run = runs.iter().position(|run| run.id == start)?;
        let found = runs[run];
        let leaf = self.order.iter().position(|entry| entry.leaf == leaf)?;
        found.has(id).then_some((Spot { leaf, run }, found))
    }

    /// How many runs begin with a smaller id.
    fn places_before(&self, id: Id) -> usize {
        self.places.partition_point(|(start, _)| *start < id)
    }

    fn runs(&self, leaf: usize) -> &Vec<Run> {
        &self.leaves[self.order[leaf].leaf as usize]
    }

    fn runs_mut(&mut self, leaf: usize) -> &mut Vec<Run> {
        &mut self.leaves[self.order[leaf].leaf as usize]
    }

    /// The run behind a place, in the next leaf that has one if its own ends there.
    fn after(&self, spot: Spot) -> Option<&Run> {
        let mut run = spot.run;
        for leaf in spot.leaf..self.order.len() {
            if let Some(found) = self.runs(leaf).get(run) {
                return Some(found);
            }
            run = 0;
        }
        None
    }

    fn before(&self, spot: Spot) -> Option<&Run> {
        match spot.run.checked_sub(1) {
            Some(run) => self.runs(spot.leaf).get(run),
            None => (0..spot.leaf).rev().find_map(|leaf| self.runs(leaf).last()),
        }
    }

    /// The place behind the run that is behind a place.
    fn next(&self, spot: Spot) -> Spot {
        let mut at = spot;
        while at.run >= self.runs(at.leaf).len() && at.leaf + 1 < self.order.len() {
            at = Spot { leaf: at.leaf + 1, run: 0 };
        }
        Spot { run: at.run + 1, ..at }
    }

    /// How many visible units are before a place.
    fn position(&self, spot: Spot) -> u32 {
        let leaves: u32 = self.order[..spot.leaf].iter().map(|entry| entry.visible).sum();
        leaves + self.runs(spot.leaf)[..spot.run].iter().map(Run::visible).sum::<u32>()
    }

    /// The place before the visible unit at `index`, behind everything at its left that was deleted.
    fn split_at(&mut self, index: u32) -> Spot {
        let mut left = index;
        let last = self.order.len() - 1;
        let mut leaf = 0;
        while leaf < last && left >= self.order[leaf].visible {
            left -= self.order[leaf].visible;
            leaf += 1;
        }
        for (run, found) in self.runs(leaf).iter().enumerate() {
            let visible = found.visible();
            if left < visible {
                let spot = Spot { leaf, run };
                return if left > 0 { self.cut(spot, left) } else { spot };
            }
            left -= visible;
        }
        Spot { leaf, run: self.runs(leaf).len() }
    }

    fn split_behind(&mut self, id: Id) -> Option<Spot> {
        let (spot, run) = self.find(id)?;
        if run.last() == id {
            return Some(Spot { run: spot.run + 1, ..spot });
        }
        Some(self.cut(spot, id.clock + 1 - run.id.clock))
    }

    fn split_before(&mut self, id: Id) -> Option<Spot> {
        let (spot, run) = self.find(id)?;
        Some(if run.id == id { spot } else { self.cut(spot, id.clock - run.id.clock) })
    }

    // ---- changes

    /// Cuts the run behind a place, which must be in the same leaf, behind its first `length` ids. Returns the place
    /// of the cut.
    fn cut(&mut self, spot: Spot, length: u32) -> Spot {
        let run = &mut self.runs_mut(spot.leaf)[spot.run];
        let cut = Spot { run: spot.run + 1, ..spot };
        if length < run.length {
            let rest = run.split_off(length);
            self.add_run(cut, rest);
        }
        cut
    }

    /// Marks the run behind a place, in the same leaf, as deleted.
    fn bury(&mut self, spot: Spot) {
        let run = &mut self.runs_mut(spot.leaf)[spot.run];
        let length = run.visible();
        run.is_deleted = true;
        self.order[spot.leaf].visible -= length;
        self.visible -= length;
        self.join(Spot { run: spot.run + 1, ..spot });
        self.join(spot);
    }

    /// Puts a run at a place, as a part of the one before it if it continues that.
    fn place(&mut self, spot: Spot, run: Run) {
        let visible = run.visible();
        self.visible += visible;
        self.order[spot.leaf].visible += visible;
        if let Some(before) = spot.run.checked_sub(1)
            && self.runs(spot.leaf)[before].continues(&run)
        {
            self.runs_mut(spot.leaf)[before].length += run.length;
            return;
        }
        self.add_run(spot, run);
        self.cut_leaf(spot.leaf);
    }

    fn add_run(&mut self, spot: Spot, run: Run) {
        let place = (run.id, self.order[spot.leaf].leaf);
        self.places.insert(self.places_before(run.id), place);
        self.runs_mut(spot.leaf).insert(spot.run, run);
    }

    /// Makes one run of the two beside a place in a leaf, if they are one.
    fn join(&mut self, spot: Spot) {
        let runs = self.runs_mut(spot.leaf);
        if spot.run == 0 || spot.run >= runs.len() || !runs[spot.run - 1].continues(&runs[spot.run]) {
            return;
        }
        let joined = runs.remove(spot.run);
        runs[spot.run - 1].length += joined.length;
        self.places.remove(self.places_before(joined.id));
    }

    /// Cuts a leaf in two that became too large. Places in it and behind it are void.
    fn cut_leaf(&mut self, leaf: usize) {
        let runs = self.runs_mut(leaf);
        if runs.len() <= MAX_RUNS {
            return;
        }
        // Typing goes on at the end: a full leaf behind it is not touched again.
        let moved = runs.split_off(runs.len() / 2);
        let visible = moved.iter().map(Run::visible).sum();
        let new = self.leaves.len() as u32;
        for run in &moved {
            let place = self.places_before(run.id);
            self.places[place].1 = new;
        }
        self.leaves.push(moved);
        self.order[leaf].visible -= visible;
        self.order.insert(leaf + 1, LeafInOrder { leaf: new, visible });
    }
}
