//! Runs a program and writes down what it does to one directory, before it can do the next thing; on request some of
//! its calls fail. Tests put a relay under it to cut its power ([`hither_system_tests::disk`]) or to fill its disk.
//!
//! ```text
//! system-recorder --root DIR --record FILE [--refuse space --with ENOSPC --after 100 --times 1] PROGRAM ARGUMENTS…
//! ```
//!
//! It stops the program at both ends of every system call, as a debugger does: no library is put under the program, and
//! nothing escapes. When it is killed, the program is killed in the same moment by the kernel. A refused call is never
//! made: the kernel gets one that cannot succeed, and the program gets the error that was asked for.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod tracer;

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs a program and writes down what it does to a directory.
#[derive(Parser)]
struct Flags {
    /// The directory
    #[arg(long)]
    root: PathBuf,
    /// The record is written to this file
    #[arg(long)]
    record: PathBuf,
    /// Let such calls fail
    #[arg(long)]
    refuse: Option<Refuse>,
    /// The error that they fail with
    #[arg(long, default_value = "EIO")]
    with: Failure,
    /// So many of them succeed before
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// So many of them fail; the ones behind succeed again [default: all]
    #[arg(long)]
    times: Option<u64>,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true)]
    program: Vec<String>,
}

/// Calls that can fail.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Refuse {
    /// Everything that needs space: writes, new lengths, new names.
    Space,
    /// Syncs.
    Sync,
}

/// What a disk says.
#[derive(Clone, Copy, ValueEnum)]
enum Failure {
    /// No space is left.
    #[value(name = "ENOSPC")]
    NoSpace,
    /// The device failed.
    #[value(name = "EIO")]
    Io,
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match tracer::run(&Flags::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("system-recorder: {error}");
            ExitCode::from(99)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    let Flags { root, record, refuse: _, with: _, after: _, times: _, program } = Flags::parse();
    eprintln!("system-recorder: only on Linux: {program:?} {} {}", root.display(), record.display());
    ExitCode::from(99)
}
