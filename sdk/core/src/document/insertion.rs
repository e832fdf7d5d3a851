//! Values on their way into a container, written as one Yjs update.
//!
//! The CRDT's own insert counts from the start of a list to the index, once for each value. An update names its
//! neighbours by id: many values are one pass, however long the list is.
//!
//! ```text
//!   values ─► update ─► the CRDT          [ left │ value, what is in it │ value, what is in it │ right ]
//!        └──► patch
//! ```

use super::nodes::{Nodes, write_any};
use super::write::{next_id, to_any};
use crate::packet::{PacketWriter, utf16_len};
use crate::value::Value;
use hither_protocol::scan::blocks::{Parent, write_head, write_text};
use hither_protocol::scan::{ANY, STRING, TYPE};
use hither_protocol::varint;
use std::collections::BTreeMap;
use yrs::updates::decoder::Decode;
use yrs::{BranchID, ID, TransactionMut, Update};

// Yjs update format v1: kinds of containers.
const ARRAY: u8 = 0;
const MAP: u8 = 1;
const TEXT: u8 = 2;

/// Between which two ids something goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gap {
    pub(super) left: Option<ID>,
    pub(super) right: Option<ID>,
}

/// An update under construction. See the module.
pub(super) struct Insertion<'a> {
    nodes: &'a mut Nodes,
    patch: &'a mut PacketWriter,
    first: ID,
    next: ID,
    blocks: Vec<u8>,
    count: u64,
}

/// Puts values into a list; the patch gets the values, one after another. Returns the gap behind the last one.
pub(super) fn insert_items(
    txn: &mut TransactionMut,
    nodes: &mut Nodes,
    patch: &mut PacketWriter,
    list: &BranchID,
    gap: Gap,
    items: &[Value],
) -> Gap {
    let mut insertion = Insertion::new(txn, nodes, patch);
    let gap = insertion.items(list, gap, items);
    insertion.apply(txn);
    gap
}

/// Puts what a container value holds into a container that holds nothing yet; the patch gets the whole value.
pub(super) fn fill(
    txn: &mut TransactionMut,
    nodes: &mut Nodes,
    patch: &mut PacketWriter,
    container: &BranchID,
    value: &Value,
) {
    let mut insertion = Insertion::new(txn, nodes, patch);
    insertion.content(container, value);
    insertion.apply(txn);
}

impl<'a> Insertion<'a> {
    fn new(txn: &TransactionMut, nodes: &'a mut Nodes, patch: &'a mut PacketWriter) -> Self {
        let next = next_id(txn);
        Self { nodes, patch, first: next, next, blocks: Vec::new(), count: 0 }
    }

    fn apply(self, txn: &mut TransactionMut) {
        if self.count == 0 {
            return;
        }
        let mut update = Vec::with_capacity(self.blocks.len() + 32);
        varint::write(&mut update, 1);
        varint::write(&mut update, self.count);
        varint::write(&mut update, self.first.client.get());
        varint::write(&mut update, self.first.clock.into());
        update.extend_from_slice(&self.blocks);
        varint::write(&mut update, 0); // nothing is deleted
        // It is well-formed, begins where our ids end, and stands between ids that are there.
        let applied = Update::decode_v1(&update).ok().and_then(|update| txn.apply_update(update).ok());
        debug_assert!(applied.is_some());
    }

    fn items(&mut self, list: &BranchID, mut gap: Gap, items: &[Value]) -> Gap {
        let mut rest = items;
        while let Some(first) = rest.first() {
            let run = rest.iter().take_while(|item| !item.is_container()).count();
            let id = self.next;
            if run > 0 {
                self.block(ANY, list, None, gap);
                self.primitives(&rest[..run]);
            } else {
                self.block(TYPE, list, None, gap);
                self.container(first);
            }
            let taken = run.max(1);
            gap.left = Some(ID { clock: id.clock + taken as u32 - 1, ..id });
            rest = &rest[taken..];
        }
        gap
    }

    fn primitives(&mut self, values: &[Value]) {
        varint::write(&mut self.blocks, values.len() as u64);
        for value in values {
            let any = to_any(value);
            any.encode(&mut self.blocks);
            write_any(&any, self.patch);
        }
        self.next.clock += values.len() as u32;
    }

    /// Behind the head of its block.
    fn container(&mut self, value: &Value) {
        let id = BranchID::Nested(self.next);
        self.next.clock += 1;
        self.blocks.push(match value {
            Value::List(_) => ARRAY,
            Value::Text(_) => TEXT,
            _ => MAP,
        });
        self.content(&id, value);
    }

    fn content(&mut self, id: &BranchID, value: &Value) {
        let node = self.nodes.handle_of(id);
        self.nodes.level += 1;
        match value {
            Value::Map(entries) => {
                self.patch.map(node, entries.len());
                self.entries(id, entries);
            }
            Value::List(items) => {
                self.patch.list(node, items.len());
                self.items(id, Gap::default(), items);
            }
            Value::Text(text) => {
                self.patch.text(node, text);
                if !text.is_empty() {
                    self.block(STRING, id, None, Gap::default());
                    write_text(&mut self.blocks, text);
                    self.next.clock += utf16_len(text);
                }
            }
            _ => {}
        }
        self.nodes.level -= 1;
    }

    fn entries(&mut self, map: &BranchID, entries: &BTreeMap<String, Value>) {
        for (key, value) in entries {
            self.patch.string(key);
            if value.is_container() {
                self.block(TYPE, map, Some(key), Gap::default());
                self.container(value);
            } else {
                self.block(ANY, map, Some(key), Gap::default());
                self.primitives(std::slice::from_ref(value));
            }
        }
    }

    fn block(&mut self, kind: u8, parent: &BranchID, key: Option<&str>, gap: Gap) {
        self.count += 1;
        let beside = [gap.left, gap.right].map(|id| id.map(|id| (id.client.get(), id.clock)));
        write_head(&mut self.blocks, kind, beside, parent_of(parent), key);
    }
}

/// How the items of a container name it.
pub(super) fn parent_of(container: &BranchID) -> Parent<'_> {
    match container {
        BranchID::Root(name) => Parent::Root(name),
        BranchID::Nested(id) => Parent::Item(id.client.get(), id.clock),
    }
}
