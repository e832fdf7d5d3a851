//! How deep is deep is counted from the state, however something got there.

use super::*;
use crate::packet::MAX_DEPTH;
use yrs::{Array, ArrayPrelim, Doc, ReadTxn, Transact};

fn push(node: u32, values: Vec<Value>) -> Op {
    Op::ListSplice { node: Node(node), index: 0, deleted: 0, values }
}

/// The handle of the list that contains no other, and how many are above it.
fn innermost(shown: &Shown, above: usize) -> (u32, usize) {
    match shown {
        Shown::Map(_, entries) => innermost(&entries["list"], above),
        Shown::List(node, items) => match items.first() {
            Some(inner @ Shown::List(..)) => innermost(inner, above + 1),
            _ => (*node, above),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_level_at_a_time_ends_where_a_value_ends() {
    let mut alice = Author::new(1, &[("list".to_owned(), Shape::List)], 1);
    for level in 0..MAX_DEPTH - 1 {
        let (node, above) = innermost(&alice.shown, 0);
        assert_eq!(above, level);
        let two = Value::List(vec![Value::List(Vec::new())]);
        if level == MAX_DEPTH - 2 {
            assert_eq!(
                alice.does(&[push(node, vec![two])]),
                Err(EditError::TooDeep { depth: MAX_DEPTH + 1 })
            );
        }
        alice.does(&[push(node, vec![Value::List(Vec::new())])]).unwrap();
    }
    let (node, _) = innermost(&alice.shown, 0);
    let refused = alice.does(&[push(node, vec![Value::List(Vec::new())])]);
    assert_eq!(refused, Err(EditError::TooDeep { depth: MAX_DEPTH + 1 }));
    alice.does(&[push(node, vec!["at the bottom".into()])]).unwrap();
    let mut late = Author::new(2, &[("list".to_owned(), Shape::List)], 1);
    late.reads(&[alice.document.encode()]);
    assert_eq!(late.text(), alice.text());
}

#[test]
fn what_others_nest_deeper_is_the_same_to_who_saw_it_grow_and_to_who_comes_later() {
    let doc = Doc::new();
    let declared = [("list".to_owned(), Shape::List)];
    let mut alice = Author::new(1, &declared, 1);
    let mut list = doc.get_or_insert_array("list");
    for _ in 0..2 * MAX_DEPTH {
        let mut txn = doc.transact_mut();
        list = list.push_back(&mut txn, ArrayPrelim::default());
        alice.reads(&[txn.encode_update_v1()]);
    }
    let mut late = Author::new(2, &declared, 1);
    late.reads(&[doc.transact().encode_state_as_update_v1(&StateVector::default())]);
    assert_eq!(late.text(), alice.text());
    assert_eq!(late.text().matches('[').count(), MAX_DEPTH + 1);
}
