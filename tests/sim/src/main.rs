//! Runs worlds: one with its story, or many with their sum.
//!
//! ```text
//! HITHER_SEED=7 cargo run -p hither-sim -- --trace     one seed, every event
//! cargo run --release -p hither-sim -- 10000           so many seeds, from HITHER_SEED_BASE on
//! ```

use hither_sim::{Counts, Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("HITHER_SEED") {
        Some(seed) => (seed, 1),
        None => {
            let count = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(100);
            (number("HITHER_SEED_BASE").unwrap_or(0), count)
        }
    };
    let is_traced = arguments.iter().any(|argument| argument == "--trace");
    let goes_on = arguments.iter().any(|argument| argument == "--go-on");
    // A panic is a finding like others, and its place is worth a line; once.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("panicked at {}", panic.location().map(ToString::to_string).unwrap_or_default());
    }));
    let mut totals = Counts::new();
    let (mut failures, started) = (0, std::time::Instant::now());
    for seed in first..first + count {
        match run(&Options { is_traced, ..Options::from_seed(seed) }) {
            Ok(report) => {
                for (what, times) in report.counts {
                    *totals.entry(what).or_default() += times;
                }
            }
            Err(failure) => {
                failures += 1;
                if goes_on {
                    println!("seed {seed} at {} ms: {:.300}", failure.at, failure.what);
                } else {
                    println!("{failure}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    for (what, times) in &totals {
        println!("{times:>9} {what}");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{count} seeds, {failures} failures, {:.1} seeds a second", count as f64 / seconds);
    if failures > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
