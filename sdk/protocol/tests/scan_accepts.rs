//! Whatever yrs writes, the scanner reads, and it finds the same ids.
#![allow(clippy::unwrap_used)]

mod yrs_world;

use hither_protocol::contents::Contents;
use hither_protocol::id_set::IdSet;
use hither_protocol::scan::{RootShape, Scan, scan, with_deletes};
use yrs::updates::decoder::Decode;
use yrs::{Array, Doc, Map, ReadTxn, StateVector, Text, Transact, Update, WriteTxn};
use yrs_world::{ours, updates};

fn assert_agrees(update: &[u8], seed: u64) -> Scan {
    let found = scan(update).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{update:?}"));
    let decoded = Update::decode_v1(update).unwrap();
    assert_eq!(found.inserts, ours(&decoded.insertions(true)), "inserts, seed {seed}\n{update:?}");
    assert_eq!(found.deletes, ours(decoded.delete_set()), "deletes, seed {seed}\n{update:?}");
    found
}

#[test]
fn the_scanner_finds_the_ids_that_yrs_finds_in_everything_it_writes() {
    let (mut total, mut holes, mut bytes) = (0, 0, 0);
    for seed in 0..300 {
        for update in updates(seed, 40) {
            let found = assert_agrees(&update, seed);
            total += 1;
            holes += usize::from(found.skips);
            bytes += update.len();
        }
    }
    // The run was not empty.
    assert!(
        total > 10_000 && holes > 100 && bytes > 1_000_000,
        "{total} updates, {holes} with holes, {bytes} B"
    );
}

#[test]
fn a_delete_set_can_be_replaced() {
    for seed in 1_000..1_050 {
        for update in updates(seed, 25) {
            let found = scan(&update).unwrap();
            // Yjs and yrs order clients differently, so the bytes may differ where the sets do not.
            let same = with_deletes(&update, &found, &found.deletes);
            assert_eq!(assert_agrees(&same, seed), found);
            let none = with_deletes(&update, &found, &IdSet::new());
            assert!(assert_agrees(&none, seed).deletes.is_empty());
        }
    }
}

#[test]
fn a_log_knows_what_a_document_holds() {
    for seed in 2_000..2_050 {
        let mut log = Contents::new();
        let doc = Doc::new();
        for update in updates(seed, 30) {
            let found = scan(&update).unwrap();
            let news = !log.adds_nothing(&found);
            let missing = Contents::of(&found).missing_from(&log);
            assert_eq!(news, !missing.is_empty(), "seed {seed}");
            log.absorb(&found);
            assert!(log.adds_nothing(&found));
            doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
        }
        let state = doc.transact().encode_state_as_update_v1(&StateVector::default());
        let found = scan(&state).unwrap();
        assert_eq!(log.inserts, found.inserts, "seed {seed}");
        // A document deletes on its own too: of two values written at once under one key, the loser. No update
        // says so until a client sends its whole delete set, and then it is news once.
        assert!(found.deletes.covers(&log.deletes), "seed {seed}");
        log.absorb(&found);
        assert!(log.adds_nothing(&found));
    }
}

#[test]
fn what_a_document_writes_is_ready_in_the_order_of_its_writing() {
    let (mut ready, mut waiting) = (0, 0);
    for seed in 3_000..3_100 {
        let written = updates(seed, 30);
        let mut log = Contents::new();
        for update in &written {
            let found = scan(update).unwrap();
            assert!(found.needs.difference(&found.inserts) == found.needs);
            // Merges with holes are there too.
            if log.is_ready_for(&found) {
                ready += 1;
            } else {
                assert!(found.skips || found.inserts.iter().any(|(_, ranges)| ranges[0].start > 0));
                waiting += 1;
            }
            log.absorb(&found);
        }
        // The whole state of a document stands on nothing.
        let doc = Doc::new();
        for update in &written {
            doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
        }
        let state = doc.transact().encode_state_as_update_v1(&StateVector::default());
        assert!(Contents::new().is_ready_for(&scan(&state).unwrap()), "seed {seed}");
    }
    assert!(ready > 2_000 && waiting > 10, "{ready} ready, {waiting} waiting");
}

#[test]
fn root_containers_are_recognised_by_their_first_items() {
    let doc = Doc::new();
    let mut txn = doc.transact_mut();
    let text = txn.get_or_insert_text("text");
    text.push(&mut txn, "a");
    text.push(&mut txn, "b");
    let map = txn.get_or_insert_map("");
    map.insert(&mut txn, "x", 1);
    map.insert(&mut txn, "y", "two");
    let list = txn.get_or_insert_array("list");
    list.push_back(&mut txn, 1);
    let roots = scan(&txn.encode_update_v1()).unwrap().roots;
    let shapes: Vec<_> = roots.iter().map(|root| (root.name.as_str(), root.shape)).collect();
    assert_eq!(shapes, [("", RootShape::Map), ("list", RootShape::List), ("text", RootShape::Text)]);
}

#[test]
fn the_clearest_shape_of_a_root_wins() {
    // Clients 9 and 7 both wrote into "r": one a value under a key, the other a value in a row.
    let keyed = [1u8, 9, 0, 0x28, 1, 1, b'r', 1, b'k', 1, 126];
    let in_a_row = [1u8, 7, 0, 0x08, 1, 1, b'r', 1, 126];
    let update = [&[2][..], &keyed, &in_a_row, &[0]].concat();
    let roots = scan(&update).unwrap().roots;
    assert_eq!(roots.len(), 1);
    assert_eq!(roots[0].shape, RootShape::Map);

    let forgotten = [1u8, 1, 7, 0, 1, 1, 1, b'r', 3, 0];
    assert_eq!(scan(&forgotten).unwrap().roots[0].shape, RootShape::Unknown);
}
