//! Operations inside a transaction. They were checked before it began: nothing here can fail half-way.

use super::insertion::{Gap, fill, insert_items};
use super::nodes::{Nodes, Shared, items, read_text, write_any};
use super::roots::{MARKER, PRIMITIVES, Root, marker, root_out, shape_name};
use super::shape_of;
use crate::edit::Op;
use crate::packet::{PacketWriter, utf16_len};
use crate::value::{Value, is_integral};
use hither_protocol::scan::blocks::{Block, Blocks};
use std::collections::HashMap;
use std::sync::Arc;
use yrs::block::{ClientID, ItemContent, Prelim, Unused};
use yrs::branch::{Branch, BranchID, BranchPtr};
use yrs::types::TypeRef;
use yrs::{Any, Array, ArrayRef, ID, Map, MapRef, Out, ReadTxn, Text, TextRef, TransactionMut};

/// Gives a root a new content. What it had is deleted first: assigning replaces.
pub(super) fn set_root(nodes: &Shared, txn: &mut TransactionMut, name: &str, value: &Value) {
    let root = nodes.lock().root(name);
    clear_contents(root, txn, name);
    let Some(primitives) = txn.get_map(PRIMITIVES) else { return };
    let Some(shape) = shape_of(value) else {
        primitives.insert(txn, name, Content::of(to_any(value)));
        return;
    };
    if root.is_none_or(|root| !root.is_declared) && marker(txn, name) != Some(shape) {
        let marker = HashMap::from([(MARKER.to_owned(), Any::from(shape_name(shape)))]);
        primitives.insert(txn, name, Content::of(Any::Map(Arc::new(marker))));
    }
    nodes.lock().level = 1;
    // What the reader gets is written when the change settles.
    let mut unseen = PacketWriter::default();
    match (value, root_out(txn, name, shape)) {
        // The entries that were there before are gone, and still the left neighbours of the new ones.
        (Value::Map(entries), Some(Out::YMap(map))) => {
            for (key, value) in entries {
                insert_entry(txn, nodes, &mut unseen, &map, key, value);
            }
        }
        (Value::List(items), Some(Out::YArray(array))) => {
            let mut nodes = nodes.lock();
            insert_items(txn, &mut nodes, &mut unseen, &array.as_ref().id(), Gap::default(), items);
        }
        (Value::Text(content), Some(Out::YText(text))) => text.insert(txn, 0, content),
        _ => {}
    }
}

pub(super) fn clear_root(nodes: &Shared, txn: &mut TransactionMut, name: &str) {
    let root = nodes.lock().root(name);
    clear_contents(root, txn, name);
    if let Some(primitives) = txn.get_map(PRIMITIVES) {
        primitives.remove(txn, name);
    }
}

fn clear_contents(root: Option<Root>, txn: &mut TransactionMut, name: &str) {
    let Some(root) = root else { return };
    match root_out(txn, name, root.shape) {
        Some(Out::YMap(map)) => {
            let mut keys: Vec<String> = map.keys(txn).map(str::to_owned).collect();
            keys.sort_unstable();
            for key in keys {
                map.remove(txn, &key);
            }
        }
        Some(Out::YArray(array)) => {
            // Characters among the items: the CRDT may never come back from removing those from a list, nor from removing
            // more than there is, and its own count may say more.
            remove_text(txn, &TextRef::from(BranchPtr::from(array.as_ref())), 0, u32::MAX);
            let count = items(&array, txn).len() as u32;
            if count > 0 {
                array.remove_range(txn, 0, count);
            }
        }
        Some(Out::YText(text)) => {
            remove_text(txn, &text, 0, u32::MAX);
        }
        _ => {}
    }
}

/// Removes some of a text, at most what shows. Somebody may have put values into it as if it were a list: the CRDT counts
/// them, and panics when it is to remove them from a text.
fn remove_text(txn: &mut TransactionMut, text: &TextRef, index: u32, count: u32) {
    let shown = utf16_len(&read_text(text, txn));
    text.remove_range(txn, index, count.min(shown.saturating_sub(index)));
}

/// Performs one checked operation below the state. Returns the name of the root whose visibility it may change.
pub(super) fn perform(
    nodes: &Shared,
    txn: &mut TransactionMut,
    op: &Op,
    patch: &mut PacketWriter,
) -> Option<String> {
    let node = match op {
        Op::MapSet { node, .. }
        | Op::MapDelete { node, .. }
        | Op::ListSplice { node, .. }
        | Op::TextSplice { node, .. } => *node,
    };
    let (container, root) = {
        let mut nodes = nodes.lock();
        nodes.level = nodes.level_in(node);
        (nodes.resolve(node, txn)?, nodes.root_name(node))
    };
    // A root that the reader does not have yet is written whole when the change settles.
    let mut unseen = PacketWriter::default();
    let patch = if root.is_some() && nodes.lock().is_hidden(node) { &mut unseen } else { patch };
    match (op, container) {
        (Op::MapSet { key, value, .. }, Out::YMap(map)) => {
            patch.map_set(node, key);
            insert_entry(txn, nodes, patch, &map, key, value);
        }
        (Op::MapDelete { key, .. }, Out::YMap(map)) if map.remove(txn, key).is_some() => {
            patch.map_delete(node, key);
        }
        (Op::ListSplice { index, deleted, values, .. }, Out::YArray(array)) => {
            patch.list_splice(node, *index, *deleted, values.len());
            let mut nodes = nodes.lock();
            if *deleted > 0 {
                array.remove_range(txn, *index, *deleted);
                nodes.forget_gap(node);
            }
            if let Some((first, others)) = values.split_first() {
                let (gap, rest) = match nodes.gap(node, *index) {
                    Some(gap) => (gap, &values[..]),
                    None => (insert_first(txn, &mut nodes, patch, &array, *index, first), others),
                };
                let behind = insert_items(txn, &mut nodes, patch, &array.as_ref().id(), gap, rest);
                nodes.remember_gap(node, *index + values.len() as u32, behind);
            }
        }
        (Op::TextSplice { index, deleted, text: inserted, .. }, Out::YText(text)) => {
            if *deleted > 0 {
                remove_text(txn, &text, *index, *deleted);
            }
            if !inserted.is_empty() {
                text.insert(txn, *index, inserted);
            }
            patch.text_splice(node, *index, *deleted, inserted);
        }
        _ => {}
    }
    root
}

/// Puts a value under a key; the patch gets the value.
fn insert_entry(
    txn: &mut TransactionMut,
    nodes: &Shared,
    patch: &mut PacketWriter,
    map: &MapRef,
    key: &str,
    value: &Value,
) {
    let container = value.is_container().then(|| BranchID::Nested(next_id(txn)));
    map.insert(txn, key, content(value, patch));
    if let Some(container) = container {
        fill(txn, &mut nodes.lock(), patch, &container, value);
    }
}

/// Lets the CRDT find the place of a value, which walks the list: it alone knows what stands there deleted, and an item
/// must name its very neighbours or others order it differently. The patch gets the value. Returns the gap behind it.
fn insert_first(
    txn: &mut TransactionMut,
    nodes: &mut Nodes,
    patch: &mut PacketWriter,
    array: &ArrayRef,
    index: u32,
    value: &Value,
) -> Gap {
    let id = next_id(txn);
    array.insert(txn, index, content(value, patch));
    let gap = Gap { left: Some(id), right: right_of(txn, id) };
    if value.is_container() {
        fill(txn, nodes, patch, &BranchID::Nested(id), value);
    }
    gap
}

/// What an item is made with. The CRDT has a type of its own for each kind of value; those can hold others, and bring
/// along the code for all that there are.
struct Content(ItemContent);

impl Content {
    fn of(any: Any) -> Content {
        Content(ItemContent::Any(vec![any]))
    }
}

impl Prelim for Content {
    type Return = Unused;

    fn into_content(self, _: &mut TransactionMut) -> (ItemContent, Option<Self>) {
        (self.0, None)
    }

    fn integrate(self, _: &mut TransactionMut, _: BranchPtr) {}
}

/// A container that is to be filled, or a primitive, which the patch gets at once.
fn content(value: &Value, patch: &mut PacketWriter) -> Content {
    let kind = match value {
        Value::Map(_) => TypeRef::Map,
        Value::List(_) => TypeRef::Array,
        Value::Text(_) => TypeRef::Text,
        primitive => {
            let any = to_any(primitive);
            write_any(&any, patch);
            return Content::of(any);
        }
    };
    Content(ItemContent::Type(Branch::new(kind)))
}

/// The id of the item that is made next.
pub(super) fn next_id(txn: &TransactionMut) -> ID {
    let client = txn.doc().client_id();
    ID::new(client, txn.state_vector().get(&client))
}

/// The right neighbour that an item of this transaction was given.
fn right_of(txn: &TransactionMut, id: ID) -> Option<ID> {
    let update = txn.encode_update_v1();
    let is_it =
        |block: &Block<'_>| block.client == id.client.get() && (block.clock..block.end()).contains(&id.clock);
    let (client, clock) = Blocks::new(&update).flatten().find(is_it)?.right_origin?;
    Some(ID::new(ClientID::new(client), clock))
}

pub(super) fn to_any(value: &Value) -> Any {
    match value {
        Value::Undefined => Any::Undefined,
        Value::Bool(value) => Any::Bool(*value),
        Value::Number(number) if is_integral(*number) => Any::from(*number as i64),
        Value::Number(number) => Any::from(*number),
        Value::String(text) => Any::from(text.as_str()),
        Value::Bytes(bytes) => Any::Buffer(bytes.as_slice().into()),
        // Containers never reach this; the check refuses what only others write.
        Value::Null
        | Value::List(_)
        | Value::Map(_)
        | Value::Text(_)
        | Value::BigInt(_)
        | Value::Opaque(_) => Any::Null,
    }
}
