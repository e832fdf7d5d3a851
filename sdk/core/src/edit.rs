//! What an application does to a document: operations on shared containers that it names by handle.

use crate::value::Value;

/// A handle of one shared container of one open document. Handles are small, never used twice while the room is
/// open, and mean nothing to anybody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Node(pub u32);

impl Node {
    /// The state itself: a map whose containers are Yjs root types.
    pub const ROOT: Node = Node(0);
}

/// One step from a container to what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// An entry of a map.
    Key(&'a str),
    /// An item of a list.
    Index(usize),
}

/// One operation. Several of them make one transaction and apply one after another.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // fields: the container, where in it, and what
pub enum Op {
    /// Puts a value under a key; containers inside the value become shared.
    MapSet { node: Node, key: String, value: Value },
    /// Takes a key away.
    MapDelete { node: Node, key: String },
    /// Deletes `deleted` items at `index`, then inserts `values` there.
    ListSplice { node: Node, index: u32, deleted: u32, values: Vec<Value> },
    /// Deletes `deleted` UTF-16 units at `index`, then inserts `text` there.
    TextSplice { node: Node, index: u32, deleted: u32, text: String },
}

impl Op {
    /// An upper bound of the bytes that this takes as a Yjs update.
    pub(crate) fn size_bound(&self) -> usize {
        match self {
            Op::MapSet { key, value, .. } => 48 + key.len() + value.size_bound(),
            Op::MapDelete { .. } => 24,
            Op::ListSplice { deleted, values, .. } => {
                24 * (*deleted as usize).min(1024) + values.iter().map(Value::size_bound).sum::<usize>()
            }
            Op::TextSplice { text, .. } => 72 + text.len(),
        }
    }

    pub(crate) fn depth(&self) -> usize {
        match self {
            Op::MapSet { value, .. } => value.depth(),
            Op::ListSplice { values, .. } => values.iter().map(Value::depth).max().unwrap_or(0),
            Op::MapDelete { .. } | Op::TextSplice { .. } => 0,
        }
    }
}
