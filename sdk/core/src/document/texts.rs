//! Texts whose order is known: typing in them costs neither a walk nor a transaction.
//!
//! A text starts out with the CRDT, which walks it for every position. Once the walks have cost as much as reading the
//! whole document, its order is read into a [`Sequence`], and from then on
//!
//! - a local edit is written as an update here,
//! - an update of somebody else that only types in such texts finds its positions here,
//!
//! and the CRDT takes both in later, many at once, before anybody asks it for anything. Every other update is followed:
//! the CRDT has applied it, the sequences are brought up to date. What a sequence cannot follow ends it, and the reader
//! gets that text anew.

use super::insertion::parent_of;
use super::pending::{Pending, Typed};
use super::sequence::{Gone, Id, Item, Lost, Sequence};
use crate::edit::{Node, Op};
use crate::packet::{PacketWriter, utf16_len};
use crate::sorted::Sorted;
use hither_protocol::id_set::IdSet;
use hither_protocol::scan::Scan;
use hither_protocol::scan::blocks::{Block, Blocks, Content, Parent};
use hither_protocol::scan::causal::Causal;
use yrs::branch::BranchID;

/// Texts that are edited at the same time. More take turns.
const MAX_OPEN: usize = 8;

/// Reading an id of the document costs about so many steps of a walk.
const PRICE: u64 = 4;

/// The texts of one document that have a sequence. See the module.
#[derive(Default)]
pub(super) struct Texts {
    /// The last used is the last.
    open: Vec<OpenText>,
    /// What walks have cost the texts without a sequence.
    walked: Sorted<Node, Walked>,
}

enum Walked {
    Units(u64),
    /// Formatted, or with values in it: only the CRDT knows its order.
    Unfit,
}

struct OpenText {
    node: Node,
    home: BranchID,
    sequence: Sequence,
    /// What a reader does not know yet.
    splices: Vec<Splice>,
    /// The length that a reader knows.
    told: u32,
    /// The sequence is not the text's order any more.
    is_lost: bool,
}

struct Splice {
    index: u32,
    deleted: u32,
    text: String,
}

/// What became of a text since the last time.
pub(super) enum News {
    Nothing,
    /// The operations were written.
    Spliced,
    /// The reader, who knows so many units, needs the whole text.
    Lost {
        told: u32,
    },
}

impl Texts {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn nodes(&self) -> Vec<Node> {
        self.open.iter().map(|text| text.node).collect()
    }

    pub(super) fn len(&self, node: Node) -> Option<u32> {
        self.open.iter().find(|text| text.node == node).map(|text| text.sequence.len())
    }

    /// A text was walked. Says whether a sequence is due, in a document of so many ids.
    pub(super) fn walk(&mut self, node: Node, units: u32, ids: u64) -> bool {
        if self.walked.get(node).is_none() {
            self.walked.insert(node, Walked::Units(0));
        }
        match self.walked.get_mut(node) {
            Some(Walked::Units(sum)) => {
                *sum += u64::from(units);
                *sum > ids * PRICE
            }
            Some(Walked::Unfit) | None => false,
        }
    }

    /// Reads a text's order out of an update that holds the whole document. `length` is what the CRDT says. Returns
    /// a text that had to make room.
    pub(super) fn open(
        &mut self,
        node: Node,
        branch: &BranchID,
        length: u32,
        (state, scan): (&[u8], &Scan),
    ) -> Option<Node> {
        let home = branch.clone();
        let sequence = Sequence::new();
        let mut text = OpenText { node, home, sequence, splices: Vec::new(), told: length, is_lost: false };
        text.follow(state, &scan.deletes, &|_| 0);
        text.splices.clear();
        if text.is_lost || text.sequence.len() != length {
            self.walked.insert(node, Walked::Unfit);
            return None;
        }
        self.walked.remove(node);
        self.open.push(text);
        (self.open.len() > MAX_OPEN).then(|| self.open.remove(0).node)
    }

    pub(super) fn close(&mut self, node: Node) {
        self.open.retain(|text| text.node != node);
    }

    /// Nothing is certain any more.
    pub(super) fn lose_all(&mut self) {
        self.open.iter_mut().for_each(|text| text.is_lost = true);
    }

    fn get_mut(&mut self, node: Node) -> Option<&mut OpenText> {
        let index = self.open.iter().position(|text| text.node == node)?;
        // Whoever types stays.
        self.open[index..].rotate_left(1);
        self.open.last_mut()
    }

    /// Performs splices, checked and all in open texts, as `writer`, whose next id is at `clock`. Returns the update,
    /// `None` if nothing changes, and the clock behind it. The CRDT has yet to take it in.
    pub(super) fn splice(
        &mut self,
        ops: &[Op],
        writer: u64,
        clock: u32,
        pending: &mut Pending,
    ) -> (Option<Vec<u8>>, u32) {
        let mut own = Typed::default();
        let mut next = clock;
        for op in ops {
            let Op::TextSplice { node, index, deleted, text } = op else { continue };
            let Some(open) = self.get_mut(*node) else { continue };
            let sequence = &mut open.sequence;
            let mut gone: Vec<(Id, u32)> = Vec::new();
            sequence.delete(*index, *deleted, |id, length| gone.push((id, length)));
            for (id, length) in gone {
                let (client, clocks) = (sequence.client(id), id.clock..id.clock + length);
                for typed in [&mut own, &mut pending.typed] {
                    typed.delete(client, clocks.clone());
                }
            }
            if !text.is_empty() {
                let id = Id { author: sequence.author(writer), clock: next };
                let length = utf16_len(text);
                let (origin, right_origin) = sequence.insert(*index, id, length);
                let beside = [origin, right_origin].map(|id| id.map(|id| (sequence.client(id), id.clock)));
                for typed in [&mut own, &mut pending.typed] {
                    typed.insert((writer, next), beside, parent_of(&open.home), text);
                }
                next += length;
            }
            open.told = open.sequence.len();
        }
        (own.encode(), next)
    }

    /// Takes an update of one other author in, if all of it is typing in open texts. Otherwise nothing happens, except
    /// that a text may be lost.
    pub(super) fn take(&mut self, update: &[u8], scan: &Scan) -> bool {
        if scan.skips || scan.inserts.clients().len() > 1 || self.open.iter().any(|text| text.is_lost) {
            return false;
        }
        let Some(index) = self.open.iter().position(|text| text.has_all(update, scan)) else { return false };
        let text = &mut self.open[index];
        text.follow(update, &scan.deletes, &|_| 0);
        !text.is_lost
    }

    /// Brings the sequences up to date after the CRDT has applied an update. `known` is where each author's ids ended
    /// before.
    pub(super) fn follow(&mut self, update: &[u8], deletes: &IdSet, known: &dyn Fn(u64) -> u32) {
        self.open.iter_mut().for_each(|text| text.follow(update, deletes, known));
    }

    /// A local change was followed: its patch is made elsewhere. Closes what was lost by it and returns that.
    pub(super) fn forget_splices(&mut self) -> Vec<Node> {
        let lost = self.open.iter().filter(|text| text.is_lost).map(|text| text.node).collect();
        self.open.retain(|text| !text.is_lost);
        for text in &mut self.open {
            text.splices.clear();
            text.told = text.sequence.len();
        }
        lost
    }

    /// Writes what happened to a text since the last time. A lost one is closed.
    pub(super) fn tell(&mut self, node: Node, patch: &mut PacketWriter) -> News {
        let Some(index) = self.open.iter().position(|text| text.node == node) else { return News::Nothing };
        let text = &mut self.open[index];
        if text.is_lost {
            let told = text.told;
            self.open.remove(index);
            return News::Lost { told };
        }
        if text.splices.is_empty() {
            return News::Nothing;
        }
        for splice in text.splices.drain(..) {
            patch.text_splice(node, splice.index, splice.deleted, &splice.text);
        }
        text.told = text.sequence.len();
        News::Spliced
    }
}

impl OpenText {
    fn is_home(&self, parent: Parent<'_>) -> bool {
        parent_of(&self.home) == parent
    }

    fn id(&self, (client, clock): (u64, u32)) -> Option<Id> {
        let id = Id { author: self.sequence.known_author(client)?, clock };
        self.sequence.contains(id).then_some(id)
    }

    /// Whether an update does nothing else than type here.
    fn has_all(&self, update: &[u8], scan: &Scan) -> bool {
        let is_here = |id: (u64, u32)| scan.inserts.contains(id.0, id.1) || self.id(id).is_some();
        for block in Blocks::new(update) {
            let Ok(block) = block else { return false };
            let is_ours = match block {
                Block { content: Content::Text(_), parent: Some(parent), is_keyed: false, .. } => {
                    self.is_home(parent)
                }
                Block { content: Content::Text(_), origin, right_origin, .. } => {
                    [origin, right_origin].into_iter().flatten().all(is_here)
                }
                _ => false,
            };
            if !is_ours {
                return false;
            }
        }
        scan.deletes.iter().all(|(client, ranges)| {
            let Some(author) = self.sequence.known_author(client) else { return false };
            ranges.iter().all(|range| self.sequence.has_range(Id { author, clock: range.start }, range.end))
        })
    }

    fn follow(&mut self, update: &[u8], deletes: &IdSet, known: &dyn Fn(u64) -> u32) {
        if !self.is_lost && self.try_follow(update, deletes, known).is_err() {
            self.is_lost = true;
        }
    }

    fn try_follow(&mut self, update: &[u8], deletes: &IdSet, known: &dyn Fn(u64) -> u32) -> Result<(), Lost> {
        for block in Causal::new(update).map_err(|_| Lost)? {
            let block = block.map_err(|_| Lost)?;
            self.follow_block(&block, known(block.client))?;
        }
        let mut gone = Vec::new();
        for (client, ranges) in deletes.iter() {
            let Some(author) = self.sequence.known_author(client) else { continue };
            for range in ranges {
                let first = Id { author, clock: range.start };
                self.sequence.delete_ids(first, range.end - range.start, &mut gone);
            }
        }
        for Gone { index, length } in gone {
            self.splice(index, length, "");
        }
        Ok(())
    }

    fn follow_block(&mut self, block: &Block<'_>, known: u32) -> Result<(), Lost> {
        let is_ours = match block.parent {
            Some(parent) => !block.is_keyed && self.is_home(parent),
            None => [block.origin, block.right_origin].into_iter().flatten().any(|id| self.id(id).is_some()),
        };
        if !is_ours || block.end() <= known {
            return Ok(());
        }
        let (text, is_deleted) = match block.content {
            Content::Text(text) => (text, false),
            Content::Deleted => ("", true),
            Content::Gc | Content::Skip => return Ok(()),
            Content::Format | Content::Embed | Content::Other => return Err(Lost),
        };
        // Of an item that is here in part, the rest follows on what is here.
        let skipped = known.saturating_sub(block.clock);
        let author = self.sequence.author(block.client);
        let id = Id { author, clock: block.clock + skipped };
        let beside = |id: Option<(u64, u32)>| id.map(|id| self.id(id).ok_or(Lost)).transpose();
        let origin = match skipped {
            0 => beside(block.origin)?,
            _ => Some(Id { author, clock: id.clock - 1 }),
        };
        let right_origin = beside(block.right_origin)?;
        let length = block.length - skipped;
        let index = self.sequence.integrate(Item { id, length, origin, right_origin, is_deleted })?;
        if !is_deleted {
            let rest = cut_utf16(text, skipped).ok_or(Lost)?;
            self.splice(index, 0, rest);
        }
        Ok(())
    }

    /// Adds to what a reader has to do. What was typed in a row is one splice.
    fn splice(&mut self, index: u32, deleted: u32, text: &str) {
        if let Some(last) = self.splices.last_mut() {
            if deleted == 0 && index == last.index + utf16_len(&last.text) {
                return last.text.push_str(text);
            }
            if text.is_empty()
                && last.text.is_empty()
                && (index == last.index || index + deleted == last.index)
            {
                last.index = index;
                last.deleted += deleted;
                return;
            }
        }
        self.splices.push(Splice { index, deleted, text: text.to_owned() });
    }
}

/// What is behind the first `units` UTF-16 units; `None` if that is inside a character.
fn cut_utf16(text: &str, units: u32) -> Option<&str> {
    let mut left = units;
    let mut chars = text.chars();
    while left > 0 {
        left = left.checked_sub(chars.next()?.len_utf16() as u32)?;
    }
    Some(chars.as_str())
}
