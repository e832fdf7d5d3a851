//! What a scan costs. Small here, so that it does not rot; the numbers mean something with
//! `cargo test --release -p hither-protocol --test scan_speed -- --nocapture`.
#![allow(clippy::unwrap_used)]

mod yrs_world;

use hither_protocol::contents::Contents;
use hither_protocol::scan::scan;
use std::hint::black_box;
use std::time::{Duration, Instant};
use yrs::{Array, ClientID, Doc, Map, MapPrelim, OffsetKind, Options, ReadTxn, StateVector, Text, Transact};
use yrs_world::Dice;

const PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 30 } else { 500 });

/// Nanoseconds of one call.
fn cost(mut work: impl FnMut()) -> f64 {
    let (start, mut calls) = (Instant::now(), 0u32);
    while start.elapsed() < PATIENCE {
        (0..10).for_each(|_| work());
        calls += 10;
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn report(what: &str, update: &[u8]) {
    let found = scan(update).unwrap();
    let ns = cost(|| drop(black_box(scan(black_box(update)))));
    let mb = update.len() as f64 / ns * 1000.0;
    let ids = found.inserts.len();
    println!("{what}: {} bytes, {ids} ids, {ns:.0} ns, {mb:.0} MB/s", update.len());
}

fn document() -> Doc {
    let mut options = Options::with_client_id(ClientID::new(3_141_592_653));
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

fn state(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_state_as_update_v1(&StateVector::default())
}

#[test]
fn a_scan_costs_nanoseconds_per_keystroke() {
    let keystroke = {
        let doc = document();
        let text = doc.get_or_insert_text("text");
        text.push(&mut doc.transact_mut(), "hello");
        let mut txn = doc.transact_mut();
        text.insert(&mut txn, 3, "x");
        txn.encode_update_v1()
    };
    report("a keystroke", &keystroke);

    let doc = document();
    let text = doc.get_or_insert_text("text");
    let mut dice = Dice::new(1);
    for _ in 0..3_000 {
        let length = text.len(&doc.transact());
        text.insert(&mut doc.transact_mut(), dice.below(length + 1), "word ");
    }
    report("a text of many small inserts", &state(&doc));

    let doc = document();
    let text = doc.get_or_insert_text("text");
    text.push(&mut doc.transact_mut(), &"lorem ipsum dolor sit amet, ".repeat(40_000));
    report("a text pasted whole", &state(&doc));

    let doc = document();
    let list = doc.get_or_insert_array("todos");
    let mut txn = doc.transact_mut();
    for index in 0..5_000 {
        let map = list.push_back(&mut txn, MapPrelim::default());
        map.insert(&mut txn, "title", format!("number {index}"));
        map.insert(&mut txn, "done", index % 2 == 0);
    }
    drop(txn);
    report("a list of maps", &state(&doc));

    let mut log = Contents::new();
    let found = scan(&keystroke).unwrap();
    log.absorb(&found);
    let ns = cost(|| assert!(black_box(&log).adds_nothing(black_box(&found))));
    println!("asking whether a keystroke is news: {ns:.0} ns");
}
