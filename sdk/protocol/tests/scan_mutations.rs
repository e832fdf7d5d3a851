//! Damaged updates: the scanner never panics, and whatever it lets through, yrs decodes.
#![allow(clippy::unwrap_used)]

mod yrs_world;

use hither_protocol::scan::scan;
use std::panic::{AssertUnwindSafe, catch_unwind};
use yrs::updates::decoder::Decode;
use yrs::{Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update};
use yrs_world::{Dice, ours, updates};

/// The stack that WebAssembly in a page has, and half of what a thread usually gets.
const SMALL_STACK: usize = 1 << 20;

fn on_a_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(SMALL_STACK);
        builder.spawn_scoped(scope, work).unwrap().join().unwrap()
    })
}

/// `HITHER_SEEDS=1000..90000` hunts longer than an ordinary run does.
fn seeds(ordinary: u64) -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("HITHER_SEEDS") else { return 0..ordinary };
    let (from, to) = asked.split_once("..").expect("HITHER_SEEDS is from..to");
    from.parse().unwrap()..to.parse().unwrap()
}

fn document() -> Doc {
    Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::default() })
}

/// Applies bytes that the scanner accepted, first to `before` and then to a document of their own.
fn assert_harmless(bytes: &[u8], before: &[Vec<u8>], what: &str) {
    let found = scan(bytes).unwrap();
    let decoded = catch_unwind(|| Update::decode_v1(bytes))
        .unwrap_or_else(|_| panic!("{what}: yrs panics on decoding {bytes:?}"))
        .unwrap_or_else(|error| panic!("{what}: yrs refuses {bytes:?}: {error}"));
    assert_eq!(found.inserts, ours(&decoded.insertions(true)), "{what}: {bytes:?}");
    assert_eq!(found.deletes, ours(decoded.delete_set()), "{what}: {bytes:?}");
    for before in [before, &[]] {
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let doc = document();
            for update in before {
                doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
            }
            // An error is fine here: whether a parent is a container is the document's to know.
            let _ = doc.transact_mut().apply_update(Update::decode_v1(bytes).unwrap());
            doc.transact().encode_state_as_update_v1(&StateVector::default())
        }));
        assert!(applied.is_ok(), "{what}: yrs panics on applying {bytes:?} after {before:?}");
    }
}

#[test]
fn no_prefix_of_an_update_is_an_update() {
    for seed in 0..40 {
        for update in updates(seed, 25) {
            for cut in 0..update.len() {
                assert!(scan(&update[..cut]).is_err(), "seed {seed}, {cut} bytes of {update:?}");
            }
            let longer = [&update[..], &[0]].concat();
            assert!(scan(&longer).is_err(), "seed {seed}, a byte behind {update:?}");
        }
    }
}

#[test]
fn a_damaged_update_is_refused_or_harmless() {
    on_a_small_stack(|| {
        let (mut accepted, mut refused) = (0, 0);
        for seed in seeds(400) {
            let mut dice = Dice::new(seed ^ 0xdead);
            let written = updates(seed, 12);
            for (index, update) in written.iter().enumerate().filter(|(_, update)| update.len() < 400) {
                for _ in 0..20 {
                    let damaged = damage(&mut dice, update, &written);
                    match scan(&damaged) {
                        Err(_) => refused += 1,
                        Ok(_) => {
                            accepted += 1;
                            assert_harmless(&damaged, &written[..index], &format!("seed {seed}"));
                        }
                    }
                }
            }
        }
        println!("{accepted} accepted, {refused} refused");
        assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
    });
}

#[test]
fn noise_is_refused_or_harmless() {
    on_a_small_stack(|| {
        for seed in seeds(200_000) {
            let mut dice = Dice::new(seed);
            // Small numbers are what structure is made of.
            let length = 2 + dice.below(24);
            let noise: Vec<u8> = (0..length)
                .map(|_| if dice.below(4) == 0 { dice.below(256) } else { dice.below(10) } as u8)
                .collect();
            if scan(&noise).is_ok() {
                assert_harmless(&noise, &[], &format!("noise {seed}"));
            }
        }
    });
}

fn damage(dice: &mut Dice, update: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = update.to_vec();
    for _ in 0..1 + dice.below(2) {
        let at = dice.below(bytes.len() as u32) as usize;
        match dice.below(6) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = bytes[at].wrapping_add(1),
            2 => bytes[at] = bytes[at].wrapping_sub(1),
            3 => bytes[at] = *dice.pick(&[0, 1, 2, 7, 10, 0x7f, 0x80, 0xff]),
            4 => {
                // A piece of another update, in place of as many bytes.
                let other = dice.pick(others);
                let from = dice.below(other.len() as u32) as usize;
                let length = (1 + dice.below(6) as usize).min(other.len() - from).min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&other[from..from + length]);
            }
            _ => {
                let length = (1 + dice.below(3) as usize).min(bytes.len() - at);
                let piece = bytes[at..at + length].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}
