//! Roots that somebody made of another kind.

use super::*;
use std::collections::BTreeSet;
use yrs::branch::{Branch, BranchPtr};
use yrs::{Array, ArrayRef, Text, Transact};

#[test]
fn a_root_that_two_made_of_different_kinds_at_once_is_of_one_kind_to_all() {
    let set = |value| Op::MapSet { node: Node::ROOT, key: "n".into(), value };
    let values = || {
        let map = Value::Map([("k".to_owned(), Value::Text("v".into()))].into());
        [map, Value::List(vec![Value::List(vec!["item".into()])]), Value::Text("typed".into())]
    };
    let mut shown = BTreeSet::new();
    for (one, other) in [(0, 1), (1, 2), (2, 0)] {
        for seed in 0..6 {
            let ids = if seed % 2 == 0 { [1, 2] } else { [2, 1] };
            let mut authors = ids.map(|id| Author::new(id, &[], 1));
            authors[0].does(&[set(values()[one].clone())]).unwrap();
            authors[1].does(&[set(values()[other].clone())]).unwrap();
            let sent = [authors[0].sent.clone(), authors[1].sent.clone()];
            authors[0].reads(&sent[1]);
            authors[1].reads(&sent[0]);
            let mut late = Author::new(9, &[], 1);
            late.reads(&[authors[0].document.encode()]);
            assert_eq!(authors[0].text(), authors[1].text());
            assert_eq!(authors[0].text(), late.text());
            shown.insert(late.text());
            // And both go on with it.
            for who in 0..2 {
                let node = authors[who].document.node(&[Step::Key("n")]).unwrap();
                let edit = match authors[who].document.measure(node).unwrap().0 {
                    Shape::Map => Op::MapSet { node, key: format!("by {who}"), value: Value::Bool(true) },
                    Shape::List => Op::ListSplice { node, index: 1, deleted: 0, values: vec!["more".into()] },
                    Shape::Text => Op::TextSplice { node, index: 5, deleted: 0, text: " on".into() },
                };
                authors[who].does(&[edit]).unwrap();
                let last = authors[who].sent[authors[who].sent.len() - 1..].to_vec();
                authors[1 - who].reads(&last);
            }
            assert_eq!(authors[0].text(), authors[1].text());
        }
    }
    for kind in [r#"{"n":{"#, r#"{"n":["#, r#"{"n":""#] {
        assert!(shown.iter().any(|text| text.starts_with(kind)), "{shown:?}");
    }
}

#[test]
fn a_text_among_which_somebody_put_values_can_be_assigned_anew_and_deleted() {
    let doc = yrs::Doc::new();
    let text = doc.get_or_insert_text("note");
    let update = {
        let mut txn = doc.transact_mut();
        text.insert(&mut txn, 0, "typed");
        let list = ArrayRef::from(BranchPtr::from(AsRef::<Branch>::as_ref(&text)));
        list.insert_range(&mut txn, 2, [1, 2]);
        txn.encode_update_v1()
    };
    let mut alice = Author::new(1, &[("note".to_owned(), Shape::Text)], 1);
    alice.reads(&[update]);
    let key = || "note".to_owned();
    alice.does(&[Op::MapSet { node: Node::ROOT, key: key(), value: Value::Text("anew".into()) }]).unwrap();
    assert_eq!(alice.text(), r#"{"note":"anew"}"#);
    alice.does(&[Op::MapDelete { node: Node::ROOT, key: key() }]).unwrap();
    assert_eq!(alice.text(), r#"{"note":""}"#);
}
