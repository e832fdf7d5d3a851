//! Compaction in a process of its own. The CRDT is a large library that reads bytes of strangers; where it
//! overflows a stack or reads freed memory, a thread would take the relay with it. A process takes only itself:
//! the room is marked and goes on from its raw log.
//!
//! ```text
//!   relay ──stdin: total (length input)*──► hither-relay compact ──stdout: the snapshot──► relay
//! ```
//!
//! Numbers are 8 bytes, little-endian; the total is that of the bytes behind it. The first input is the snapshot, empty
//! if there is none; the entries follow. An error is the exit code [`REFUSED`] and a text on standard error. The relay
//! keeps standard input open until it has the answer: when it closes, nobody waits any more, and the worker ends.

use super::{CompactionError, CompactionLimits, compact_within};
use std::{
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

/// The argument by which the relay's program becomes the worker.
pub const ARGUMENT: &str = "compact";

/// The exit code of a worker that found out why there is no snapshot.
const REFUSED: u8 = 3;

/// Bytes of a number between the two.
const NUMBER: usize = 8;

/// What a worker gets on top of its own limit before it ends itself, stuck inside the CRDT.
const GRACE: Duration = Duration::from_secs(5);

/// Where compaction happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Worker {
    /// On a thread of this process: for tests, and for programs that embed the relay.
    Thread,
    /// In this program, started with [`ARGUMENT`]; see [`serve`].
    Process(PathBuf),
}

impl Worker {
    /// One update equal to `snapshot` and `entries`. Blocks until it is there.
    pub fn compact<'a>(
        &self,
        snapshot: Option<&'a [u8]>,
        entries: impl Iterator<Item = &'a [u8]>,
        limits: &CompactionLimits,
    ) -> Result<Vec<u8>, CompactionError> {
        match self {
            Worker::Thread => compact_within(snapshot, entries, limits),
            Worker::Process(program) => {
                let inputs = std::iter::once(snapshot.unwrap_or_default()).chain(entries);
                compact_in(program, inputs)
                    .unwrap_or_else(|error| Err(CompactionError::Crashed(error.to_string())))
            }
        }
    }
}

fn compact_in<'a>(
    program: &Path,
    inputs: impl Iterator<Item = &'a [u8]>,
) -> io::Result<Result<Vec<u8>, CompactionError>> {
    let mut child = Command::new(program)
        .arg(ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let inputs: Vec<&[u8]> = inputs.collect();
    // Closed when this function ends.
    let stdin = child.stdin.take();
    let written = stdin.as_ref().map_or(Ok(()), |stdin| write_inputs(BufWriter::new(stdin), &inputs));
    let output = child.wait_with_output()?;
    Ok(match output.status.code() {
        Some(0) => {
            written.map(|()| output.stdout).map_err(|error| CompactionError::Crashed(error.to_string()))
        }
        Some(code) if code == i32::from(REFUSED) => {
            Err(CompactionError::Elsewhere(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
        }
        _ => Err(CompactionError::Crashed(output.status.to_string())),
    })
}

fn write_inputs(mut out: impl Write, inputs: &[&[u8]]) -> io::Result<()> {
    let total: usize = inputs.iter().map(|input| NUMBER + input.len()).sum();
    out.write_all(&(total as u64).to_le_bytes())?;
    for input in inputs {
        out.write_all(&(input.len() as u64).to_le_bytes())?;
        out.write_all(input)?;
    }
    out.flush()
}

/// The worker's whole life: reads its inputs, compacts, writes standard output.
pub fn serve() -> ExitCode {
    let limits = CompactionLimits::default();
    thread::spawn(move || {
        thread::sleep(limits.time + GRACE);
        // Whoever is stuck inside the CRDT cannot be asked to stop.
        std::process::abort();
    });
    match work(&limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(REFUSED)
        }
    }
}

fn work(limits: &CompactionLimits) -> Result<(), Box<dyn std::error::Error>> {
    let mut total = [0; NUMBER];
    io::stdin().read_exact(&mut total)?;
    let total = u64::from_le_bytes(total);
    let mut bytes = Vec::new();
    io::stdin().take(total).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != total {
        return Err("the inputs end early".into());
    }
    thread::spawn(|| {
        // Nothing more comes: this returns when the relay has closed its end, or is gone.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(i32::from(REFUSED));
    });
    let mut left = &bytes[..];
    let mut inputs = Vec::new();
    while let Some((length, rest)) = left.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length))?;
        let (input, rest) = rest.split_at_checked(length).ok_or("an input ends early")?;
        inputs.push(input);
        left = rest;
    }
    let mut inputs = inputs.into_iter();
    let snapshot = inputs.next().filter(|snapshot| !snapshot.is_empty());
    let update = compact_within(snapshot, inputs, limits)?;
    io::stdout().lock().write_all(&update)?;
    Ok(())
}
