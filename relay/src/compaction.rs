//! Compaction: a snapshot and the entries after it become one new snapshot.
//!
//! The only place of the relay that decodes a CRDT, off the hot path: a short-lived document takes all of
//! it in, its encoding is the new snapshot. Merging updates without a document would be quadratic and would
//! never forget what was deleted.
//!
//! [`compact`] is a pure function of bytes. It gives a snapshot only if it can vouch for it: its own
//! output is scanned again and must hold exactly the ids of its inputs and all of their deletions, those of what
//! nobody has written among them. It may hold more deletions, as every client's document would: what loses against a
//! concurrent write, and what was in a deleted container. If it cannot vouch, the room keeps working from its raw log.
//!
//! [`Compactor`] decides when, one room at a time.

mod compactor;
pub mod process;

use std::{
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use crate::panicked;
use hither_protocol::{
    contents::Contents,
    id_set::IdSet,
    limits::MAX_SNAPSHOT_BYTES,
    scan::{ScanError, scan},
};
use yrs::{Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode};

pub use compactor::{CompactionPolicy, Compactor, Moment, Outcome};

/// Stack of the thread that holds the document. Updates nest at most as deep as the scanner allows; this is
/// address space, touched only if it is needed.
const STACK_BYTES: usize = 64 << 20;
/// Updates applied in one transaction; between them the clock is looked at. yrs joins what follows on each other at a
/// transaction's end, from the last to the first, and copies what it has joined so far each time: 10,000 keystrokes in
/// a row take 52 ms in one transaction, 8 in twenty.
const UPDATES_PER_TRANSACTION: usize = 500;

/// What one compaction may take.
#[derive(Debug, Clone, Copy)]
pub struct CompactionLimits {
    /// Bytes of snapshot and entries together. Default 256 MiB. The document takes about ten times as much
    /// memory when the entries are single keystrokes, about as much when they are large.
    pub input_bytes: usize,
    /// How long it may run. Default one minute: a document of 1,000,000 keystrokes takes a second.
    pub time: Duration,
}

impl Default for CompactionLimits {
    fn default() -> Self {
        CompactionLimits { input_bytes: MAX_SNAPSHOT_BYTES, time: Duration::from_secs(60) }
    }
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// An input is no update. The log holds none such, unless it is older than the scanner's rules.
    #[error("input {index} (0: the snapshot or first entry) is not a sound update")]
    Malformed {
        /// Its place among the inputs.
        index: usize,
        /// What the scanner found.
        #[source]
        cause: ScanError,
    },
    /// Yrs refuses an update that the scanner let pass.
    #[error("input {index} (0: the snapshot or first entry) is refused: {cause}")]
    Refused {
        /// Its place among the inputs.
        index: usize,
        /// What yrs said.
        cause: String,
    },
    /// An update refers to something that the log does not hold (yet). A snapshot would lose it.
    #[error("some updates wait for others that are not in the log")]
    Missing,
    /// More than [`CompactionLimits`] allow.
    #[error("{bytes} bytes to compact, the limit is {limit}")]
    TooLarge {
        /// What there is.
        bytes: usize,
        /// What may be.
        limit: usize,
    },
    /// It took longer than [`CompactionLimits`] allow.
    #[error("gave up after {0:?}")]
    TooSlow(Duration),
    /// The result is not equal to the inputs.
    #[error("the snapshot would not hold what its inputs hold: {0}")]
    Unfaithful(&'static str),
    /// The document panicked.
    #[error("the document panicked: {0}")]
    Panicked(String),
    /// The process that compacted ended without a word.
    #[error("the compacting process ended: {0}")]
    Crashed(String),
    /// One of the other errors, told by the process that compacted.
    #[error("{0}")]
    Elsewhere(String),
}

/// One update equal to `snapshot` and `entries`, with [`CompactionLimits::default`].
///
/// Runs on a thread of its own and blocks until it ends; a panic of the document is an error.
pub fn compact<'a>(
    snapshot: Option<&'a [u8]>,
    entries: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, CompactionError> {
    compact_within(snapshot, entries, &CompactionLimits::default())
}

/// Like [`compact`], with other limits.
pub fn compact_within<'a>(
    snapshot: Option<&'a [u8]>,
    entries: impl Iterator<Item = &'a [u8]>,
    limits: &CompactionLimits,
) -> Result<Vec<u8>, CompactionError> {
    let inputs: Vec<&[u8]> = snapshot.into_iter().chain(entries).collect();
    let bytes = inputs.iter().map(|input| input.len()).sum();
    if bytes > limits.input_bytes {
        return Err(CompactionError::TooLarge { bytes, limit: limits.input_bytes });
    }
    thread::scope(|scope| {
        let work = || run(&inputs, limits);
        let thread = thread::Builder::new()
            .name("hither-compaction".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|e| CompactionError::Panicked(format!("no thread: {e}")))?;
        thread.join().unwrap_or_else(|panic| Err(CompactionError::Panicked(panicked::message(&*panic))))
    })
}

fn run(inputs: &[&[u8]], limits: &CompactionLimits) -> Result<Vec<u8>, CompactionError> {
    let started = Instant::now();
    let in_time = || match started.elapsed() {
        elapsed if elapsed > limits.time => Err(CompactionError::TooSlow(elapsed)),
        _ => Ok(()),
    };

    let (mut contents, mut needs) = (Contents::new(), IdSet::new());
    for (index, input) in inputs.iter().enumerate() {
        let scan = scan(input).map_err(|cause| CompactionError::Malformed { index, cause })?;
        contents.absorb(&scan);
        needs.merge(&scan.needs);
    }
    // A hole in a client's ids means that something waits. Found here because it is cheap here: a document
    // merges what waits again and again.
    let is_hole = |(_, ranges): (u64, &[Range<u32>])| ranges.len() != 1 || ranges[0].start != 0;
    if contents.inserts.iter().any(is_hole) || !contents.inserts.covers(&needs) {
        return Err(CompactionError::Missing);
    }

    let doc = Doc::with_options(Options {
        // What every other Yjs counts in.
        offset_kind: OffsetKind::Utf16,
        // Forgetting what was deleted is half of what compaction is for.
        skip_gc: false,
        // Would delete formatting marks that no client deleted: not ours to decide.
        cleanup_formatting: false,
        ..Options::default()
    });
    let mut left = inputs.iter().enumerate();
    loop {
        in_time()?;
        let mut transaction = doc.transact_mut();
        let mut applied = 0;
        for (index, input) in left.by_ref().take(UPDATES_PER_TRANSACTION) {
            let refused = |cause: String| CompactionError::Refused { index, cause };
            let update = Update::decode_v1(input).map_err(|e| refused(e.to_string()))?;
            transaction.apply_update(update).map_err(|e| refused(e.to_string()))?;
            applied += 1;
        }
        if applied == 0 {
            break;
        }
    }
    in_time()?;
    // Deletions of what is not there (yet) are among it: anybody may write some, and they must not stop this for good.
    let snapshot = doc.transact().encode_state_as_update_v1(&StateVector::default());
    vouch(&contents, &snapshot)?;
    Ok(snapshot)
}

/// Whether the snapshot holds what its inputs hold, and no id more.
fn vouch(inputs: &Contents, snapshot: &[u8]) -> Result<(), CompactionError> {
    let unfaithful = |what| Err(CompactionError::Unfaithful(what));
    if snapshot.len() > MAX_SNAPSHOT_BYTES {
        return Err(CompactionError::TooLarge { bytes: snapshot.len(), limit: MAX_SNAPSHOT_BYTES });
    }
    let Ok(scan) = scan(snapshot) else { return unfaithful("it does not scan") };
    if scan.skips {
        return unfaithful("it has holes");
    }
    if scan.inserts != inputs.inserts {
        return unfaithful("other ids");
    }
    if !scan.deletes.covers(&inputs.deletes) {
        return unfaithful("a deletion is missing");
    }
    let mut known = scan.inserts;
    if !known.covers(&scan.needs) {
        return unfaithful("it stands on what it does not hold");
    }
    known.merge(&inputs.deletes);
    if !known.covers(&scan.deletes) {
        return unfaithful("it deletes what nobody knows");
    }
    Ok(())
}
