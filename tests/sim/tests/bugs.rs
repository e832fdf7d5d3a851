//! The checkers are worth something: each planted bug is found within the number of seeds that it states.

use hither_sim::{Bug, Options, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn every_planted_bug_is_found() {
    // A panic is one way to find a bug; its words are not needed here.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, missed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&(bug, seeds)) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = (0..seeds).find_map(|seed| {
                        let failure = run(&Options::from_seed(seed).with_bug(bug)).err()?;
                        Some((seed + 1, failure.what))
                    });
                    match found {
                        Some((after, what)) => {
                            println!("{bug:?}: found after {after} of {seeds}: {what:.120}")
                        }
                        None => missed.lock().expect("no world panics out of its run").push(bug),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().expect("no world panics out of its run");
    assert!(missed.is_empty(), "planted and not found: {missed:?}");
    assert!(Bug::ALL.len() >= 20);
}
