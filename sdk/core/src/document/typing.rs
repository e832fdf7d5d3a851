//! Typing past the CRDT: what a document does with the texts whose order it knows.
//!
//! ```text
//!   ops ────► type_in ─────► update, patch ─┐
//!   updates ► take_typing ─► patch ─────────┤
//!                                           ▼
//!                                        pending ──catch_up──► CRDT, before anything is read from it
//! ```

use super::check::spliced;
use super::nodes::{self, Touched};
use super::texts::News;
use super::{Changed, Document, EditError, IntegrateError, apply_update};
use crate::edit::{Node, Op};
use crate::packet::{PacketWriter, utf16_len};
use crate::value::Shape;
use hither_protocol::scan::{self, Scan};
use std::ops::Range;
use yrs::block::ClientID;
use yrs::{Out, ReadTxn, Transact};

impl Document {
    /// Whether operations only splice such texts, and the reader has them.
    pub(super) fn is_typing(&self, ops: &[Op]) -> bool {
        let nodes = self.nodes.lock();
        let is_splice = |op: &Op| match op {
            Op::TextSplice { node, .. } => self.texts.len(*node).is_some() && !nodes.is_hidden(*node),
            _ => false,
        };
        !ops.is_empty() && !self.texts.is_empty() && ops.iter().all(is_splice)
    }

    pub(super) fn type_in(&mut self, ops: &[Op]) -> Result<Changed, EditError> {
        let mut lengths: Vec<(Node, u32)> = Vec::new();
        let mut patch = PacketWriter::default();
        for op in ops {
            let Op::TextSplice { node, index, deleted, text } = op else { continue };
            let known = lengths.iter().position(|(known, _)| known == node).unwrap_or_else(|| {
                lengths.push((*node, self.texts.len(*node).unwrap_or(0)));
                lengths.len() - 1
            });
            let length = &mut lengths[known].1;
            *length = spliced(*node, *length, *index, *deleted, utf16_len(text))?;
            patch.text_splice(*node, *index, *deleted, text);
        }
        let clock = self.next_clock();
        let (update, next) = self.texts.splice(ops, self.writer, clock, self.pending.get_mut());
        self.clock = Some(next);
        if let Some(update) = &update {
            self.count_pending(update.len());
        }
        // A root that is left empty may have to go.
        let emptied: Vec<Touched> = {
            let nodes = self.nodes.lock();
            let names = lengths.iter().filter(|(_, length)| *length == 0);
            let names = names.filter_map(|(node, _)| nodes.root_name(*node));
            names.map(|name| Touched { name, is_replaced: false }).collect()
        };
        self.settle(emptied, &mut patch);
        Ok(Changed { update, patch: patch.finish() })
    }

    /// One more edit of so many bytes is left to be taken in with others.
    fn count_pending(&mut self, bytes: usize) {
        if self.pending.get_mut().count(bytes) {
            self.catch_up();
        }
    }

    /// Takes in what somebody else typed in such a text, if an update is nothing else.
    pub(super) fn take_typing(&mut self, update: &[u8], scan: &Scan) -> bool {
        let is_next = |(author, ranges): (u64, &[Range<u32>])| {
            author != self.writer && matches!(ranges, [range] if range.start == self.known.prefix(author))
        };
        if self.texts.is_empty()
            || !self.is_whole
            || !self.waiting.is_empty()
            || !scan.inserts.iter().all(is_next)
        {
            return false;
        }
        if !self.texts.take(update, scan) {
            return false;
        }
        self.known.merge(&scan.inserts);
        self.pending.get_mut().add(update);
        self.count_pending(update.len());
        true
    }

    /// Where own ids end, if a text needs to know.
    pub(super) fn texts_clock(&mut self) -> u32 {
        if self.texts.is_empty() { 0 } else { self.next_clock() }
    }

    /// The CRDT has made a local edit: texts follow it. Its patch is made elsewhere.
    pub(super) fn follow_edit(&mut self, update: &[u8], before: u32) {
        self.clock = None;
        if self.texts.is_empty() {
            return;
        }
        if let Ok(scan) = scan::scan(update) {
            self.texts.follow(update, &scan.deletes, &|_| before);
        }
        for lost in self.texts.forget_splices() {
            self.nodes.lock().leave_alone(lost, false);
        }
        self.close_deleted_texts();
    }

    fn next_clock(&mut self) -> u32 {
        let read = || self.reading().map_or(0, |txn| txn.state_vector().get(&ClientID::new(self.writer)));
        let clock = self.clock.unwrap_or_else(read);
        self.clock = Some(clock);
        clock
    }

    /// Reads the order of texts whose walks have cost more than that would.
    pub(super) fn open_walked_texts(&mut self, ops: &[Op]) {
        let mut walked: Vec<Node> = std::mem::take(&mut self.nodes.lock().walked);
        walked.extend(ops.iter().filter_map(|op| match op {
            Op::TextSplice { node, .. } => Some(*node),
            _ => None,
        }));
        for node in walked {
            let Some((Shape::Text, length)) = self.measure(node) else { continue };
            let ids = self.known.len() + u64::from(self.next_clock());
            if self.texts.len(node).is_none() && self.texts.walk(node, length, ids) && self.is_complete() {
                self.open_text(node, length);
            }
        }
    }

    fn open_text(&mut self, node: Node, length: u32) {
        let state = self.encode();
        let Ok(scan) = scan::scan(&state) else { return };
        let Some(branch) = self.nodes.lock().branch(node) else { return };
        let closed = self.texts.open(node, &branch, length, (&state, &scan));
        let is_open = self.texts.len(node).is_some();
        let mut nodes = self.nodes.lock();
        nodes.leave_alone(node, is_open);
        if let Some(closed) = closed {
            nodes.leave_alone(closed, false);
        }
    }

    pub(super) fn close_deleted_texts(&mut self) {
        for node in self.texts.nodes() {
            let is_gone = self.reading().is_none_or(|txn| self.nodes.lock().resolve(node, &txn).is_none());
            if is_gone {
                self.texts.close(node);
                self.nodes.lock().leave_alone(node, false);
            }
        }
    }

    /// Writes what happened to these texts since the last time, and returns the names of roots that come or go by it.
    pub(super) fn tell_texts(&mut self, patch: &mut PacketWriter) -> Vec<Touched> {
        let mut touched = Vec::new();
        for node in self.texts.nodes() {
            let mut news = PacketWriter::default();
            match self.texts.tell(node, &mut news) {
                News::Nothing => continue,
                News::Spliced => {}
                News::Lost { told } => {
                    self.nodes.lock().leave_alone(node, false);
                    let text = self.text_of(node).unwrap_or_default();
                    news.text_splice(node, 0, told, &text);
                }
            }
            let nodes = self.nodes.lock();
            let is_hidden = nodes.is_hidden(node);
            if !is_hidden {
                patch.append(&news);
            }
            if is_hidden || self.texts.len(node) == Some(0) {
                touched.extend(nodes.root_name(node).map(|name| Touched { name, is_replaced: false }));
            }
        }
        touched
    }

    fn text_of(&self, node: Node) -> Option<String> {
        let txn = self.reading()?;
        match self.nodes.lock().resolve(node, &txn)? {
            Out::YText(text) => Some(nodes::read_text(&text, &txn)),
            _ => None,
        }
    }

    /// The CRDT takes in what was put off.
    pub(super) fn catch_up(&self) {
        let updates = self.pending.borrow_mut().take();
        if updates.is_empty() {
            return;
        }
        self.nodes.lock().mute(true);
        let errors: Vec<IntegrateError> = match self.doc.try_transact_mut() {
            Ok(mut txn) => updates.iter().filter_map(|update| apply_update(&mut txn, update).err()).collect(),
            Err(_) => vec![IntegrateError("the document is busy")],
        };
        self.nodes.lock().mute(false);
        self.pending.borrow_mut().errors.extend(errors);
    }
}
