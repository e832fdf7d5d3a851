//! Handles of shared containers, and what observers saw happen to them.
//!
//! Every container that a reader knows has a [`Node`] and one observer. While a transaction of others commits,
//! observers write patches here; nothing else happens inside a transaction, and no foreign code runs there.
//! While a local transaction commits they are muted: its patch is already known.

use super::insertion::Gap;
use super::roots::{PRIMITIVES, Root};
use super::xml::read_xml;
use crate::edit::Node;
use crate::packet::{MAX_DEPTH, PacketWriter, utf16_len};
use crate::sorted::Sorted;
use crate::value::{Shape, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use yrs::branch::{BranchID, BranchPtr};
use yrs::types::{Change, Delta, EntryChange, TypeRef};
use yrs::{
    Any, Array, ArrayRef, DeepObservable, GetString, Map, MapRef, Number, Observable, Out, Text, TextRef,
    TransactionMut,
};

/// The key under which observers are registered; one per container.
const OBSERVER: &str = "hither";

/// The table, shared with the observers inside the document.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Nodes>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Nodes> {
        // A panic while it was held can only have come from the CRDT; the table itself is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The table of handles.
#[derive(Default)]
pub(super) struct Nodes {
    handles: HashMap<BranchID, Node>,
    branches: Sorted<Node, Place>,
    /// How many containers are above what is written, or gets a handle, next.
    pub(super) level: usize,
    last: u32,
    /// Handles when the last sweep ended.
    swept: usize,
    roots: Sorted<Node, NamedRoot>,
    primitives: Option<BranchID>,
    is_muted: bool,
    /// Lists that are shown without items.
    unreadable: Vec<Node>,
    /// Somebody has written formats, which may be where none belong.
    pub(super) has_formats: bool,
    /// Something changed that no observer can tell: the reader needs everything anew.
    is_lost: bool,
    /// Containers that nobody listens to yet.
    fresh: Vec<BranchID>,
    /// Behind the last insertion into a list: the index and the ids beside it. Programs push one item after another.
    gaps: Sorted<Node, (u32, Gap)>,
    changes: Vec<(Node, PacketWriter)>,
    touched: Vec<Touched>,
    /// Texts whose changes are told by others.
    left_alone: Vec<Node>,
    /// Texts whose observers have walked them.
    pub(super) walked: Vec<Node>,
}

struct Place {
    id: BranchID,
    /// How many containers are above it.
    level: usize,
}

struct NamedRoot {
    name: String,
    root: Root,
    /// The reader does not have it.
    is_hidden: bool,
}

/// A name of the state whose value may have come, gone or changed.
pub(super) struct Touched {
    pub(super) name: String,
    /// Not the same container any more, or a primitive: the reader gets the value anew.
    pub(super) is_replaced: bool,
}

impl Nodes {
    /// An empty table that goes on counting.
    pub(super) fn successor(&self) -> Shared {
        Shared(Arc::new(Mutex::new(Nodes { last: self.last, ..Nodes::default() })))
    }

    pub(super) fn mute(&mut self, is_muted: bool) {
        self.is_muted = is_muted;
    }

    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.is_lost)
    }

    /// The handle of a container, a new one if it has none; `None` for what is no container.
    pub(super) fn handle(&mut self, out: &Out) -> Option<Node> {
        let id = match out {
            Out::UndefinedRef(_) | Out::YDoc(_) | Out::Any(_) => return None,
            container => container.try_branch()?.id(),
        };
        Some(self.handle_of(&id))
    }

    /// The handle of a container that is there, or will be at the end of the transaction.
    pub(super) fn handle_of(&mut self, id: &BranchID) -> Node {
        if let Some(&node) = self.handles.get(id) {
            return node;
        }
        self.last += 1;
        let node = Node(self.last);
        self.handles.insert(id.clone(), node);
        self.branches.insert(node, Place { id: id.clone(), level: self.level });
        self.fresh.push(id.clone());
        node
    }

    /// The ids beside an index of a list, if something was inserted just before it and nothing changed since.
    pub(super) fn gap(&self, list: Node, index: u32) -> Option<Gap> {
        self.gaps.get(list).filter(|(at, _)| *at == index).map(|(_, gap)| *gap)
    }

    pub(super) fn remember_gap(&mut self, list: Node, index: u32, gap: Gap) {
        self.gaps.insert(list, (index, gap));
    }

    pub(super) fn forget_gap(&mut self, list: Node) {
        self.gaps.remove(list);
    }

    /// Others may have changed any list.
    pub(super) fn forget_gaps(&mut self) {
        self.gaps.clear();
    }

    pub(super) fn resolve(&self, node: Node, txn: &TransactionMut) -> Option<Out> {
        branch_out(&self.branches.get(node)?.id, txn)
    }

    pub(super) fn branch(&self, node: Node) -> Option<BranchID> {
        self.branches.get(node).map(|place| place.id.clone())
    }

    /// How many containers are above what is in this one.
    pub(super) fn level_in(&self, node: Node) -> usize {
        self.branches.get(node).map_or(0, |place| place.level + 1)
    }

    /// Whether somebody else tells what happens to a text.
    pub(super) fn leave_alone(&mut self, node: Node, is_left_alone: bool) {
        self.left_alone.retain(|left| *left != node);
        if is_left_alone {
            self.left_alone.push(node);
        }
    }

    /// Whether the handle was ever given out.
    pub(super) fn was_known(&self, node: Node) -> bool {
        node.0 <= self.last
    }

    pub(super) fn name_root(&mut self, name: &str, root: Root) {
        self.roots.insert(root.node, NamedRoot { name: name.to_owned(), root, is_hidden: true });
    }

    /// Whether the items of a list are shown.
    pub(super) fn shows_items(&self, list: Node) -> bool {
        !self.unreadable.contains(&list)
    }

    /// What is known of a root; nothing before it has a shape.
    pub(super) fn root(&self, name: &str) -> Option<Root> {
        if name == PRIMITIVES {
            let root = Root { node: Node::ROOT, shape: Shape::Map, is_declared: false };
            return self.primitives.as_ref().map(|_| root);
        }
        let node = self.handles.get(&BranchID::Root(name.into()))?;
        Some(self.roots.get(*node)?.root)
    }

    /// The names of all roots but that of the primitives.
    pub(super) fn root_names(&self) -> Vec<String> {
        self.roots.values().map(|named| named.name.clone()).collect()
    }

    pub(super) fn root_name(&self, node: Node) -> Option<String> {
        Some(self.roots.get(node)?.name.clone())
    }

    pub(super) fn is_hidden(&self, node: Node) -> bool {
        self.roots.get(node).is_some_and(|root| root.is_hidden)
    }

    pub(super) fn hide(&mut self, node: Node, is_hidden: bool) {
        if let Some(root) = self.roots.get_mut(node) {
            root.is_hidden = is_hidden;
        }
    }

    pub(super) fn listen_to_primitives(&mut self, out: &Out) {
        self.primitives = out.try_branch().map(|branch| branch.id());
        self.fresh.extend(self.primitives.clone());
    }

    /// The containers that nobody listens to yet, each with its id.
    pub(super) fn take_fresh(&mut self, txn: &TransactionMut) -> Vec<(BranchID, Out)> {
        let fresh = std::mem::take(&mut self.fresh).into_iter();
        fresh.filter_map(|id| branch_out(&id, txn).map(|out| (id, out))).collect()
    }

    /// What observers saw, in the order of handles, and the names of roots that may have come or gone.
    pub(super) fn take_changes(&mut self) -> (Vec<(Node, PacketWriter)>, Vec<Touched>) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.sort_by_key(|(node, _)| *node);
        (changes, std::mem::take(&mut self.touched))
    }

    /// Whether there is something for [`Self::take_fresh`] or [`Self::sweep`]: both need a transaction.
    pub(super) fn is_care_due(&self) -> bool {
        !self.fresh.is_empty() || self.is_sweep_due()
    }

    /// Whether there are twice as many handles as after the last sweep.
    fn is_sweep_due(&self) -> bool {
        self.branches.len() >= 2 * self.swept + 1024
    }

    /// Forgets handles of deleted containers, when they may be many.
    pub(super) fn sweep(&mut self, txn: &TransactionMut) {
        if !self.is_sweep_due() {
            return;
        }
        let handles = &mut self.handles;
        self.branches.retain(|Place { id, .. }| {
            let lives = id.get_branch(txn).is_some_and(|branch| !branch.is_deleted());
            if !lives {
                handles.remove(id);
            }
            lives
        });
        self.swept = self.branches.len();
    }

    /// Writes a value and everything in it; containers get handles.
    pub(super) fn write_value(&mut self, value: &Out, txn: &TransactionMut, out: &mut PacketWriter) {
        if self.level > MAX_DEPTH {
            // Only a hostile document nests like this; a reader that recursed into it would die.
            return out.undefined();
        }
        if let Out::Any(any) = value {
            return write_any(any, out);
        }
        let Some(node) = self.handle(value) else { return out.undefined() };
        self.hide(node, false);
        self.level += 1;
        match value {
            Out::YMap(map) => {
                let mut entries: Vec<(&str, Out)> = map.iter(txn).collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                out.map(node, entries.len());
                for (key, value) in entries {
                    out.string(key);
                    self.write_value(&value, txn, out);
                }
            }
            Out::YArray(array) => {
                self.unreadable.retain(|list| *list != node);
                if !is_readable(array, txn) {
                    self.unreadable.push(node);
                }
                let items = items(array, txn);
                out.list(node, items.len());
                for item in items {
                    self.write_value(&item, txn, out);
                }
            }
            Out::YText(text) => out.text(node, &read_text(text, txn)),
            foreign => out.opaque(node, &read_xml(foreign, txn)),
        }
        self.level -= 1;
    }

    fn record(&mut self, node: Node, change: PacketWriter) {
        if let Some(name) = self.root_name(node) {
            self.touched.push(Touched { name, is_replaced: false });
        }
        if !change.is_empty() {
            self.changes.push((node, change));
        }
    }
}

/// A value without containers in it: the scanner bounds how deep those nest.
pub(super) fn write_any(any: &Any, out: &mut PacketWriter) {
    match any {
        Any::Null => out.null(),
        Any::Undefined => out.undefined(),
        Any::Bool(value) => out.bool(*value),
        Any::Number(Number::Float(number)) => out.float(*number),
        Any::Number(Number::Int(number)) => match is_safe(*number) {
            true => out.float(*number as f64),
            false => out.bigint(*number),
        },
        Any::String(text) => out.atom(text),
        Any::Buffer(bytes) => out.bytes(bytes),
        Any::Array(items) => {
            out.list(Node(0), items.len());
            items.iter().for_each(|item| write_any(item, out));
        }
        Any::Map(entries) => {
            let mut entries: Vec<(&String, &Any)> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.map(Node(0), entries.len());
            for (key, value) in entries {
                out.string(key);
                write_any(value, out);
            }
        }
    }
}

fn is_safe(number: i64) -> bool {
    number.unsigned_abs() <= 9_007_199_254_740_991
}

/// A value as a plain tree, without handles.
pub(super) fn read_value(value: &Out, txn: &TransactionMut, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Undefined;
    }
    match value {
        Out::Any(any) => read_any(any),
        Out::YMap(map) => Value::Map(
            map.iter(txn).map(|(key, value)| (key.to_owned(), read_value(&value, txn, depth + 1))).collect(),
        ),
        Out::YArray(array) => {
            Value::List(items(array, txn).iter().map(|item| read_value(item, txn, depth + 1)).collect())
        }
        Out::YText(text) => Value::Text(read_text(text, txn)),
        Out::UndefinedRef(_) | Out::YDoc(_) => Value::Undefined,
        foreign => Value::Opaque(read_xml(foreign, txn)),
    }
}

fn read_any(any: &Any) -> Value {
    match any {
        Any::Null => Value::Null,
        Any::Undefined => Value::Undefined,
        Any::Bool(value) => Value::Bool(*value),
        Any::Number(Number::Float(number)) => Value::Number(*number),
        Any::Number(Number::Int(number)) if is_safe(*number) => Value::Number(*number as f64),
        Any::Number(Number::Int(number)) => Value::BigInt(*number),
        Any::String(text) => Value::String(text.to_string()),
        Any::Buffer(bytes) => Value::Bytes(bytes.to_vec()),
        Any::Array(items) => Value::List(items.iter().map(read_any).collect()),
        Any::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), read_any(value))).collect())
        }
    }
}

/// The items of a list. Somebody may have written into it as if it were a text, and yrs never comes back from reading
/// an item that is half of a character: a list with a character of two UTF-16 units is shown without items.
pub(super) fn items(array: &ArrayRef, txn: &TransactionMut) -> Vec<Out> {
    if is_readable(array, txn) { array.iter(txn).collect() } else { Vec::new() }
}

fn is_readable(array: &ArrayRef, txn: &TransactionMut) -> bool {
    let characters = TextRef::from(BranchPtr::from(array.as_ref())).get_string(txn);
    characters.chars().all(|character| character.len_utf16() == 1)
}

/// The characters of a text. Whatever else other clients embed in it counts as one character in every position,
/// so it is shown as one: U+FFFC, the object replacement character.
pub(super) fn read_text(text: &TextRef, txn: &TransactionMut) -> String {
    let plain = text.get_string(txn);
    if utf16_len(&plain) == text.len(txn) {
        return plain;
    }
    text.diff(txn, |_| ()).into_iter().map(|piece| inserted_text(&piece.insert)).collect()
}

pub(super) fn inserted_text(inserted: &Out) -> String {
    match inserted {
        Out::Any(Any::String(text)) => text.to_string(),
        _ => "\u{fffc}".to_owned(),
    }
}

/// Whether every entry has a value. Somebody may have written a format behind one, and yrs panics where it tells of the
/// change.
fn has_values(map: &MapRef, txn: &TransactionMut) -> bool {
    map.iter(txn).count() == map.len(txn) as usize
}

/// Registers the observer of one container.
pub(super) fn observe(shared: &Shared, id: &BranchID, out: &Out) {
    let (node, is_primitives) = {
        let nodes = shared.lock();
        let is_primitives = nodes.primitives.as_ref() == Some(id);
        let node = match nodes.handles.get(id) {
            Some(&node) => node,
            None if is_primitives => Node::ROOT,
            None => return,
        };
        (node, is_primitives)
    };
    let shared = shared.clone();
    match out {
        Out::YMap(map) => map.observe(OBSERVER, move |txn, event| {
            let mut nodes = shared.lock();
            if nodes.is_muted {
                return;
            }
            if nodes.has_formats && !has_values(event.target(), txn) {
                nodes.is_lost = true;
                return;
            }
            let mut keys: Vec<(&Arc<str>, &EntryChange)> = event.keys(txn).iter().collect();
            keys.sort_unstable_by_key(|(key, _)| *key);
            if is_primitives {
                for (key, _) in keys {
                    nodes.touched.push(Touched { name: key.to_string(), is_replaced: true });
                }
                return;
            }
            nodes.level = nodes.level_in(node);
            let mut change = PacketWriter::default();
            for (key, entry) in keys {
                match entry {
                    EntryChange::Inserted(value) | EntryChange::Updated(_, value) => {
                        change.map_set(node, key);
                        nodes.write_value(value, txn, &mut change);
                    }
                    EntryChange::Removed(_) => change.map_delete(node, key),
                }
            }
            nodes.record(node, change);
        }),
        Out::YArray(array) => array.observe(OBSERVER, move |txn, event| {
            let mut nodes = shared.lock();
            if nodes.is_muted {
                return;
            }
            if !nodes.shows_items(node) || !is_readable(event.target(), txn) {
                nodes.is_lost = true;
                return;
            }
            nodes.level = nodes.level_in(node);
            let mut change = PacketWriter::default();
            let mut index = 0;
            for step in event.delta(txn) {
                match step {
                    Change::Retain(count) => index += count,
                    Change::Removed(count) => change.list_splice(node, index, *count, 0),
                    Change::Added(values) => {
                        change.list_splice(node, index, 0, values.len());
                        for value in values {
                            nodes.write_value(value, txn, &mut change);
                        }
                        index += values.len() as u32;
                    }
                }
            }
            nodes.record(node, change);
        }),
        Out::YText(text) => text.observe(OBSERVER, move |txn, event| {
            let mut nodes = shared.lock();
            if nodes.is_muted || nodes.left_alone.contains(&node) {
                return;
            }
            nodes.walked.push(node);
            let mut change = PacketWriter::default();
            let mut index = 0;
            for step in event.delta(txn) {
                match step {
                    Delta::Retain(count, _) => index += count,
                    Delta::Deleted(count) => change.text_splice(node, index, *count, ""),
                    Delta::Inserted(value, _) => {
                        let inserted = inserted_text(value);
                        change.text_splice(node, index, 0, &inserted);
                        index += utf16_len(&inserted);
                    }
                }
            }
            nodes.record(node, change);
        }),
        Out::YXmlFragment(fragment) => {
            let target = out.clone();
            fragment.observe_deep(OBSERVER, move |txn, _| rewrite(&shared, node, &target, txn));
        }
        Out::YXmlElement(element) => {
            let target = out.clone();
            element.observe_deep(OBSERVER, move |txn, _| rewrite(&shared, node, &target, txn));
        }
        Out::YXmlText(text) => {
            let target = out.clone();
            text.observe_deep(OBSERVER, move |txn, _| rewrite(&shared, node, &target, txn));
        }
        _ => {}
    }
}

/// What Hither cannot edit is small and rare: it is shown anew as a whole.
fn rewrite(shared: &Shared, node: Node, target: &Out, txn: &TransactionMut) {
    let mut nodes = shared.lock();
    if nodes.is_muted {
        return;
    }
    let mut change = PacketWriter::default();
    change.opaque_set(node, &read_xml(target, txn));
    nodes.record(node, change);
}

/// A handle's branch in a transaction.
fn branch_out(id: &BranchID, txn: &TransactionMut) -> Option<Out> {
    let branch = id.get_branch(txn)?;
    if branch.is_deleted() {
        return None;
    }
    Some(match branch.type_ref() {
        TypeRef::Map => Out::YMap(MapRef::from(branch)),
        TypeRef::Array => Out::YArray(ArrayRef::from(branch)),
        TypeRef::Text => Out::YText(TextRef::from(branch)),
        TypeRef::XmlFragment => Out::YXmlFragment(branch.into()),
        TypeRef::XmlElement(_) => Out::YXmlElement(branch.into()),
        TypeRef::XmlText => Out::YXmlText(branch.into()),
        _ => Out::UndefinedRef(branch),
    })
}
