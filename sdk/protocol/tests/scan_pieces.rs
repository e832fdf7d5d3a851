//! An update in pieces says what it says as a whole, and nobody who reads them in order puts anything aside.
#![allow(clippy::unwrap_used)]

mod yrs_world;

use hither_protocol::contents::Contents;
use hither_protocol::scan::{pieces, scan};
use yrs::types::ToJson;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Text, Transact, Update, WriteTxn,
};
use yrs_world::{Dice, updates};

fn reader() -> Doc {
    Doc::with_options(Options { offset_kind: OffsetKind::Utf16, skip_gc: false, ..Options::default() })
}

fn apply(doc: &Doc, update: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    assert!(!doc.transact().has_missing_updates());
}

fn state(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_state_as_update_v1(&StateVector::default())
}

/// What a reader sees, and the ids behind it. The bytes may differ: blocks merge as they come.
fn show(doc: &Doc) -> (Vec<String>, Contents) {
    let contents = Contents::of(&scan(&state(doc)).unwrap());
    let (text, title) = (doc.get_or_insert_text("text"), doc.get_or_insert_text("title"));
    let (map, unnamed) = (doc.get_or_insert_map("map"), doc.get_or_insert_map(""));
    let (list, page) = (doc.get_or_insert_array("list"), doc.get_or_insert_xml_fragment("page"));
    let txn = doc.transact();
    // Attributes come in whatever order they have in memory.
    let mut letters: Vec<char> = page.get_string(&txn).chars().collect();
    letters.sort_unstable();
    let mut seen = vec![text.get_string(&txn), title.get_string(&txn), letters.into_iter().collect()];
    seen.extend([map.to_json(&txn), unnamed.to_json(&txn), list.to_json(&txn)].iter().map(canonical));
    (seen, contents)
}

/// A value in words, entries sorted, and NaN like itself.
fn canonical(any: &Any) -> String {
    match any {
        Any::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, any)| (key, canonical(any))).collect();
            entries.sort();
            format!("{entries:?}")
        }
        Any::Array(items) => format!("{:?}", items.iter().map(canonical).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    }
}

/// Cuts `update` on top of `log` and checks every piece; how many there were, and the largest.
fn check(update: &[u8], log: &Contents, max_bytes: usize) -> (usize, usize) {
    let whole = Contents::of(&scan(update).unwrap());
    let cut = pieces(update, max_bytes).unwrap();
    let (mut known, mut all) = (log.clone(), Contents::new());
    for piece in &cut {
        let found = scan(piece).unwrap();
        assert!(known.is_ready_for(&found), "at {max_bytes}: {piece:?} of {update:?}");
        assert!(found.deletes.is_empty() || known.inserts.covers(&found.deletes) || all != whole);
        known.absorb(&found);
        all.absorb(&found);
    }
    assert!(all.covers(&whole) && whole.covers(&all));
    (cut.len(), cut.iter().map(Vec::len).max().unwrap_or(0))
}

#[test]
fn documents_in_pieces_are_the_same_documents() {
    let (mut cuts, mut large) = (0, 0);
    for seed in 0..150 {
        let mut dice = Dice::new(seed);
        let (whole, old) = (reader(), reader());
        let all = updates(seed, 40);
        let half = all.len() / 2;
        for (index, update) in all.iter().enumerate().filter(|(_, update)| !scan(update).unwrap().skips) {
            let known = Contents::of(&scan(&state(&whole)).unwrap());
            if known.is_ready_for(&scan(update).unwrap()) {
                apply(&whole, update);
                if index < half {
                    apply(&old, update);
                }
            }
        }
        // Everything, and what somebody lacks who knows the first half.
        for from in [reader(), old] {
            let missing = whole.transact().encode_diff_v1(&from.transact().state_vector());
            let log = Contents::of(&scan(&state(&from)).unwrap());
            let max_bytes = 60 + dice.below(600) as usize;
            let (count, largest) = check(&missing, &log, max_bytes);
            cuts += count - 1;
            large += usize::from(largest > max_bytes);
            for piece in pieces(&missing, max_bytes).unwrap() {
                apply(&from, &piece);
            }
            assert_eq!(show(&from), show(&whole), "seed {seed}");
        }
    }
    assert!(cuts > 500 && large < 150, "{cuts} cuts, {large} with a piece that is too large");
}

/// [P9] Pieces are stored one by one, and a log can lose its end. What is left of them must mean the same to somebody who has
/// what they say is gone and to somebody who has never seen it.
#[test]
fn a_part_of_the_pieces_says_the_same_to_everybody() {
    let mut partial = 0;
    for seed in 0..150 {
        let (whole, old) = (reader(), reader());
        let all = updates(seed, 40);
        for (index, update) in all.iter().enumerate().filter(|(_, update)| !scan(update).unwrap().skips) {
            if Contents::of(&scan(&state(&whole)).unwrap()).is_ready_for(&scan(update).unwrap()) {
                apply(&whole, update);
                if index < all.len() / 2 {
                    apply(&old, update);
                }
            }
        }
        let (before, cut) = (state(&old), pieces(&state(&whole), 100).unwrap());
        for arrived in 1..cut.len() {
            let (knowing, new) = (reader(), reader());
            apply(&knowing, &before);
            cut[..arrived].iter().for_each(|piece| apply(&knowing, piece));
            cut[..arrived].iter().for_each(|piece| apply(&new, piece));
            apply(&new, &before);
            // The ids, not the letters: these updates cut through characters, which reads as it was cut.
            assert_eq!(show(&knowing).1, show(&new).1, "seed {seed}, {arrived} of {}", cut.len());
            partial += 1;
        }
    }
    assert!(partial > 500, "{partial}");
}

#[test]
fn long_texts_and_lists_are_cut_between_characters_and_values() {
    let doc = reader();
    {
        let mut txn = doc.transact_mut();
        let text = txn.get_or_insert_text("text");
        text.insert(&mut txn, 0, "end");
        text.insert(&mut txn, 0, &"Grüße 漢字 😀 ".repeat(400));
        let list = txn.get_or_insert_array("list");
        list.insert_range(&mut txn, 0, (0..500).map(|n| Any::from(f64::from(n) + 0.5)));
    }
    let update = state(&doc);
    for max_bytes in [1, 60, 100, 1_000, 5_000] {
        let (count, largest) = check(&update, &Contents::new(), max_bytes);
        assert!(count > update.len() / max_bytes.max(60) && (largest <= max_bytes || max_bytes < 60));
        let other = reader();
        pieces(&update, max_bytes).unwrap().iter().for_each(|piece| apply(&other, piece));
        assert_eq!(state(&other), update, "what was cut grows together");
        let read = |doc: &Doc| doc.transact().get_text("text").unwrap().get_string(&doc.transact());
        assert_eq!(read(&other), read(&doc));
    }
}

#[test]
fn what_fits_is_left_alone_and_what_has_a_hole_is_not_cut() {
    let text = [1, 1, 7, 0, 4, 1, 1, b't', 2, b'h', b'i', 0];
    assert_eq!(pieces(&text, 1_000).unwrap(), [text]);
    let hole = [1, 2, 7, 0, 10, 2, 0x84, 7, 1, 1, b'c', 0];
    assert_eq!(pieces(&hole, 1).unwrap(), [hole]);
    assert_eq!(pieces(&[0, 0], 1).unwrap(), Vec::<Vec<u8>>::new());
    assert!(pieces(&[1, 1, 7], 1).is_err());
}
