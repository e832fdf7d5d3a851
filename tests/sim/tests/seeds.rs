//! Worlds from a list of seeds: whatever breaks in them, no promise does.
//!
//! They begin at the name of the commit: every commit is tried in worlds that nobody has seen yet, the same for everybody
//! who has it. `HITHER_SEED_BASE` is another beginning, `HITHER_SEEDS` says how many.

use hither_sim::{Counts, Failure, Fault, Options, run};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Two cores run so many in a minute.
const SEEDS: u64 = 3_000;

fn base() -> u64 {
    match std::env::var("HITHER_SEED_BASE") {
        Ok(number) => number.parse().expect("HITHER_SEED_BASE is a number"),
        Err(_) => commit().unwrap_or(0),
    }
}

/// The first 52 bits of the commit's name, if this is a repository.
fn commit() -> Option<u64> {
    let git = Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let name = String::from_utf8(git.stdout).ok()?;
    u64::from_str_radix(name.get(..13)?, 16).ok()
}

fn count() -> u64 {
    std::env::var("HITHER_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

/// Runs worlds, each on one thread, as many at a time as there are cores.
fn run_all(seeds: std::ops::Range<u64>) -> Result<Counts, Box<Failure>> {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Ok(Counts::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| seeds.contains(seed))
                {
                    let ran = run(&Options::from_seed(seed));
                    let mut sum = sum.lock().expect("no world panics out of its run");
                    match (&mut *sum, ran) {
                        (Ok(totals), Ok(report)) => {
                            for (what, times) in report.counts {
                                *totals.entry(what).or_default() += times;
                            }
                        }
                        (Ok(_), Err(failure)) => {
                            *sum = Err(failure);
                            next.store(seeds.end, Ordering::Relaxed);
                        }
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    sum.into_inner().expect("no world panics out of its run")
}

/// What must have happened at least once, or the worlds prove nothing.
const HAPPENED: &[&str] = &[
    "acks sent",
    "acks without an entry",
    "appends refused by a full store",
    "appends that happened and were never answered",
    "appends that happened in part",
    "batches for a disk that was emptied",
    "batches refused by a full disk",
    "batches lost in a crash",
    "batches written and never answered",
    "compactions",
    "connections closed by the relay",
    "disconnects by the application",
    "edits",
    "entries that overlap",
    "failed appends",
    "failed appends that happened",
    "failed batches",
    "failed connection attempts",
    "failed loads",
    "first joins with content",
    "hints",
    "imports",
    "messages lost",
    "messages through narrow wires",
    "outboxes merged on the disk",
    "presence sent",
    "reads that the store refused",
    "receipts from the disk",
    "receipts from the relay",
    "replays",
    "resets of a known cursor",
    "rooms agreed on",
    "rooms closed",
    "pushes as large as the relay takes",
    "rooms with edits that stand on what is lost",
    "snapshots sent",
    "torn rows found",
    "updates sent",
];

#[test]
fn no_promise_is_broken_whatever_breaks_and_everything_did_break() {
    let (base, count) = (base(), count());
    println!("{count} seeds from {base}");
    let totals = run_all(base..base + count).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{totals:#?}");
    // A few hundred worlds need not see everything.
    if count >= 1_000 {
        for what in HAPPENED.iter().copied().chain(Fault::ALL.map(Fault::name)) {
            assert!(totals.contains_key(what), "{what}: never in {count} seeds from {base}");
        }
    }
}

#[test]
fn a_world_is_a_function_of_its_seed() {
    for seed in [3, 19, 40] {
        let (first, second) = (run(&Options::from_seed(seed)), run(&Options::from_seed(seed)));
        assert_eq!(first.expect("a good seed"), second.expect("a good seed"));
    }
}

/// Seeds that failed once, each with what it found.
const REGRESSIONS: &[(u64, &str)] = &[
    (0, "a room closed before its Join was answered, and opened again, joined twice"),
    (5, "the patch of initial content came after the patch of the edit that planted it"),
    (7, "a clock set back an hour moved the retry of a failed batch an hour away"),
    (19, "a room opened while its namesake still wrote read the disk too early"),
    (28, "what waited in the outbox was pushed before the lost content under it"),
    (40, "a snapshot newer than Joined's head was taken for a violation"),
    (61, "an acknowledgement owed to a slow reader moved its cursor back"),
    (90, "rows out of order made the CRDT keep a hole, and panic over it"),
    (108, "a clock set back an hour kept a client connecting for an hour"),
    (190, "a clock set back an hour kept a client from missing its dead connection"),
    (248, "a connection that was dead and not missed yet passed for quiet"),
    (
        64,
        "rows of a closed room reached the disk together with those of its next opening, which was not told",
    ),
    (1_236, "rows that did not fit into one update were pushed in the order of their keys"),
    (1_000_132, "the store and a row of the disk were lost, and an edit stood on what was in both"),
    (1_000_218, "a row torn between two updates passed for a whole one"),
    (1_000_491, "an edit that had waited for its base was not pushed when that came"),
    (236_827_442_999_125, "an edit of another tab was pushed before what it stood on"),
    (406, "a reset that was interrupted resumed in its middle and healed nothing"),
    (122_468_461_492_165, "what a late disk had in its outbox was pushed before the lost content under it"),
    (1_099, "what waited in a reset was missing on the relay, and nobody gave it when its base came"),
    (2_574, "one half of an edit was taken in, and what stood on that half was pushed without it"),
    (
        5_977,
        "a compaction ended before the append that it had read was answered, and the relay counted below zero",
    ),
    (2_869, "deletions that follow from others, and were on a disk only, passed for lost"),
    (
        1_003_245,
        "a room with nothing in the batch that found its disk emptied went on to say that it is saved",
    ),
    (1_004_207, "a room that had to ask for everything read its disk again and took the cursor from there"),
    (
        2_862_950_002_371_225,
        "the log lost the last piece of a large update, which alone said what the pieces before it had deleted",
    ),
    (40_007_721, "a socket that was to be closed and took nothing lived on, and its presence with it"),
    (50_000_178, "a head that was read before the last append passed for another log"),
    (100_021_614, "a snapshot newer than the head that a room had read counted below zero"),
    (70_011_361, "a deletion in front of what it deletes was missing in what the page was told"),
    (10_765, "a compaction that the room had not wished for kept everybody out who came without a cursor"),
    (
        3_724_281_277_223_834,
        "edits of a closed room waited a minute for a disk that was well again, and passed for quiet",
    ),
    (
        1_651_822_465_184_546,
        "a room read a disk that had lost everything once more, and went on to say that it is saved",
    ),
    (3_000_016_426, "edits that stand on what is lost, of a disk that was emptied since, passed for unrest"),
];

#[test]
fn seeds_that_failed_once_hold() {
    for (seed, found) in REGRESSIONS {
        if let Err(failure) = run(&Options::from_seed(*seed)) {
            panic!("{found}\n{failure}");
        }
    }
}
