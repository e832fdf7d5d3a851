//! What a change does, said by path. A draft collects operations; the room applies them as one transaction when the
//! closure ends well, and none of them otherwise.
//!
//! ```no_run
//! # async fn example(room: hither_client::Room) -> Result<(), hither_client::ChangeError> {
//! use hither_client::Value;
//! room.change(|draft| {
//!     draft.set("title", "Plans")?;
//!     draft.push("cards", Value::from_json(&serde_json::json!({ "name": "write", "done": false })))?;
//!     draft.set("cards/0/done", true)?;
//!     draft.splice_text("note", 0, 0, "Dear all,\n")
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! Paths name places as they are after the draft's own earlier steps. A container that the draft itself has just put
//! in cannot be addressed in the same draft: what it shall hold belongs into the value that was put.

use crate::Closed;
use crate::path::{IntoPath, OwnStep, Path, borrowed, list_index};
use hither_core::edit::{Node, Op};
use hither_core::value::{Shape, Value};
use hither_core::{Client as Core, RoomId};
use std::collections::{BTreeMap, BTreeSet};

/// A change that is being made.
pub struct Draft<'a> {
    core: &'a mut Core,
    room: RoomId,
    ops: Vec<Op>,
    touched: BTreeMap<Node, Touched>,
}

/// What the draft has done to a container.
enum Touched {
    /// These entries are not what the document says.
    Map(BTreeSet<String>),
    List(Vec<Slots>),
    /// The length in UTF-16 units.
    Text(u32),
}

/// A run of items of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slots {
    /// Items of the document, from this index on.
    Old { start: u32, len: u32 },
    /// Items that the draft has put there.
    New { len: u32 },
}

/// Why a change was not made. Nothing happened to the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The path leads nowhere, or to something that holds nothing.
    #[error("there is no container at {path}")]
    NoContainer {
        /// The path.
        path: String,
    },
    /// The path leads to a container of another kind.
    #[error("{path} is a {is}, not a {wanted}")]
    WrongKind {
        /// The path.
        path: String,
        /// What is there.
        is: &'static str,
        /// What the step needs.
        wanted: &'static str,
    },
    /// A list was asked for something that is no place in it.
    #[error("{segment:?} is no place in the list {path} of {length}")]
    NoPlace {
        /// The list.
        path: String,
        /// What was asked for.
        segment: String,
        /// Its length.
        length: u32,
    },
    /// The draft has put this there itself.
    #[error("{path} was put there by this same change: say what it holds in the value")]
    JustPut {
        /// The path.
        path: String,
    },
    /// The core refuses.
    #[error(transparent)]
    Refused(#[from] hither_core::ChangeError),
    /// The application's own reason, from inside the closure.
    #[error("{0}")]
    Other(String),
    /// The room is gone.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl<'a> Draft<'a> {
    pub(crate) fn new(core: &'a mut Core, room: RoomId) -> Self {
        Self { core, room, ops: Vec::new(), touched: BTreeMap::new() }
    }

    pub(crate) fn into_ops(self) -> Vec<Op> {
        self.ops
    }

    /// The handle of the container at a path.
    pub(crate) fn node(&mut self, path: &Path) -> Option<Node> {
        self.container(path).ok().map(|(node, _)| node)
    }

    // ---- asks

    /// The value at a path, as it was before this change.
    pub fn before(&mut self, path: impl IntoPath) -> Option<Value> {
        value_at(self.core, self.room, &path.into_path())
    }

    /// How much the container at a path holds now: items of a list, UTF-16 units of a text.
    pub fn len(&mut self, path: impl IntoPath) -> Result<u32, ChangeError> {
        let path = path.into_path();
        let (node, shape) = self.container(&path)?;
        match shape {
            Shape::List => Ok(self.list_len(node)),
            Shape::Text => Ok(*self.text_len(node)),
            Shape::Map => Err(wrong_kind(&path, Shape::Map, "list or text")),
        }
    }

    // ---- maps and lists

    /// Puts a value at a path: under a name of a map, or in the place of a list's item. Containers inside the value
    /// become shared.
    pub fn set(&mut self, path: impl IntoPath, value: impl Into<Value>) -> Result<(), ChangeError> {
        self.replace(&path.into_path(), Some(value.into()))
    }

    /// Takes away what is at a path: an entry of a map (nothing happens if there is none) or an item of a list.
    pub fn remove(&mut self, path: impl IntoPath) -> Result<(), ChangeError> {
        self.replace(&path.into_path(), None)
    }

    fn replace(&mut self, path: &Path, value: Option<Value>) -> Result<(), ChangeError> {
        let Some((parent, last)) = path.split_last() else {
            return Err(wrong_kind(path, Shape::Map, "place in a container"));
        };
        let (node, shape) = self.container(&parent)?;
        match shape {
            Shape::Map => {
                self.names(node).insert(last.to_owned());
                let key = last.to_owned();
                self.ops.push(match value {
                    Some(value) => Op::MapSet { node, key, value },
                    None => Op::MapDelete { node, key },
                });
                Ok(())
            }
            Shape::List => {
                let index = self.place(node, &parent, last)?;
                self.splice_list(node, &parent, index, 1, value.into_iter().collect())
            }
            Shape::Text => Err(wrong_kind(&parent, shape, "map or list")),
        }
    }

    /// Puts a value at the end of the list at a path.
    pub fn push(&mut self, path: impl IntoPath, value: impl Into<Value>) -> Result<(), ChangeError> {
        let path = path.into_path();
        let node = self.container_of(&path, Shape::List)?;
        let end = self.list_len(node);
        self.splice_list(node, &path, end, 0, vec![value.into()])
    }

    /// Deletes `deleted` items at `index` of the list at a path, then inserts `values` there.
    pub fn splice(
        &mut self,
        path: impl IntoPath,
        index: u32,
        deleted: u32,
        values: Vec<Value>,
    ) -> Result<(), ChangeError> {
        let path = path.into_path();
        let node = self.container_of(&path, Shape::List)?;
        self.splice_list(node, &path, index, deleted, values)
    }

    // ---- texts

    /// Deletes `deleted` UTF-16 units at `index` of the text at a path, then inserts `text` there.
    pub fn splice_text(
        &mut self,
        path: impl IntoPath,
        index: u32,
        deleted: u32,
        text: &str,
    ) -> Result<(), ChangeError> {
        let path = path.into_path();
        let node = self.container_of(&path, Shape::Text)?;
        let inserted = u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX);
        let length = self.text_len(node);
        if index.checked_add(deleted).is_none_or(|end| end > *length) {
            return Err(no_place(&path, format!("{index}+{deleted}"), *length));
        }
        *length = (*length - deleted).saturating_add(inserted);
        self.ops.push(Op::TextSplice { node, index, deleted, text: text.to_owned() });
        Ok(())
    }

    /// Appends to the text at a path.
    pub fn append(&mut self, path: impl IntoPath, text: &str) -> Result<(), ChangeError> {
        let path = path.into_path();
        let node = self.container_of(&path, Shape::Text)?;
        let end = *self.text_len(node);
        self.splice_text(&path, end, 0, text)
    }

    // ---- finding

    fn container_of(&mut self, path: &Path, wanted: Shape) -> Result<Node, ChangeError> {
        let (node, shape) = self.container(path)?;
        if shape == wanted { Ok(node) } else { Err(wrong_kind(path, shape, name(wanted))) }
    }

    /// The container at a path, by the draft's own view: list items that moved are looked up where they were.
    fn container(&mut self, path: &Path) -> Result<(Node, Shape), ChangeError> {
        let mut steps: Vec<OwnStep> = Vec::new();
        let (mut node, mut shape) = (Node::ROOT, Shape::Map);
        let mut walked = Path::default();
        for segment in path.segments() {
            let step = match (shape, self.touched.get(&node)) {
                (Shape::Map, Some(Touched::Map(names))) if names.contains(segment) => {
                    walked.push(segment);
                    return Err(ChangeError::JustPut { path: walked.to_string() });
                }
                (Shape::Map, _) => OwnStep::Key(segment.clone()),
                (Shape::List, _) => {
                    let index = self.place(node, &walked, segment)?;
                    match self.origin(node, index) {
                        Some(origin) => OwnStep::Index(origin as usize),
                        None => {
                            walked.push(segment);
                            return Err(ChangeError::JustPut { path: walked.to_string() });
                        }
                    }
                }
                (Shape::Text, _) => return Err(ChangeError::NoContainer { path: path.to_string() }),
            };
            steps.push(step);
            walked.push(segment);
            let none = || ChangeError::NoContainer { path: path.to_string() };
            node = self.core.node(self.room, &borrowed(&steps)).ok_or_else(none)?;
            shape = self.core.measure(self.room, node).ok_or_else(none)?.0;
        }
        Ok((node, shape))
    }

    /// A segment as the place of an item that is in the list.
    fn place(&mut self, node: Node, list: &Path, segment: &str) -> Result<u32, ChangeError> {
        let length = self.list_len(node);
        list_index(segment)
            .filter(|&index| index < length)
            .ok_or_else(|| no_place(list, segment.to_owned(), length))
    }

    /// Where an item was before the draft; `None` for one that the draft has put there.
    fn origin(&mut self, node: Node, mut index: u32) -> Option<u32> {
        for slots in self.slots(node) {
            match slots {
                Slots::Old { start, len } if index < *len => return Some(*start + index),
                Slots::New { len } if index < *len => return None,
                Slots::Old { len, .. } | Slots::New { len } => index -= *len,
            }
        }
        None
    }

    fn splice_list(
        &mut self,
        node: Node,
        path: &Path,
        index: u32,
        deleted: u32,
        values: Vec<Value>,
    ) -> Result<(), ChangeError> {
        let slots = self.slots(node);
        let length: u32 = slots.iter().map(|slots| slots.len()).sum();
        let Some(end) = index.checked_add(deleted).filter(|&end| end <= length) else {
            return Err(no_place(path, format!("{index}+{deleted}"), length));
        };
        let mut after = cut(slots, 0, index);
        after.push(Slots::New { len: values.len() as u32 });
        after.extend(cut(slots, end, length));
        *slots = after;
        self.ops.push(Op::ListSplice { node, index, deleted, values });
        Ok(())
    }

    fn names(&mut self, node: Node) -> &mut BTreeSet<String> {
        let touched = self.touched.entry(node).or_insert_with(|| Touched::Map(BTreeSet::new()));
        match touched {
            Touched::Map(names) => names,
            _ => unreachable!("a container keeps its kind within a draft"),
        }
    }

    fn slots(&mut self, node: Node) -> &mut Vec<Slots> {
        let touched = self.touched.entry(node).or_insert_with(|| {
            let len = self.core.measure(self.room, node).map_or(0, |(_, len)| len);
            Touched::List(vec![Slots::Old { start: 0, len }])
        });
        match touched {
            Touched::List(slots) => slots,
            _ => unreachable!("a container keeps its kind within a draft"),
        }
    }

    fn list_len(&mut self, node: Node) -> u32 {
        self.slots(node).iter().map(Slots::len).sum()
    }

    fn text_len(&mut self, node: Node) -> &mut u32 {
        let touched = self
            .touched
            .entry(node)
            .or_insert_with(|| Touched::Text(self.core.measure(self.room, node).map_or(0, |(_, len)| len)));
        match touched {
            Touched::Text(len) => len,
            _ => unreachable!("a container keeps its kind within a draft"),
        }
    }
}

impl Slots {
    fn len(&self) -> u32 {
        match self {
            Slots::Old { len, .. } | Slots::New { len } => *len,
        }
    }
}

/// The part of a row of runs between two positions.
fn cut(slots: &[Slots], from: u32, to: u32) -> Vec<Slots> {
    let mut at = 0;
    let mut part = Vec::new();
    for run in slots {
        let (start, end) = (from.max(at), to.min(at + run.len()));
        if start < end {
            let len = end - start;
            part.push(match run {
                Slots::Old { start: first, .. } => Slots::Old { start: first + (start - at), len },
                Slots::New { .. } => Slots::New { len },
            });
        }
        at += run.len();
    }
    part
}

/// The value at a path of the document.
pub(crate) fn value_at(core: &mut Core, room: RoomId, path: &Path) -> Option<Value> {
    let mut steps: Vec<OwnStep> = Vec::new();
    for segment in path.segments() {
        let holder = core.node(room, &borrowed(&steps))?;
        steps.push(match core.measure(room, holder)?.0 {
            Shape::Map => OwnStep::Key(segment.clone()),
            Shape::List => OwnStep::Index(list_index(segment)? as usize),
            Shape::Text => return None,
        });
    }
    core.value(room, &borrowed(&steps))
}

fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Map => "map",
        Shape::List => "list",
        Shape::Text => "text",
    }
}

fn wrong_kind(path: &Path, is: Shape, wanted: &'static str) -> ChangeError {
    ChangeError::WrongKind { path: path.to_string(), is: name(is), wanted }
}

fn no_place(path: &Path, segment: String, length: u32) -> ChangeError {
    ChangeError::NoPlace { path: path.to_string(), segment, length }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hither_core::storage::Stored;
    use hither_core::time::Millis;
    use hither_core::{Config, OpenOptions};
    use serde_json::json;

    fn room(initial: serde_json::Value) -> (Core, RoomId) {
        let mut core = Core::new(Config { seed: 1, connect: false, ..Config::default() });
        let options = OpenOptions { initial: Some(Value::from_json(&initial)), token: Vec::new() };
        let room = core.open(Millis(0), "a", options).unwrap();
        core.handle_loaded(Millis(0), room, Ok(Stored::default()));
        core.handle_timeout(Millis(10_000));
        (core, room)
    }

    fn change(
        core: &mut Core,
        room: RoomId,
        recipe: impl FnOnce(&mut Draft<'_>) -> Result<(), ChangeError>,
    ) -> Result<serde_json::Value, ChangeError> {
        let mut draft = Draft::new(core, room);
        recipe(&mut draft)?;
        let ops = draft.into_ops();
        core.change(Millis(20_000), room, &ops)?;
        Ok(core.state(room).unwrap().to_json())
    }

    #[test]
    fn paths_follow_the_drafts_own_steps() {
        let (mut core, room) = room(json!({ "cards": [{ "n": "a" }, { "n": "b" }] }));
        let state = change(&mut core, room, |draft| {
            draft.splice("cards", 0, 0, vec![Value::from_json(&json!({ "n": "new" }))])?;
            draft.set("cards/1/n", "A")?; // was 0
            draft.set("cards/2/n", "B")?;
            draft.remove("cards/1")?;
            draft.set("cards/1/done", true)?;
            assert_eq!(draft.len("cards"), Ok(2));
            draft.push("cards", "last")
        });
        assert_eq!(state.unwrap(), json!({ "cards": [{ "n": "new" }, { "n": "B", "done": true }, "last"] }));
    }

    #[test]
    fn a_text_is_spliced_and_appended_to() {
        let (mut core, room) = room(json!({}));
        change(&mut core, room, |draft| draft.set("note", Value::Text("😀a".into()))).unwrap();
        let state = change(&mut core, room, |draft| {
            draft.append("note", "b")?;
            draft.splice_text("note", 2, 1, "é")?;
            assert_eq!(draft.len("note"), Ok(4));
            assert!(matches!(draft.splice_text("note", 4, 1, ""), Err(ChangeError::NoPlace { .. })));
            draft.append("note", "!")
        });
        assert_eq!(state.unwrap(), json!({ "note": "😀éb!" }));
    }

    #[test]
    fn what_cannot_be_is_refused_in_words_and_nothing_happens() {
        let (mut core, room) = room(json!({ "list": [1], "map": { "0": { "x": 1 } } }));
        let before = core.state(room).unwrap();
        let mut refused = |path: &str, words: &str| {
            let error = change(&mut core, room, |draft| {
                draft.set("list/0", 9.0)?;
                draft.set(path, 1.0)
            });
            assert_eq!(error.unwrap_err().to_string(), words);
            assert_eq!(core.state(room).unwrap(), before);
        };
        refused("nowhere/x", "there is no container at /nowhere");
        refused("map/0/x/y", "there is no container at /map/0/x");
        refused("list/1", "\"1\" is no place in the list /list of 1");
        refused("list/x", "\"x\" is no place in the list /list of 1");
        refused("list/0/x", "/list/0 was put there by this same change: say what it holds in the value");
        refused("", "/ is a map, not a place in a container");
        let kind = change(&mut core, room, |draft| draft.push("map", 1.0)).unwrap_err();
        assert_eq!(kind.to_string(), "/map is a map, not a list");
    }

    #[test]
    fn values_are_read_by_path() {
        let (mut core, room) = room(json!({ "list": [1, [2, 3]], "map": { "0": { "x": true } }, "n": 5 }));
        let mut at = |path: &str| value_at(&mut core, room, &path.into_path()).map(|value| value.to_json());
        assert_eq!(at("list/1/0"), Some(json!(2)));
        assert_eq!(at("map/0/x"), Some(json!(true)));
        assert_eq!(at("n"), Some(json!(5)));
        assert_eq!(at("list/7"), None);
        assert_eq!(at("nothing/x"), None);
        assert_eq!(at(""), Some(json!({ "list": [1, [2, 3]], "map": { "0": { "x": true } }, "n": 5 })));
    }
}
