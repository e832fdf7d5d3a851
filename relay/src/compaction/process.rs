//! Compaction in a process of its own. The CRDT is a large library that reads bytes of strangers; where it
//! overflows a stack or reads freed memory, a thread would take the relay with it. A process takes only itself:
//! the room is marked and goes on from its raw log.
//!
//! ```text
//!   relay ──stdin: varint(length) bytes …──► hither-relay compact ──stdout: the snapshot──► relay
//! ```
//!
//! The first input is the snapshot, empty if there is none; the entries follow. An error is the exit code
//! [`REFUSED`] and a text on standard error.

use super::{CompactionError, CompactionLimits, compact_within};
use bytes::Bytes;
use hither_protocol::varint;
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
    let written = child.stdin.take().map_or(Ok(()), |stdin| write_inputs(BufWriter::new(stdin), inputs));
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

fn write_inputs<'a>(mut out: impl Write, inputs: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    let mut head = Vec::new();
    for input in inputs {
        head.clear();
        varint::write(&mut head, input.len() as u64);
        out.write_all(&head)?;
        out.write_all(input)?;
    }
    out.flush()
}

/// The worker's whole life: reads standard input to its end, compacts, writes standard output.
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
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let mut left = Bytes::from(bytes);
    let mut inputs = Vec::new();
    while !left.is_empty() {
        let length = varint::read(&mut left)?;
        if length > left.len() as u64 {
            return Err("the inputs end early".into());
        }
        inputs.push(left.split_to(length as usize));
    }
    let mut inputs = inputs.iter().map(|input| &input[..]);
    let snapshot = inputs.next().filter(|snapshot| !snapshot.is_empty());
    let update = compact_within(snapshot, inputs, limits)?;
    io::stdout().lock().write_all(&update)?;
    Ok(())
}
