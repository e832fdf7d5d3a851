//! Every target over its corpus and over mutations of it, the same ones in every run.
//!
//! `HITHER_SEEDS=0..1000000 cargo test -p hither-fuzz --test short scan` hunts for longer. The seed that was tried last
//! stands in `target/tmp/TARGET.seed`: where an input ends the process, that is the one.
#![allow(clippy::unwrap_used)]

use fastrand::Rng;
use hither_fuzz::mutate::mutate;
use hither_fuzz::{TARGETS, Target};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The stack that WebAssembly in a page has, and half of what a thread usually gets.
const SMALL_STACK: usize = 1 << 20;

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn seeds(ordinary: u64) -> Range<u64> {
    let Ok(asked) = std::env::var("HITHER_SEEDS") else { return 0..ordinary };
    let (from, to) = asked.split_once("..").expect("HITHER_SEEDS is from..to");
    from.parse().unwrap()..to.parse().unwrap()
}

fn holds(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let thread = std::thread::Builder::new().stack_size(SMALL_STACK).spawn(move || {
        let files = corpus(target.name);
        assert!(files.len() >= 3, "{} has {} inputs", target.name, files.len());
        for (file, bytes) in &files {
            run(target, bytes, file);
        }
        let inputs: Vec<Vec<u8>> = files.into_iter().map(|(_, bytes)| bytes).collect();
        let last = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.seed", target.name)))
            .unwrap();
        for seed in seeds(target.tries) {
            last.write_all_at(format!("{seed:20}\n").as_bytes(), 0).unwrap();
            run(
                target,
                &mutate(&mut Rng::with_seed(seed), &inputs),
                &format!("HITHER_SEEDS={seed}..{}", seed + 1),
            );
        }
    });
    thread.unwrap().join().unwrap();
}

fn run(target: &Target, bytes: &[u8], what: &str) {
    let held = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    assert!(held.is_ok(), "{} fails for {what}: {bytes:?}", target.name);
}

#[test]
fn frames_hold_for_any_bytes() {
    holds("frames");
}

#[test]
fn yjs_messages_hold_for_any_bytes() {
    holds("yjs");
}

#[test]
fn the_scanner_holds_for_any_bytes() {
    holds("scan");
}

#[test]
fn yrs_takes_whatever_a_log_can_hold() {
    holds("apply");
}

#[test]
fn a_client_outlives_whatever_a_relay_sends() {
    holds("client");
}

#[test]
fn a_damaged_journal_is_refused_or_loses_only_its_end() {
    holds("journal");
}

#[test]
fn a_damaged_directory_is_refused_or_answers() {
    holds("directory");
}

/// libFuzzer runs what this test runs.
#[test]
fn every_target_has_a_program_for_libfuzzer() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
    let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let program = fs::read_to_string(dir.join(format!("fuzz_targets/{}.rs", target.name))).unwrap();
        assert!(program.contains("hither_fuzz::"), "{}", target.name);
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
    }
}
