//! The update scanner against the CRDT that reads behind it.

use hither_protocol::contents::Contents;
use hither_protocol::id_set::IdSet;
use hither_protocol::scan::{Scan, scan, with_deletes};
use std::time::{Duration, Instant};
use yrs::Update;
use yrs::updates::decoder::Decode;

/// Far more than any input here may take, in the slowest build on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One update.
pub fn one(update: &[u8]) {
    let began = Instant::now();
    let scanned = scan(update);
    assert!(began.elapsed() < PATIENCE, "scanning {} bytes took {:?}", update.len(), began.elapsed());
    let Ok(found) = scanned else { return };
    hangs_together(update, &found);
    let decoded =
        Update::decode_v1(update).unwrap_or_else(|error| panic!("accepted, and yrs refuses it: {error}"));
    assert_eq!(found.inserts, ours(&decoded.insertions(true)), "inserts");
    assert_eq!(found.deletes, ours(decoded.delete_set()), "deletes");
}

fn hangs_together(update: &[u8], found: &Scan) {
    // Each range takes at least two bytes of the update: a scan is never larger than what it is of by more than a factor.
    let ranges = found.inserts.range_count() + found.deletes.range_count() + found.needs.range_count();
    assert!(ranges <= 2 * update.len(), "{ranges} ranges out of {} bytes", update.len());
    assert_eq!(found.needs.difference(&found.inserts), found.needs, "it needs what it brings");
    assert!(found.roots.is_sorted_by(|one, next| one.name < next.name), "{:?}", found.roots);
    let rewritten = with_deletes(update, found, &found.deletes);
    let again = scan(&rewritten).unwrap();
    assert_eq!(
        (&again.inserts, &again.deletes, &again.needs),
        (&found.inserts, &found.deletes, &found.needs)
    );
    let mut log = Contents::new();
    log.absorb(found);
    assert!(log.adds_nothing(found) && log.covers(&Contents::of(found)));
}

/// What yrs holds in a set of ids, as ours.
pub(crate) fn ours(set: &yrs::IdSet) -> IdSet {
    let clients =
        set.iter().map(|(client, ranges)| (client.get(), ranges.iter().cloned().collect::<Vec<_>>()));
    clients.collect()
}
