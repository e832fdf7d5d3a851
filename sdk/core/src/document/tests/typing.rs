//! Texts whose order is known must be what the CRDT makes of the same updates, to the letter, whoever types, formats or
//! embeds in them, and however long the CRDT is kept waiting.

use super::*;
use hither_protocol::scan::blocks::Blocks;
use std::collections::HashMap;
use yrs::Any;
use yrs::types::Attrs;

/// Puts letters in or takes some away, mostly where the last edit was.
fn types(author: &mut Author, node: Node, at: &mut u32, rng: &mut Rng) {
    let length = match author.shown.find(node.0) {
        Some(Shown::Text(_, text)) => utf16_len(text),
        _ => return,
    };
    *at = if rng.u32(0..4) == 0 { rng.u32(0..=length) } else { (*at).min(length) };
    let deleted = if rng.u32(0..3) == 0 { rng.u32(0..=(length - *at).min(4)) } else { 0 };
    let text: String = "abcdefgh".chars().skip(rng.usize(0..8)).take(rng.usize(0..3)).collect();
    let op = Op::TextSplice { node, index: *at, deleted, text: text.clone() };
    let changed = author.document.apply(&[op]).unwrap();
    author.shown.apply(&changed.patch);
    author.sent.extend(changed.update);
    *at += utf16_len(&text);
}

fn open_texts(author: &Author) -> usize {
    author.document.texts.nodes().len()
}

/// The updates of all in the order in which everybody reads them, each with its author.
#[derive(Default)]
struct Log(Vec<(usize, Vec<u8>)>);

impl Log {
    /// `who` adds what it has written since, and reads what came before without asking the CRDT for anything.
    fn syncs(&mut self, authors: &mut [Author], who: usize) -> usize {
        let author = &mut authors[who];
        let unread = &self.0[author.read[0]..];
        let others: Vec<&[u8]> =
            unread.iter().filter(|(by, _)| *by != who).map(|(_, update)| &update[..]).collect();
        let scans: Vec<Scan> = others.iter().map(|update| scan(update).unwrap()).collect();
        let (patch, errors) =
            author.document.integrate(&others.iter().copied().zip(&scans).collect::<Vec<_>>());
        assert_eq!(errors, []);
        author.shown.apply(&patch);
        let count = others.len().min(author.sent.len());
        self.0.extend(author.sent.drain(..).map(|update| (who, update)));
        author.read[0] = self.0.len();
        count
    }
}

#[test]
fn whoever_types_in_a_text_whose_order_is_known_all_see_what_the_crdt_makes_of_it() {
    let (mut concurrent, mut kept) = (0, 0);
    for seed in 0..80 {
        let mut rng = Rng::with_seed(seed);
        let declared = [("text".to_owned(), Shape::Text), ("list".to_owned(), Shape::List)];
        let mut authors: Vec<Author> = (0..3).map(|index| Author::new(100 + index, &declared, 1)).collect();
        let mut log = Log::default();
        let item = Value::List(vec![Value::Text("nested".into())]);
        authors[0].does(&[Op::MapSet { node: Node::ROOT, key: "list".into(), value: item }]).unwrap();
        for who in 0..3 {
            log.syncs(&mut authors, who);
        }
        let mut places = [0; 3];
        for step in 0..400 {
            let who = rng.usize(0..3);
            if rng.u32(0..4) > 0 {
                let path = [Step::Key("list"), Step::Index(0)];
                let path = if rng.u32(0..4) > 0 { &[Step::Key("text")][..] } else { &path[..] };
                let node = authors[who].document.node(path).unwrap();
                types(&mut authors[who], node, &mut places[who], &mut rng);
            } else {
                concurrent += log.syncs(&mut authors, who);
            }
            if step % 100 == 99 {
                authors[who].check();
            }
        }
        kept += authors.iter().map(open_texts).sum::<usize>();
        for who in [0, 1, 2, 0, 1] {
            log.syncs(&mut authors, who);
        }
        authors.iter().for_each(Author::check);
        assert_eq!(authors[0].text(), authors[1].text(), "seed {seed}");
        assert_eq!(authors[0].text(), authors[2].text(), "seed {seed}");
        // Without any order of our own.
        let mut late = Author::new(999, &declared, 3);
        late.reads(&[authors[1].document.encode()]);
        assert_eq!(late.text(), authors[0].text(), "seed {seed}");
    }
    assert!(concurrent > 1000, "{concurrent} updates met others");
    assert!(kept > 300, "{kept} texts stayed open");
}

#[test]
fn what_is_typed_in_a_row_is_one_item_to_the_crdt() {
    let mut author = Author::new(100, &[("text".to_owned(), Shape::Text)], 0);
    let node = author.document.node(&[Step::Key("text")]).unwrap();
    let splice = |author: &mut Author, index, deleted, text: &str| {
        author.document.apply(&[Op::TextSplice { node, index, deleted, text: text.into() }]).unwrap();
    };
    while open_texts(&author) == 0 {
        splice(&mut author, 0, 0, "ab");
    }
    author.document.catch_up();
    for (index, letter) in ["h", "e", "l", "p", "o"].into_iter().enumerate() {
        splice(&mut author, 1 + index as u32, 0, letter);
    }
    splice(&mut author, 4, 1, "l");
    let updates = author.document.pending.get_mut().take();
    assert_eq!(updates.len(), 1);
    let blocks = Blocks::new(&updates[0]).map(|block| block.unwrap().length);
    assert_eq!(blocks.collect::<Vec<u32>>(), [5, 1], "the word, and what took the place of a letter");
    let scan = scan(&updates[0]).unwrap();
    assert_eq!((scan.inserts.len(), scan.deletes.len()), (6, 1));
}

/// Items go in between items that were deleted: what stands there, deleted or not, decides where others see them.
#[test]
fn lists_in_which_many_items_are_deleted_are_the_same_for_all() {
    for seed in 0..150 {
        let mut rng = Rng::with_seed(seed);
        let declared = [("list".to_owned(), Shape::List)];
        let mut authors: Vec<Author> = (0..3).map(|index| Author::new(100 + index, &declared, 1)).collect();
        let mut log = Log::default();
        for step in 0..80 {
            let who = rng.usize(0..3);
            let node = authors[who].document.node(&[Step::Key("list")]).unwrap();
            let (_, length) = authors[who].document.measure(node).unwrap();
            let index = rng.u32(0..=length.min(4));
            let deleted = if rng.bool() { rng.u32(0..=(length - index).min(3)) } else { 0 };
            let value = |n: usize| match n % 3 {
                0 => Value::Map(BTreeMap::from([("n".to_owned(), Value::Number(step as f64))])),
                _ => Value::Number(step as f64 + n as f64 / 10.0),
            };
            let values = (0..rng.usize(0..3)).map(value).collect();
            authors[who].does(&[Op::ListSplice { node, index, deleted, values }]).unwrap();
            if rng.u32(0..4) == 0 {
                log.syncs(&mut authors, who);
            }
        }
        for who in [0, 1, 2, 0, 1] {
            log.syncs(&mut authors, who);
        }
        assert_eq!(authors[0].text(), authors[1].text(), "seed {seed}");
        assert_eq!(authors[0].text(), authors[2].text(), "seed {seed}");
    }
}

#[test]
fn a_text_that_somebody_formats_or_embeds_in_goes_back_to_the_crdt() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let declared = [("text".to_owned(), Shape::Text)];
        let mut alice = Author::new(1, &declared, 1);
        let node = alice.document.node(&[Step::Key("text")]).unwrap();
        let mut at = 0;
        for _ in 0..30 {
            types(&mut alice, node, &mut at, &mut rng);
        }
        // Its order is read when the walks have cost as much: one more does it nearly always, and five in any history.
        let mut walks = 0;
        while open_texts(&alice) == 0 {
            walks += 1;
            assert!(walks <= 5, "seed {seed}");
            alice.does(&[Op::TextSplice { node, index: 0, deleted: 0, text: "sure".into() }]).unwrap();
        }

        let doc = Doc::with_options(Options {
            offset_kind: OffsetKind::Utf16,
            ..Options::with_client_id(ClientID::new(7))
        });
        let text = doc.get_or_insert_text("text");
        for update in &alice.sent {
            doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
        }
        for step in 0..12 {
            let mut txn = doc.transact_mut();
            let length = text.len(&txn);
            let index = rng.u32(0..length.max(1));
            let kinds = if length == 0 { 1 } else { 3 + u32::from(step >= 6) };
            match rng.u32(0..kinds) {
                0 => text.insert(&mut txn, index, "rich"),
                1 => text.remove_range(&mut txn, index, (length - index).min(2)),
                2 => {
                    text.insert_embed(
                        &mut txn,
                        index,
                        Any::from(HashMap::from([("image".to_owned(), Any::from("a.png"))])),
                    );
                }
                _ => text.format(&mut txn, index, 1, Attrs::from([("bold".into(), true.into())])),
            }
            let update = txn.encode_update_v1();
            drop(txn);
            let scan = scan(&update).unwrap();
            let (patch, errors) = alice.document.integrate(&[(&update[..], &scan)]);
            assert_eq!(errors, []);
            alice.shown.apply(&patch);
            let mine = alice.sent.len();
            types(&mut alice, node, &mut at, &mut rng);
            alice.check();
            for update in &alice.sent[mine..] {
                doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
            }
        }
        alice.check();
        let own = match alice.document.state() {
            Value::Map(state) => state["text"].clone(),
            other => panic!("{other:?}"),
        };
        let theirs: String = text
            .diff(&doc.transact(), |_| ())
            .iter()
            .map(|piece| nodes::inserted_text(&piece.insert))
            .collect();
        assert_eq!(own, Value::Text(theirs), "seed {seed}");
    }
}

#[test]
fn a_text_that_is_deleted_or_assigned_anew_is_followed_to_its_end() {
    let declared = [("text".to_owned(), Shape::Text)];
    let (mut alice, mut bob) = (Author::new(1, &declared, 2), Author::new(2, &declared, 2));
    let mut rng = Rng::with_seed(1);
    let node = alice.document.node(&[Step::Key("text")]).unwrap();
    let mut at = 0;
    for _ in 0..40 {
        types(&mut alice, node, &mut at, &mut rng);
    }
    bob.reads(&alice.sent);
    let read = alice.sent.len();
    let bobs = bob.document.node(&[Step::Key("text")]).unwrap();
    for _ in 0..40 {
        types(&mut bob, bobs, &mut at, &mut rng);
    }
    assert_eq!((open_texts(&alice), open_texts(&bob)), (1, 1));
    alice
        .does(&[Op::MapSet { node: Node::ROOT, key: "text".into(), value: Value::Text("anew".into()) }])
        .unwrap();
    assert_eq!(open_texts(&alice), 1, "the sequence follows what the CRDT was told");
    alice.reads(&bob.sent);
    let seen = alice.sent.len();
    for _ in 0..10 {
        types(&mut alice, node, &mut at, &mut rng);
    }
    bob.reads(&alice.sent[read..seen]);
    bob.reads(&alice.sent[seen..]);
    assert_eq!(alice.text(), bob.text());
    alice
        .does(&[Op::TextSplice {
            node,
            index: 0,
            deleted: alice.document.texts.len(node).unwrap(),
            text: "".into(),
        }])
        .unwrap();
    assert_eq!(alice.text(), r#"{"text":""}"#);
}

/// A log that lost a part and was given it back may have a deletion in front of what it deletes.
#[test]
fn a_deletion_in_front_of_what_it_deletes_is_seen() {
    let declared = [("text".to_owned(), Shape::Text)];
    let (mut alice, mut bob) = (Author::new(1, &declared, 2), Author::new(2, &declared, 2));
    let mut rng = Rng::with_seed(1);
    let node = alice.document.node(&[Step::Key("text")]).unwrap();
    let mut at = 0;
    for _ in 0..40 {
        types(&mut alice, node, &mut at, &mut rng);
    }
    alice.check();
    assert_eq!(open_texts(&alice), 1);
    bob.reads(&alice.sent);
    let bobs = bob.document.node(&[Step::Key("text")]).unwrap();
    for (deleted, text) in [(0, "written and gone"), (11, "")] {
        bob.does(&[Op::TextSplice { node: bobs, index: 0, deleted, text: text.into() }]).unwrap();
    }
    bob.sent.reverse();
    alice.reads(&bob.sent);
    assert_eq!(alice.text(), bob.text());
    types(&mut alice, node, &mut at, &mut rng);
    alice.check();
}
