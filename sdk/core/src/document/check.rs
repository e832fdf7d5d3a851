//! Whether operations fit the document: asked before anything is changed, so that a change happens whole or not at all.

use super::roots::{PRIMITIVES, Root, shape_name};
use super::{Document, shape_of};
use crate::edit::{Node, Op};
use crate::packet::{MAX_DEPTH, utf16_len};
use crate::sorted::Sorted;
use crate::value::{Shape, Value};
use yrs::{Array, Out, Text};

/// Why operations cannot be applied. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The handle names nothing in this document.
    #[error("node {0} does not exist")]
    NoSuchNode(u32),
    /// The operation does not fit the container.
    #[error("node {node} is a {is}, not a {wanted}")]
    WrongKind {
        /// The container.
        node: u32,
        /// What it is.
        is: &'static str,
        /// What the operation needs.
        wanted: &'static str,
    },
    /// Positions outside of the container.
    #[error("{deleted} from {index} is out of range in node {node} of length {length}")]
    OutOfRange {
        /// The container.
        node: u32,
        /// First position.
        index: u32,
        /// How many are to be deleted.
        deleted: u32,
        /// How many there are.
        length: u32,
    },
    /// The name is taken by a container of another kind.
    #[error("\"{name}\" is a {is} at the top level of this room and cannot become a {wanted}")]
    RootKind {
        /// The name.
        name: String,
        /// What it is.
        is: &'static str,
        /// What it was to become.
        wanted: &'static str,
    },
    /// Containers nested past [`MAX_DEPTH`].
    #[error("values nest {depth} levels, at most {MAX_DEPTH} are allowed")]
    TooDeep {
        /// Levels.
        depth: usize,
    },
    /// The empty name at the top level, which is that of the map of primitives.
    #[error("a name at the top level is not empty")]
    Nameless,
    /// A value that only other clients can write.
    #[error("a value of this kind cannot be written")]
    NotWritable,
    /// The document is in use; a bug.
    #[error("the document is busy")]
    Busy,
}

impl Document {
    /// Checks operations against the document as it will be when their turn comes.
    pub(super) fn check(&self, ops: &[Op]) -> Result<(), EditError> {
        let txn = self.reading().ok_or(EditError::Busy)?;
        let nodes = self.nodes.lock();
        let mut lengths: Sorted<Node, u32> = Sorted::default();
        for op in ops {
            let (node, wanted) = match op {
                Op::MapSet { node, value, .. } => {
                    check_writable(value)?;
                    (*node, "map")
                }
                Op::MapDelete { node, .. } => (*node, "map"),
                Op::ListSplice { node, values, .. } => {
                    values.iter().try_for_each(check_writable)?;
                    (*node, "list")
                }
                Op::TextSplice { node, .. } => (*node, "text"),
            };
            let depth = nodes.level_in(node) + op.depth();
            if depth > MAX_DEPTH {
                return Err(EditError::TooDeep { depth });
            }
            if node == Node::ROOT {
                match op {
                    Op::MapSet { key, .. } | Op::MapDelete { key, .. } if key == PRIMITIVES => {
                        return Err(EditError::Nameless);
                    }
                    Op::MapSet { key, value, .. } => check_root(nodes.root(key), key, value)?,
                    Op::MapDelete { .. } => {}
                    _ => return Err(EditError::WrongKind { node: 0, is: "map", wanted }),
                }
                continue;
            }
            let Some(out) = nodes.resolve(node, &txn) else {
                if nodes.was_known(node) {
                    continue; // deleted by somebody: the edit goes where it went
                }
                return Err(EditError::NoSuchNode(node.0));
            };
            let (is, length) = match &out {
                Out::YMap(_) => ("map", 0),
                Out::YArray(array) => ("list", if nodes.shows_items(node) { array.len(&txn) } else { 0 }),
                Out::YText(text) => ("text", text.len(&txn)),
                _ => ("opaque value", 0),
            };
            if is != wanted {
                return Err(EditError::WrongKind { node: node.0, is, wanted });
            }
            let (index, deleted, inserted) = match op {
                Op::ListSplice { index, deleted, values, .. } => (*index, *deleted, values.len() as u32),
                Op::TextSplice { index, deleted, text, .. } => (*index, *deleted, utf16_len(text)),
                Op::MapSet { .. } | Op::MapDelete { .. } => continue,
            };
            let length = lengths.get(node).copied().unwrap_or(length);
            lengths.insert(node, spliced(node, length, index, deleted, inserted)?);
        }
        Ok(())
    }
}

fn check_root(root: Option<Root>, name: &str, value: &Value) -> Result<(), EditError> {
    let wanted = shape_of(value);
    let clash = |is: Shape, wanted: &'static str| {
        Err(EditError::RootKind { name: name.to_owned(), is: shape_name(is), wanted })
    };
    match (root, wanted) {
        (Some(root), Some(wanted)) if root.shape != wanted => clash(root.shape, shape_name(wanted)),
        (Some(root), None) if root.is_declared => clash(root.shape, "primitive"),
        _ => Ok(()),
    }
}

/// The length of a container after a splice.
pub(super) fn spliced(
    node: Node,
    length: u32,
    index: u32,
    deleted: u32,
    inserted: u32,
) -> Result<u32, EditError> {
    if index.checked_add(deleted).is_none_or(|end| end > length) {
        return Err(EditError::OutOfRange { node: node.0, index, deleted, length });
    }
    Ok(length - deleted + inserted)
}

fn check_writable(value: &Value) -> Result<(), EditError> {
    match value {
        // yrs writes an integer that a float can hold as a float: it would come back as another type.
        Value::Opaque(_) | Value::BigInt(_) => Err(EditError::NotWritable),
        Value::List(items) => items.iter().try_for_each(check_writable),
        Value::Map(entries) => entries.values().try_for_each(check_writable),
        _ => Ok(()),
    }
}
