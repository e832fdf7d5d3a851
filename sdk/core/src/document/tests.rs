//! A reader that knows only patches must always show what the document holds, and documents that exchanged
//! everything must be equal. Histories are random and come from a seed that every failure prints.

mod kinds;
mod nesting;
mod typing;

use super::*;
use crate::packet::{PacketReader, utf16_len};
use fastrand::Rng;
use hither_protocol::scan::scan;

/// What a shell keeps: a tree with handles, patched.
#[derive(Clone, Debug, PartialEq)]
enum Shown {
    Plain(Value),
    List(u32, Vec<Shown>),
    Map(u32, BTreeMap<String, Shown>),
    Text(u32, String),
    Opaque(u32, String),
}

impl Shown {
    fn read(reader: &mut PacketReader<'_>) -> Shown {
        let tag = reader.byte().unwrap();
        match tag {
            9 => {
                let (node, count) = (reader.u32().unwrap(), reader.u32().unwrap());
                Shown::List(node, (0..count).map(|_| Shown::read(reader)).collect())
            }
            10 => {
                let (node, count) = (reader.u32().unwrap(), reader.u32().unwrap());
                Shown::Map(node, (0..count).map(|_| Shown::read_entry(reader)).collect())
            }
            11 => Shown::Text(reader.u32().unwrap(), reader.string().unwrap().to_owned()),
            12 => Shown::Opaque(reader.u32().unwrap(), reader.string().unwrap().to_owned()),
            0 => Shown::Plain(Value::Null),
            1 => Shown::Plain(Value::Undefined),
            2 => Shown::Plain(Value::Bool(false)),
            3 => Shown::Plain(Value::Bool(true)),
            4 => Shown::Plain(Value::Number(f64::from_le_bytes(reader.chunk().unwrap()))),
            5 => {
                let zigzag = reader.u32().unwrap();
                Shown::Plain(Value::Number(f64::from((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))))
            }
            6 => Shown::Plain(Value::BigInt(i64::from_le_bytes(reader.chunk().unwrap()))),
            7 => Shown::Plain(Value::String(reader.string().unwrap().to_owned())),
            8 => {
                let length = reader.u32().unwrap() as usize;
                Shown::Plain(Value::Bytes(reader.raw(length).unwrap().to_vec()))
            }
            other => panic!("unknown value {other}"),
        }
    }

    fn read_entry(reader: &mut PacketReader<'_>) -> (String, Shown) {
        (reader.string().unwrap().to_owned(), Shown::read(reader))
    }

    fn find(&mut self, node: u32) -> Option<&mut Shown> {
        let is_it = match self {
            Shown::List(own, _) | Shown::Map(own, _) | Shown::Text(own, _) | Shown::Opaque(own, _) => {
                *own == node
            }
            Shown::Plain(_) => false,
        };
        if is_it {
            return Some(self);
        }
        match self {
            Shown::List(_, items) => items.iter_mut().find_map(|item| item.find(node)),
            Shown::Map(_, entries) => entries.values_mut().find_map(|item| item.find(node)),
            _ => None,
        }
    }

    fn apply(&mut self, patch: &[u8]) {
        if patch.is_empty() {
            return;
        }
        let mut reader = PacketReader::new(patch).unwrap();
        while !reader.is_done() {
            let tag = reader.byte().unwrap();
            if tag == 5 {
                let count = reader.u32().unwrap();
                *self = Shown::Map(0, (0..count).map(|_| Shown::read_entry(&mut reader)).collect());
                continue;
            }
            let node = reader.u32().unwrap();
            let target = self.find(node).unwrap_or_else(|| panic!("op {tag} for unknown node {node}"));
            match (tag, target) {
                (1, Shown::Map(_, entries)) => {
                    let (key, value) = Shown::read_entry(&mut reader);
                    entries.insert(key, value);
                }
                (2, Shown::Map(_, entries)) => {
                    entries.remove(reader.string().unwrap());
                }
                (3, Shown::List(_, items)) => {
                    let (index, deleted) = (reader.u32().unwrap() as usize, reader.u32().unwrap() as usize);
                    let count = reader.u32().unwrap();
                    let values: Vec<Shown> = (0..count).map(|_| Shown::read(&mut reader)).collect();
                    items.splice(index..index + deleted, values);
                }
                (4, Shown::Text(_, text)) => {
                    let (index, deleted) = (reader.u32().unwrap() as usize, reader.u32().unwrap() as usize);
                    let mut units: Vec<u16> = text.encode_utf16().collect();
                    units.splice(index..index + deleted, reader.string().unwrap().encode_utf16());
                    *text = String::from_utf16(&units).unwrap();
                }
                (6, Shown::Opaque(_, text)) => *text = reader.string().unwrap().to_owned(),
                (tag, target) => panic!("op {tag} on {target:?}"),
            }
        }
    }

    fn splits_a_pair(&mut self, op: &Op) -> bool {
        let Op::TextSplice { node, index, deleted, .. } = op else { return false };
        let Some(Shown::Text(_, text)) = self.find(node.0) else { return false };
        let units: Vec<u16> = text.encode_utf16().collect();
        let ends = [*index as usize, (*index + *deleted) as usize];
        ends.iter().any(|&end| String::from_utf16(&units[..end]).is_err())
    }

    fn value(&self) -> Value {
        match self {
            Shown::Plain(value) => value.clone(),
            Shown::List(_, items) => Value::List(items.iter().map(Shown::value).collect()),
            Shown::Map(_, entries) => {
                Value::Map(entries.iter().map(|(key, value)| (key.clone(), value.value())).collect())
            }
            Shown::Text(_, text) => Value::Text(text.clone()),
            Shown::Opaque(_, text) => Value::Opaque(text.clone()),
        }
    }

    fn nodes(&self, found: &mut Vec<(u32, &'static str, u32, Vec<String>)>) {
        match self {
            Shown::List(node, items) => {
                found.push((*node, "list", items.len() as u32, Vec::new()));
                items.iter().for_each(|item| item.nodes(found));
            }
            Shown::Map(node, entries) => {
                found.push((*node, "map", 0, entries.keys().cloned().collect()));
                entries.values().for_each(|item| item.nodes(found));
            }
            Shown::Text(node, text) => found.push((*node, "text", utf16_len(text), Vec::new())),
            Shown::Plain(_) | Shown::Opaque(..) => {}
        }
    }
}

/// A document, its reader, and what it has sent.
struct Author {
    document: Document,
    shown: Shown,
    sent: Vec<Vec<u8>>,
    /// How many of everybody's updates it has read, by author.
    read: Vec<usize>,
}

impl Author {
    fn new(client_id: u64, declared: &[(String, Shape)], authors: usize) -> Author {
        let mut document = Document::new(client_id, declared);
        let mut shown = Shown::Map(0, BTreeMap::new());
        shown.apply(&document.reset_patch());
        Author { document, shown, sent: Vec::new(), read: vec![0; authors] }
    }

    fn does(&mut self, ops: &[Op]) -> Result<(), EditError> {
        let changed = self.document.apply(ops)?;
        self.shown.apply(&changed.patch);
        self.sent.extend(changed.update);
        self.check();
        Ok(())
    }

    fn reads(&mut self, updates: &[Vec<u8>]) {
        let scans: Vec<Scan> = updates.iter().map(|update| scan(update).unwrap()).collect();
        let updates: Vec<_> = updates.iter().map(Vec::as_slice).zip(&scans).collect();
        let (patch, errors) = self.document.integrate(&updates);
        assert_eq!(errors, []);
        self.shown.apply(&patch);
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.shown.value(), self.document.state());
    }

    fn text(&self) -> String {
        self.document.state().to_json().to_string()
    }
}

fn random_value(rng: &mut Rng, depth: usize) -> Value {
    match rng.u32(0..if depth > 2 { 7 } else { 10 }) {
        0 => Value::Null,
        1 => Value::Bool(rng.bool()),
        2 => Value::Number(f64::from(rng.i32(-5..5))),
        3 => Value::Number(rng.f64() * 1e9),
        4 => Value::String("żółw 🐢".chars().take(rng.usize(0..7)).collect()),
        5 => Value::Bytes(vec![rng.u8(..); rng.usize(0..3)]),
        6 => Value::Number(-0.0),
        7 => Value::List((0..rng.usize(0..4)).map(|_| random_value(rng, depth + 1)).collect()),
        8 => Value::Map(
            (0..rng.usize(0..3)).map(|_| (random_key(rng), random_value(rng, depth + 1))).collect(),
        ),
        _ => Value::Text("text 🦀!".chars().take(rng.usize(0..8)).collect()),
    }
}

fn random_key(rng: &mut Rng) -> String {
    ["a", "b", "c", "ü"][rng.usize(0..4)].to_owned()
}

fn random_op(rng: &mut Rng, author: &Author) -> Op {
    let mut nodes = Vec::new();
    author.shown.nodes(&mut nodes);
    let (node, kind, length, keys) = nodes[rng.usize(0..nodes.len())].clone();
    let node = Node(node);
    let index = rng.u32(0..=length);
    let deleted = rng.u32(0..=(length - index).min(3));
    match kind {
        "map" if node == Node::ROOT => {
            let key = ["list", "text", "map", "free", "loose", "mixed"][rng.usize(0..6)].to_owned();
            match (rng.u32(0..6), key.as_str()) {
                // What has no kind any more is of the kind that it was called first.
                (0, name) if name != "mixed" => Op::MapDelete { node, key },
                (_, "list") => Op::MapSet { node, key, value: Value::List(vec![random_value(rng, 1)]) },
                (_, "text") => Op::MapSet { node, key, value: Value::Text("anew".into()) },
                (_, "map") => Op::MapSet { node, key, value: Value::map() },
                (_, "free") => Op::MapSet { node, key, value: Value::Number(rng.f64()) },
                (_, "loose") => Op::MapSet { node, key, value: Value::List(Vec::new()) },
                _ => {
                    let value = if rng.bool() { Value::List(vec!["a".into()]) } else { Value::map() };
                    Op::MapSet { node, key, value }
                }
            }
        }
        "map" if !keys.is_empty() && rng.u32(0..4) == 0 => {
            Op::MapDelete { node, key: keys[rng.usize(0..keys.len())].clone() }
        }
        "map" => Op::MapSet { node, key: random_key(rng), value: random_value(rng, 0) },
        "list" => {
            let values = (0..rng.usize(0..3)).map(|_| random_value(rng, 0)).collect();
            Op::ListSplice { node, index, deleted, values }
        }
        _ => Op::TextSplice { node, index, deleted, text: "xyz".chars().take(rng.usize(0..4)).collect() },
    }
}

/// [P8]
#[test]
fn readers_of_patches_show_the_document_and_all_documents_converge() {
    for seed in 0..150 {
        let mut rng = Rng::with_seed(seed);
        let declared = [("list".to_owned(), Shape::List), ("text".to_owned(), Shape::Text)];
        let mut authors: Vec<Author> = (0..3).map(|index| Author::new(100 + index, &declared, 3)).collect();
        let mut edits = 0;
        for _ in 0..60 {
            let who = rng.usize(0..3);
            if rng.u32(0..3) > 0 {
                let op = random_op(&mut rng, &authors[who]);
                // Half of a surrogate pair is not something that a draft sends.
                let splits = authors[who].shown.clone().splits_a_pair(&op);
                if !splits && authors[who].does(std::slice::from_ref(&op)).is_ok() {
                    edits += 1;
                }
            } else {
                exchange(&mut authors, who, &mut rng);
            }
        }
        for _ in 0..2 {
            for who in 0..3 {
                for from in 0..3 {
                    let unread = authors[from].sent[authors[who].read[from]..].to_vec();
                    authors[who].read[from] += unread.len();
                    if from != who {
                        authors[who].reads(&unread);
                    }
                }
            }
        }
        assert!(edits > 5, "seed {seed} did nothing");
        assert_eq!(authors[0].text(), authors[1].text(), "seed {seed}");
        assert_eq!(authors[0].text(), authors[2].text(), "seed {seed}");
        // A reader that comes later, with nothing but the encoded document, sees the same.
        let mut late = Author::new(999, &declared, 3);
        late.reads(&[authors[0].document.encode()]);
        assert_eq!(late.text(), authors[0].text(), "seed {seed}");
    }
}

/// One author reads some of what another one wrote.
fn exchange(authors: &mut [Author], who: usize, rng: &mut Rng) {
    let from = (who + rng.usize(1..3)) % 3;
    let start = authors[who].read[from];
    let unread = &authors[from].sent[start..];
    let count = rng.usize(0..=unread.len());
    let unread = unread[..count].to_vec();
    authors[who].read[from] += count;
    authors[who].reads(&unread);
}

#[test]
fn an_undeclared_root_shows_while_it_has_content_and_an_assigned_one_always() {
    let none = [];
    let mut alice = Author::new(1, &none, 1);
    let mut bob = Author::new(2, &none, 1);
    let set = |key: &str, value| Op::MapSet { node: Node::ROOT, key: key.into(), value };
    alice.does(&[set("todos", Value::List(Vec::new())), set("n", Value::Number(1.0))]).unwrap();
    assert_eq!(alice.text(), r#"{"n":1,"todos":[]}"#);
    bob.reads(&alice.sent);
    assert_eq!(bob.text(), r#"{"n":1,"todos":[]}"#);
    let todos = bob.document.node(&[Step::Key("todos")]).unwrap();
    bob.does(&[Op::ListSplice { node: todos, index: 0, deleted: 0, values: vec!["a".into()] }]).unwrap();
    bob.does(&[Op::ListSplice { node: todos, index: 0, deleted: 1, values: vec![] }]).unwrap();
    assert_eq!(bob.text(), r#"{"n":1,"todos":[]}"#);
    bob.does(&[Op::MapDelete { node: Node::ROOT, key: "todos".into() }]).unwrap();
    assert_eq!(bob.text(), r#"{"n":1}"#);
    alice.reads(&bob.sent);
    assert_eq!(alice.text(), r#"{"n":1}"#);
}

#[test]
fn operations_that_do_not_fit_change_nothing() {
    let declared = [("list".to_owned(), Shape::List), ("text".to_owned(), Shape::Text)];
    let mut alice = Author::new(1, &declared, 1);
    let list = alice.document.node(&[Step::Key("list")]).unwrap();
    let text = alice.document.node(&[Step::Key("text")]).unwrap();
    let splice = |index, deleted| Op::ListSplice { node: list, index, deleted, values: vec!["x".into()] };
    let before = alice.text();
    let refused = [
        vec![splice(0, 0), splice(2, 0)],
        vec![splice(0, 1)],
        vec![splice(u32::MAX, 1)],
        vec![Op::TextSplice { node: list, index: 0, deleted: 0, text: "no".into() }],
        vec![Op::MapSet { node: text, key: "k".into(), value: Value::Null }],
        vec![Op::MapSet { node: Node::ROOT, key: "list".into(), value: Value::Null }],
        vec![Op::MapSet { node: Node::ROOT, key: "list".into(), value: Value::Text("t".into()) }],
        vec![Op::MapSet { node: Node::ROOT, key: "o".into(), value: Value::Opaque("xml".into()) }],
        vec![Op::MapSet { node: Node::ROOT, key: "o".into(), value: Value::BigInt(5) }],
        vec![Op::MapDelete { node: Node(77), key: "k".into() }],
    ];
    for ops in refused {
        assert!(alice.does(&ops).is_err(), "{ops:?}");
        assert_eq!(alice.text(), before);
    }
    assert!(alice.sent.is_empty());
    alice.does(&[splice(0, 0), splice(1, 1 - 1), splice(0, 2)]).unwrap();
    assert_eq!(alice.text(), r#"{"list":["x"],"text":""}"#);
}

#[test]
fn an_edit_of_something_that_somebody_deleted_goes_where_it_went() {
    let declared = [("list".to_owned(), Shape::List)];
    let mut alice = Author::new(1, &declared, 1);
    let list = alice.document.node(&[Step::Key("list")]).unwrap();
    let item = Value::Map(BTreeMap::from([("t".to_owned(), Value::Text("x".into()))]));
    alice.does(&[Op::ListSplice { node: list, index: 0, deleted: 0, values: vec![item] }]).unwrap();
    let text = alice.document.node(&[Step::Key("list"), Step::Index(0), Step::Key("t")]).unwrap();
    alice.does(&[Op::ListSplice { node: list, index: 0, deleted: 1, values: vec![] }]).unwrap();
    alice.does(&[Op::TextSplice { node: text, index: 0, deleted: 0, text: "late".into() }]).unwrap();
    assert_eq!(alice.text(), r#"{"list":[]}"#);
    assert_eq!(alice.sent.len(), 2);
}

#[test]
fn what_a_relay_lost_is_encoded_and_nothing_else() {
    let declared = [("text".to_owned(), Shape::Text)];
    let mut alice = Author::new(1, &declared, 1);
    let text = alice.document.node(&[Step::Key("text")]).unwrap();
    let types =
        |index, deleted, text_: &str| Op::TextSplice { node: text, index, deleted, text: text_.into() };
    alice.does(&[types(0, 0, "hello")]).unwrap();
    alice.does(&[types(5, 0, " world")]).unwrap();
    alice.does(&[types(0, 1, "")]).unwrap();

    let mut known = Contents::default();
    known.absorb(&scan(&alice.sent[0]).unwrap());
    let missing = alice.document.missing_from(&known).unwrap();
    let found = scan(&missing).unwrap();
    assert_eq!(found.inserts.ranges(1).first(), Some(&(5..11)));
    assert_eq!(found.inserts.range_count(), 1);
    assert_eq!(found.deletes.len(), 1);

    let mut bob = Author::new(2, &declared, 1);
    bob.reads(&[alice.sent[0].clone(), missing.clone()]);
    assert_eq!(bob.text(), alice.text());
    known.absorb(&found);
    assert_eq!(alice.document.missing_from(&known), None);
}

#[test]
fn a_run_of_keystrokes_is_encoded_as_one_item() {
    let declared = [("text".to_owned(), Shape::Text)];
    let mut alice = Author::new(1, &declared, 1);
    let text = alice.document.node(&[Step::Key("text")]).unwrap();
    for index in 0..100 {
        alice.does(&[Op::TextSplice { node: text, index, deleted: 0, text: "a".into() }]).unwrap();
    }
    let mut wanted = Contents::default();
    alice.sent[20..].iter().for_each(|update| wanted.absorb(&scan(update).unwrap()));
    let merged = alice.document.encode_from(&wanted).unwrap();
    assert!(merged.len() < 110, "{} bytes", merged.len());
    let mut bob = Author::new(2, &declared, 1);
    bob.reads(&[alice.sent[..20].to_vec(), vec![merged]].concat());
    assert_eq!(bob.text(), alice.text());
}

#[test]
fn updates_that_do_not_follow_wait_and_what_is_deleted_may_reach_over_them() {
    use yrs::{Array, Doc, GetString, Map, MapPrelim, Options, ReadTxn, StateVector, Text, Transact};
    let doc = Doc::with_options(Options {
        offset_kind: OffsetKind::Utf16,
        ..Options::with_client_id(ClientID::new(7))
    });
    let (list, text) = (doc.get_or_insert_array("list"), doc.get_or_insert_text("text"));
    let mut updates = Vec::new();
    for step in 0..4 {
        let mut txn = doc.transact_mut();
        match step {
            0 => text.insert(&mut txn, 0, "first"),
            1 => {
                let map = list.insert(&mut txn, 0, MapPrelim::default());
                for n in 0..8 {
                    map.insert(&mut txn, format!("k{n}"), n);
                }
            }
            2 => text.insert(&mut txn, 5, " second"),
            _ => list.remove_range(&mut txn, 0, 1),
        }
        updates.push(txn.encode_update_v1());
    }
    // All that the list held is one run of collected ids now, from before the hole to behind it.
    let whole = doc.transact().encode_state_as_update_v1(&StateVector::default());

    let mut reader = Document::new(9, &[]);
    let mut give = |update: &[u8]| {
        let (_, errors) = reader.integrate(&[(update, &scan(update).unwrap())]);
        assert_eq!(errors, []);
        (reader.is_complete(), reader.state())
    };
    give(&updates[0]);
    let (is_complete, state) = give(&updates[2]);
    assert!(!is_complete, "the ids between are not here");
    assert!(state.to_json().to_string().contains("\"first\""), "{state:?}");
    let (is_complete, state) = give(&whole);
    assert!(is_complete, "the hole is filled");
    assert!(state.to_json().to_string().contains(&text.get_string(&doc.transact())), "{state:?}");
}

#[test]
fn xml_of_others_is_shown_anew_with_every_change_in_it() {
    use yrs::{Xml, XmlElementPrelim, XmlFragment, XmlTextPrelim};
    let doc = Doc::with_client_id(7);
    let page = doc.get_or_insert_xml_fragment("page");
    let mut reader = Author::new(1, &[], 1);
    let mut shows = |write: &dyn Fn(&mut TransactionMut<'_>), expected: &str| {
        let mut txn = doc.transact_mut();
        write(&mut txn);
        let update = txn.encode_update_v1();
        drop(txn);
        reader.reads(&[update]);
        let Value::Map(state) = reader.document.state() else { panic!("the state is a map") };
        assert_eq!(state.get("page"), Some(&Value::Opaque(expected.to_owned())));
    };
    let element = |txn: &TransactionMut<'_>| page.get(txn, 0).unwrap().into_xml_element().unwrap();
    let add_element = |txn: &mut TransactionMut<'_>| {
        page.push_back(txn, XmlElementPrelim::empty("p"));
    };
    let write_in_it = |txn: &mut TransactionMut<'_>| {
        element(txn).push_back(txn, XmlTextPrelim::new("hi"));
    };
    let name_it = |txn: &mut TransactionMut<'_>| {
        element(txn).insert_attribute(txn, "id", "1");
    };
    let write_behind_it = |txn: &mut TransactionMut<'_>| {
        page.push_back(txn, XmlTextPrelim::new("end"));
    };
    shows(&add_element, "<p></p>");
    shows(&write_in_it, "<p>hi</p>");
    shows(&name_it, "<p id=\"1\">hi</p>");
    shows(&write_behind_it, "<p id=\"1\">hi</p>end");
}

#[test]
fn characters_in_a_list_do_not_hold_up_a_reader() {
    let doc = Doc::with_client_id(7);
    let todos = doc.get_or_insert_text("todos");
    let mut txn = doc.transact_mut();
    todos.push(&mut txn, "a😀b");
    let update = txn.encode_update_v1();
    let mut reader = Author::new(1, &[("todos".to_owned(), Shape::List)], 1);
    reader.reads(&[update]);
    let Value::Map(state) = reader.document.state() else { panic!("the state is a map") };
    assert_eq!(state.get("todos"), Some(&Value::List(Vec::new())));
}

#[test]
fn a_list_that_was_declared_stays_one_when_xml_comes_to_stand_first() {
    use yrs::{XmlElementPrelim, XmlFragment};
    let doc = Doc::with_client_id(7);
    let todos = doc.get_or_insert_xml_fragment("todos");
    let mut txn = doc.transact_mut();
    todos.push_back(&mut txn, XmlElementPrelim::empty("p"));
    let update = txn.encode_update_v1();
    let mut reader = Author::new(1, &[("todos".to_owned(), Shape::List)], 1);
    reader.reads(&[update]);
    let Value::Map(state) = reader.document.state() else { panic!("the state is a map") };
    let element = Value::Opaque("<p></p>".to_owned());
    assert_eq!(state.get("todos"), Some(&Value::List(vec![element])));
}

#[test]
fn a_root_whose_first_content_is_gone_is_what_comes_next() {
    use yrs::{XmlElementPrelim, XmlFragment};
    let doc = Doc::with_client_id(7);
    let page = doc.get_or_insert_xml_fragment("page");
    let mut reader = Author::new(1, &[], 1);
    let mut txn = doc.transact_mut();
    page.push_back(&mut txn, XmlElementPrelim::empty("p"));
    page.remove_range(&mut txn, 0, 1);
    let update = txn.encode_update_v1();
    drop(txn);
    reader.reads(&[update]);
    let mut txn = doc.transact_mut();
    page.push_back(&mut txn, XmlElementPrelim::empty("li"));
    let update = txn.encode_update_v1();
    drop(txn);
    reader.reads(&[update]);
    let Value::Map(state) = reader.document.state() else { panic!("the state is a map") };
    assert_eq!(state.get("page"), Some(&Value::Opaque("<li></li>".to_owned())));
}

#[test]
fn updates_that_wait_for_each_other_are_taken_in_together() {
    use yrs::{Array, Doc, Transact};
    let docs = [Doc::with_client_id(7), Doc::with_client_id(8)];
    let mut updates: [Vec<Vec<u8>>; 2] = Default::default();
    for (doc, updates) in docs.iter().zip(&mut updates) {
        let list = doc.get_or_insert_array(format!("list {}", doc.client_id()).as_str());
        for n in 0..4 {
            let mut txn = doc.transact_mut();
            list.push_back(&mut txn, n);
            updates.push(txn.encode_update_v1());
        }
    }
    let [sevens, eights] = &updates;
    // One has the beginning of 7 and the end of 8, the other the beginning of 8 and the end of 7.
    let part = |seven: &[Vec<u8>], eight: &[Vec<u8>]| {
        let parts: Vec<&[u8]> = seven.iter().chain(eight).map(|update| &update[..]).collect();
        merge(&parts).unwrap()
    };
    let (one, other) = (part(&sevens[..2], &eights[2..]), part(&sevens[2..], &eights[..2]));
    let mut reader = Document::new(9, &[]);
    let (_, errors) = reader.integrate(&[(&one[..], &scan(&one).unwrap())]);
    assert_eq!((errors, reader.is_complete()), (vec![], false));
    let (_, errors) = reader.integrate(&[(&other[..], &scan(&other).unwrap())]);
    assert_eq!((errors, reader.is_complete()), (vec![], true));
    assert_eq!(reader.state().to_json().to_string(), r#"{"list 7":[0,1,2,3],"list 8":[0,1,2,3]}"#);
}

#[test]
fn an_update_that_stands_on_what_is_missing_waits_as_a_whole() {
    use yrs::{Array, Doc, Transact};
    let (base, doc) = (Doc::with_client_id(7), Doc::with_client_id(8));
    let seven = base.get_or_insert_array("list");
    seven.push_back(&mut base.transact_mut(), 1);
    let under = base.transact().encode_state_as_update_v1(&StateVector::default());
    let (own, list) = (doc.get_or_insert_array("own"), doc.get_or_insert_array("list"));
    doc.transact_mut().apply_update(Update::decode_v1(&under).unwrap()).unwrap();
    let upper = {
        let mut txn = doc.transact_mut();
        own.push_back(&mut txn, 2);
        list.push_back(&mut txn, 3);
        txn.encode_update_v1()
    };
    let mut reader = Document::new(9, &[]);
    reader.integrate(&[(&upper[..], &scan(&upper).unwrap())]);
    assert_eq!(reader.state().to_json().to_string(), "{}");
    assert_eq!(reader.waiting().collect::<Vec<_>>(), [&upper[..]]);
    assert_eq!(reader.missing_from(&Contents::default()), None, "what waits is nobody's yet");
    assert!(reader.take_released().is_empty());
    reader.integrate(&[(&under[..], &scan(&under).unwrap())]);
    assert_eq!(reader.state().to_json().to_string(), r#"{"list":[1,3],"own":[2]}"#);
    assert_eq!((reader.take_released(), reader.is_complete()), (vec![upper], true));
    assert!(reader.take_released().is_empty());
}

#[test]
fn a_format_behind_a_maps_entry_and_a_pair_in_a_list_are_shown_as_the_document_is() {
    let mut reader = Author::new(1, &[], 2);
    // map.key = 1, and a list with one item.
    let entry: &[&[u8]] = &[&[1, 2, 9, 0], &[0x28, 1, 3], b"map", &[3], b"key", &[1, 125, 1]];
    let item: &[&[u8]] = &[&[8, 1, 4], b"list", &[1, 125, 2], &[0]];
    reader.reads(&[[entry.concat(), item.concat()].concat()]);
    assert_eq!(reader.text(), r#"{"list":[2],"map":{"key":1}}"#);

    // A format behind the value takes its place.
    let format: &[&[u8]] = &[&[1, 1, 9, 2], &[0x86, 9, 0, 1], b"b", &[4], b"true", &[0]];
    reader.reads(&[format.concat()]);
    assert_eq!(reader.text(), r#"{"list":[2],"map":{}}"#);

    // A character of two units behind the item.
    let pair: &[&[u8]] = &[&[1, 1, 9, 3], &[0x84, 9, 1, 4], "🐢".as_bytes(), &[0]];
    reader.reads(&[pair.concat()]);
    assert_eq!(reader.text(), r#"{"list":[],"map":{}}"#);
}
