//! Whatever stock Yjs writes, the scanner reads, except what yrs would read differently.
//! The fixtures say what Yjs itself finds in them; `vectors/yjs-updates.mjs` wrote them.
#![allow(clippy::unwrap_used)]

use hither_protocol::id_set::IdSet;
use hither_protocol::scan::scan;
use serde_json::Value;
use yrs::updates::decoder::Decode;
use yrs::{Doc, ReadTxn, StateVector, Transact, Update};

fn fixtures(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../vectors/yjs-updates.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn bytes(fixture: &Value) -> Vec<u8> {
    let digits = fixture["hex"].as_str().unwrap();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// `{"client": [[clock, length], …]}`
fn set(fixture: &Value) -> IdSet {
    let number = |value: &Value| value.as_u64().unwrap() as u32;
    let clients = fixture.as_object().unwrap().iter().map(|(client, ranges)| {
        let ranges = ranges.as_array().unwrap().iter();
        let ranges = ranges.map(move |range| number(&range[0])..number(&range[0]) + number(&range[1]));
        (client.parse().unwrap(), ranges.collect::<Vec<_>>())
    });
    clients.collect()
}

#[test]
fn the_scanner_finds_the_ids_that_yjs_finds() {
    let fixtures = fixtures("accepted");
    assert!(fixtures.len() >= 30);
    for fixture in &fixtures {
        let (name, update) = (&fixture["name"], bytes(fixture));
        let found = scan(&update).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.inserts, set(&fixture["inserts"]), "{name}");
        assert_eq!(found.deletes, set(&fixture["deletes"]), "{name}");
        assert_eq!(found.skips, fixture["skips"].as_bool().unwrap(), "{name}");

        let mut rewritten = Vec::new();
        found.deletes.encode_v1(&mut rewritten);
        assert_eq!(rewritten, update[found.structs_end..], "{name}: Yjs writes delete sets like this");
    }
    assert!(fixtures.iter().any(|fixture| fixture["skips"] == true));
}

#[test]
fn yrs_takes_what_yjs_wrote() {
    for fixture in fixtures("accepted") {
        let doc = Doc::new();
        let update = Update::decode_v1(&bytes(&fixture)).unwrap();
        doc.transact_mut().apply_update(update).unwrap();
        let state = doc.transact().encode_state_as_update_v1(&StateVector::default());
        scan(&state).unwrap_or_else(|error| panic!("{}: {error}", fixture["name"]));
    }
}

#[test]
fn what_yrs_reads_differently_is_refused() {
    let fixtures = fixtures("refused");
    assert!(fixtures.len() >= 4);
    for fixture in fixtures {
        let (name, why) = (&fixture["name"], fixture["why"].as_str().unwrap());
        let error = scan(&bytes(&fixture)).expect_err(fixture["name"].as_str().unwrap());
        assert!(error.to_string().contains(why), "{name}: {error}");
    }
}
