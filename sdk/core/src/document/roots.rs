//! The named containers of a state: Yjs root types, and the root map of primitives beside them.

use crate::edit::Node;
use crate::value::Shape;
use hither_protocol::scan::RootShape;
use yrs::{Any, Array, GetString, Map, Out, ReadTxn, Text, TransactionMut};

/// The root map of primitives. No list or text can have this name.
pub(super) const PRIMITIVES: &str = "";

/// The key of the plain object that marks a root as assigned: `{"$root": "list"}`.
pub(super) const MARKER: &str = "$root";

/// A named container of the state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub(super) node: Node,
    pub(super) shape: Shape,
    /// Shown even when empty, because the application said so when it opened the room.
    pub(super) is_declared: bool,
}

pub(super) fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Map => "map",
        Shape::List => "list",
        Shape::Text => "text",
    }
}

pub(super) fn root_out(txn: &TransactionMut, name: &str, shape: Shape) -> Option<Out> {
    Some(match shape {
        Shape::Map => Out::YMap(txn.get_map(name)?),
        Shape::Text => Out::YText(txn.get_text(name)?),
        Shape::List => match txn.get(name)? {
            foreign @ Out::YXmlFragment(_) => foreign,
            _ => Out::YArray(txn.get_array(name)?),
        },
    })
}

pub(super) fn is_shown(txn: &TransactionMut, name: &str, root: &Root) -> bool {
    if root.is_declared || marker(txn, name).is_some() {
        return true;
    }
    match root_out(txn, name, root.shape) {
        Some(Out::YMap(map)) => map.keys(txn).next().is_some(),
        Some(Out::YArray(array)) => array.len(txn) > 0,
        Some(Out::YText(text)) => text.len(txn) > 0,
        Some(Out::YXmlFragment(fragment)) => yrs::XmlFragment::len(&fragment, txn) > 0,
        _ => false,
    }
}

/// The shape of a root that nobody declared: as it is marked, as an update showed it, or as it looks.
pub(super) fn seen_shape(txn: &TransactionMut, name: &str, hint: RootShape) -> Option<Shape> {
    if let Some(marked) = marker(txn, name) {
        return Some(marked);
    }
    match hint {
        RootShape::Map => Some(Shape::Map),
        // Values or XML: that shows once there is something again.
        RootShape::List => (txn.get_array(name)?.len(txn) > 0).then_some(Shape::List),
        RootShape::Text => Some(Shape::Text),
        // Whatever named it is deleted and forgotten. The three views look at the same branch.
        RootShape::Unknown if txn.get_map(name)?.keys(txn).next().is_some() => Some(Shape::Map),
        RootShape::Unknown if !txn.get_text(name)?.get_string(txn).is_empty() => Some(Shape::Text),
        RootShape::Unknown => (txn.get_array(name)?.len(txn) > 0).then_some(Shape::List),
    }
}

fn raw_primitive(txn: &TransactionMut, name: &str) -> Option<Any> {
    match txn.get_map(PRIMITIVES)?.get(txn, name)? {
        Out::Any(any) => Some(any),
        _ => None,
    }
}

pub(super) fn marker(txn: &TransactionMut, name: &str) -> Option<Shape> {
    let Any::Map(map) = raw_primitive(txn, name)? else { return None };
    let Any::String(shape) = map.get(MARKER)? else { return None };
    [Shape::Map, Shape::List, Shape::Text].into_iter().find(|&known| shape_name(known) == &**shape)
}

pub(super) fn primitive(txn: &TransactionMut, name: &str) -> Option<Any> {
    raw_primitive(txn, name).filter(|_| marker(txn, name).is_none())
}
