//! What people do: edits of a document as applications make them, on whatever the document holds right now.

use fastrand::Rng;
use hither_core::{
    edit::{Node, Op, Step},
    value::Value,
};
use std::collections::BTreeMap;
use yrs::{Doc, Map, OffsetKind, Options, Text, Transact, block::ClientID};

/// Who writes.
pub(crate) struct Author<'a> {
    pub(crate) rng: &'a mut Rng,
    /// Whether it writes texts longer than a fragment of a frame now and then.
    pub(crate) has_long_texts: bool,
}

impl std::ops::Deref for Author<'_> {
    type Target = Rng;
    fn deref(&self) -> &Rng {
        self.rng
    }
}

impl std::ops::DerefMut for Author<'_> {
    fn deref_mut(&mut self) -> &mut Rng {
        self.rng
    }
}

/// The root that holds initial content and that nobody edits.
pub(crate) const SEEDED: &str = "seeded";

/// What a room is opened with, if it is one of those.
pub(crate) fn initial(room: &str) -> Value {
    let welcome = Value::Map([("text".to_owned(), Value::Text(format!("welcome to {room}")))].into());
    Value::Map(
        [
            (SEEDED.to_owned(), Value::List(vec![welcome, Value::from("second")])),
            ("tasks".to_owned(), Value::List(Vec::new())),
            ("note".to_owned(), Value::Text("a note 😀".to_owned())),
            ("title".to_owned(), Value::from("untitled")),
        ]
        .into(),
    )
}

#[derive(Debug, Clone)]
enum Place {
    Key(String),
    Index(usize),
}

/// A container and the way to it.
struct Found<'a> {
    path: Vec<Place>,
    value: &'a Value,
}

/// An edit of `state`; `node` finds the handle of a container.
pub(crate) fn edit(
    rng: &mut Author<'_>,
    state: &Value,
    mut node: impl FnMut(&[Step<'_>]) -> Option<Node>,
) -> Vec<Op> {
    let mut found = Vec::new();
    if let Value::Map(entries) = state {
        for (name, value) in entries.iter().filter(|(name, _)| *name != SEEDED) {
            collect(value, vec![Place::Key(name.clone())], &mut found);
        }
    }
    if found.is_empty() || rng.u8(0..8) == 0 {
        return vec![edit_root(rng, state)];
    }
    // More than one operation only where none can take another one's container away.
    let count = if rng.u8(0..4) == 0 { rng.usize(2..=4) } else { 1 };
    let mut ops = Vec::new();
    let mut used = Vec::new();
    for _ in 0..count {
        let index = rng.usize(0..found.len());
        if used.contains(&index) {
            continue;
        }
        used.push(index);
        let Found { path, value } = &found[index];
        let steps: Vec<Step<'_>> = path
            .iter()
            .map(|place| match place {
                Place::Key(key) => Step::Key(key),
                Place::Index(index) => Step::Index(*index),
            })
            .collect();
        let Some(node) = node(&steps) else { continue };
        ops.push(edit_container(rng, node, value, path.len(), count > 1));
    }
    ops
}

fn collect<'a>(value: &'a Value, path: Vec<Place>, found: &mut Vec<Found<'a>>) {
    match value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate().filter(|(_, item)| item.is_container()) {
                let mut path = path.clone();
                path.push(Place::Index(index));
                collect(item, path, found);
            }
        }
        Value::Map(entries) => {
            for (key, entry) in entries.iter().filter(|(_, entry)| entry.is_container()) {
                let mut path = path.clone();
                path.push(Place::Key(key.clone()));
                collect(entry, path, found);
            }
        }
        Value::Text(_) => {}
        _ => return,
    }
    // The handle of what lies in something foreign cannot be had; nothing foreign is written here.
    found.push(Found { path, value });
}

fn edit_root(rng: &mut Author<'_>, state: &Value) -> Op {
    let (key, value) = match rng.u8(0..10) {
        0 | 1 => ("title", Value::String(words(rng))),
        2 => ("count", Value::Number(f64::from(rng.i32(-5..100)))),
        3 | 4 => ("tasks", Value::List(vec![task(rng)])),
        5 | 6 => ("note", Value::Text(words(rng))),
        7 => ("board", Value::Map([("columns".to_owned(), Value::List(vec![]))].into())),
        8 => ("done", Value::Bool(rng.bool())),
        _ => ("log", Value::List(vec![plain(rng)])),
    };
    let exists = matches!(state, Value::Map(entries) if entries.contains_key(key));
    if exists && rng.u8(0..3) == 0 {
        return Op::MapDelete { node: Node::ROOT, key: key.to_owned() };
    }
    Op::MapSet { node: Node::ROOT, key: key.to_owned(), value }
}

fn edit_container(rng: &mut Author<'_>, node: Node, value: &Value, depth: usize, only_adds: bool) -> Op {
    match value {
        Value::Text(text) => {
            let ends: Vec<u32> = std::iter::once(0)
                .chain(text.chars().scan(0, |at, c| {
                    *at += c.len_utf16() as u32;
                    Some(*at)
                }))
                .collect();
            // People mostly type where they just typed.
            let from = if rng.bool() { ends.len() - 1 } else { rng.usize(0..ends.len()) };
            let to = if rng.u8(0..3) == 0 { rng.usize(from..ends.len()) } else { from };
            let text = if from < to && rng.bool() { String::new() } else { words(rng) };
            Op::TextSplice { node, index: ends[from], deleted: ends[to] - ends[from], text }
        }
        Value::List(items) => {
            let from = if rng.bool() { items.len() } else { rng.usize(0..=items.len()) };
            let most = if only_adds { 0 } else { (items.len() - from).min(3) };
            let deleted = if rng.u8(0..3) == 0 { rng.usize(0..=most) } else { 0 };
            let count = if deleted > 0 && rng.bool() { 0 } else { rng.usize(1..=2) };
            let values = (0..count).map(|_| any(rng, depth)).collect();
            Op::ListSplice { node, index: from as u32, deleted: deleted as u32, values }
        }
        Value::Map(entries) => {
            let key = format!("k{}", rng.u8(0..5));
            match entries.get(&key) {
                Some(_) if !only_adds && rng.u8(0..3) == 0 => Op::MapDelete { node, key },
                Some(value) if only_adds && value.is_container() => {
                    Op::MapSet { node, key: format!("n{}", rng.u16(..)), value: plain(rng) }
                }
                _ => Op::MapSet { node, key, value: any(rng, depth) },
            }
        }
        _ => Op::MapSet { node: Node::ROOT, key: "title".to_owned(), value: plain(rng) },
    }
}

fn any(rng: &mut Author<'_>, depth: usize) -> Value {
    match rng.u8(0..6) {
        0 if depth < 4 => task(rng),
        1 if depth < 4 => Value::List((0..rng.usize(0..3)).map(|_| plain(rng)).collect()),
        2 => Value::Text(words(rng)),
        _ => plain(rng),
    }
}

fn task(rng: &mut Author<'_>) -> Value {
    let entries: BTreeMap<String, Value> = [
        ("title".to_owned(), Value::String(words(rng))),
        ("text".to_owned(), Value::Text(words(rng))),
        ("k1".to_owned(), plain(rng)),
    ]
    .into();
    Value::Map(entries)
}

fn plain(rng: &mut Author<'_>) -> Value {
    match rng.u8(0..7) {
        0 => Value::Null,
        1 => Value::Bool(rng.bool()),
        2 => Value::Number(f64::from(rng.i32(-1_000..1_000))),
        3 => Value::Number(rng.f64() * 1e6),
        4 => Value::Bytes((0..rng.usize(0..5)).map(|_| rng.u8(..)).collect()),
        _ => Value::String(words(rng)),
    }
}

fn words(rng: &mut Author<'_>) -> String {
    const WORDS: [&str; 12] =
        ["a", "be", "sea ", "Grüße ", "漢字", "😀", "👩‍👩‍👧", "e\u{301}", "\n", "x", "1", "🇦🇹 "];
    if rng.has_long_texts && rng.u16(0..300) == 0 {
        return "long ".repeat(rng.usize(14_000..30_000));
    }
    (0..rng.usize(1..=4)).map(|_| WORDS[rng.usize(0..WORDS.len())]).collect()
}

/// An update from a program that has never heard of Hither.
pub(crate) fn foreign(rng: &mut Author<'_>) -> Vec<u8> {
    let doc = Doc::with_options(Options {
        offset_kind: OffsetKind::Utf16,
        ..Options::with_client_id(ClientID::new(rng.u64(1..1 << 32)))
    });
    let (note, board) = (doc.get_or_insert_text("note"), doc.get_or_insert_map("board"));
    let mut txn = doc.transact_mut();
    note.insert(&mut txn, 0, &words(rng));
    if rng.bool() {
        board.insert(&mut txn, format!("k{}", rng.u8(0..5)), words(rng));
    }
    txn.encode_update_v1()
}
