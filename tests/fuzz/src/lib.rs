//! What must hold for any bytes that a peer or a disk may hold against us. A target takes bytes and panics if it does not.
//!
//! | target | the bytes are | must hold |
//! |---|---|---|
//! | [`frames`] | messages on `/sync`, cut anywhere | typed errors; what reads back is what was read; memory by what came |
//! | [`yjs`] | one message on `/yjs`, awareness among them | the same |
//! | [`scan`](scan::one) | an update | what is accepted, yrs decodes and finds the same ids in |
//! | [`apply`](apply::all) | updates, those that are ready as the log would hold them | yrs takes them without a panic; compaction and document agree |
//! | [`client`](apply::client) | updates from a hostile relay | an error event or a closed connection, and the state can be read |
//! | [`store`](store::journal) | damage to a store's journal | refused, or all but the last commit is there |
//! | [`store`](store::directory) | damage to any of its files | a typed error or a store that answers |
//!
//! `tests/short.rs` runs each over `corpus/` and over mutations of it in the ordinary tests; `libfuzzer/` runs the same
//! functions for hours, led by coverage (README.md).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // a panic is what a target has to say

pub mod apply;
pub mod frames;
pub mod mutate;
pub mod scan;
pub mod store;
pub mod yjs;

/// A target and its name, which is also the name of its corpus and of its libFuzzer program.
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Panics if something does not hold for these bytes.
    pub run: fn(&[u8]),
    /// Mutations that a short run tries: about five seconds' worth in an unoptimised build.
    pub tries: u64,
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "frames", run: frames::messages, tries: 40_000 },
    Target { name: "yjs", run: yjs::message, tries: 40_000 },
    Target { name: "scan", run: scan::one, tries: 30_000 },
    Target { name: "apply", run: apply::all, tries: 4_000 },
    Target { name: "client", run: apply::client, tries: 3_000 },
    Target { name: "journal", run: store::journal, tries: 25 },
    Target { name: "directory", run: store::directory, tries: 25 },
];

/// Updates out of one input: each behind its length in two bytes, the last one to the end.
pub(crate) fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (piece, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// The inverse of [`pieces`], for whoever writes a corpus.
pub fn join<'a>(updates: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut joined = Vec::new();
    for update in updates {
        joined.extend((update.len() as u16).to_be_bytes());
        joined.extend(update);
    }
    joined
}
