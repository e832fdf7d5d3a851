//! The simulator: the real client core and the real room logic of the relay in one thread, as a function of one
//! number. Network, disks, clocks, processes and people are made up; time is a queue of events.
//!
//! ```text
//!   workload ──► tabs (hither_core::Client) ◄──► wires ◄──► node (hither_relay::room::Room) ◄──► store
//!                 ▲        │                       ▲                  ▲                            ▲
//!   faults ───────┴────► disks ────────────────────┴──────────────────┴────────────────────────────┘
//!   checkers: wiretap (every frame), shell (receipts, patches, rows), healing (convergence)
//! ```
//!
//! A run has two halves. In the first, people work and things break, and after every event the promises that hold
//! at any time are checked. Then all faults stop, everything runs until it is quiet, and everybody must agree.
//!
//! | file | noun |
//! |---|---|
//! | `options` | what a run is made of |
//! | `world` | time, the queue of events, everything there is |
//! | `workload` | what people do |
//! | `faults` | what breaks |
//! | `tab`, `shell` | a client, and the platform that it runs on |
//! | `reader` | the application's view, from patches alone |
//! | `disk` | rows of a device |
//! | `network` | wires |
//! | `wiretap` | the protocol's promises, frame by frame |
//! | `node`, `backend` | the relay around its rooms, and its store at work |
//! | `store` | logs |
//! | `healing` | the second half, and what must be true at its end |
//! | `bug`, `tamper` | planted mistakes |
//!
//! A failure names its seed: `HITHER_SEED=7 cargo run -p hither-sim -- --trace`.
#![forbid(unsafe_code)]

mod backend;
mod bug;
mod disk;
mod faults;
mod healing;
mod network;
mod node;
mod options;
mod reader;
mod shell;
mod store;
mod tab;
mod tamper;
mod wiretap;
mod workload;
mod world;

pub use bug::Bug;
pub use options::{Fault, Options};

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How often what happened.
pub type Counts = BTreeMap<&'static str, u64>;

/// A run that ended as it should.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How often what happened.
    pub counts: Counts,
    /// The world's time at the end, in milliseconds.
    pub ended_at: u64,
    /// Events handled.
    pub events: u64,
}

/// A run that broke a promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was to be run.
    pub options: Options,
    /// The promise that was broken, or the panic.
    pub what: String,
    /// The world's time then, in milliseconds.
    pub at: u64,
    /// What happened last.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {} at {} ms: {}", self.options.seed, self.at, self.what)?;
        writeln!(f, "{:?}", self.options)?;
        write!(f, "HITHER_SEED={} cargo run -p hither-sim -- --trace", self.options.seed)
    }
}

/// Runs one world to its end.
pub fn run(options: &Options) -> Result<Report, Box<Failure>> {
    attempt(options).map_err(|(what, at, trace)| {
        // The same world again, written down: it is the same to the last event.
        let trace = if options.is_traced {
            trace
        } else {
            let traced = Options { is_traced: true, ..options.clone() };
            let mut trace = attempt(&traced).err().map(|(.., trace)| trace).unwrap_or_default();
            trace.drain(..trace.len().saturating_sub(60));
            trace
        };
        Box::new(Failure { options: options.clone(), what, at, trace })
    })
}

fn attempt(options: &Options) -> Result<Report, (String, u64, Vec<String>)> {
    let mut world = world::World::new(options.clone());
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let what = match ended {
        Ok(None) => return Ok(world.report()),
        Ok(Some(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("a panic: {}", text.unwrap_or("without words"))
        }
    };
    Err((what, world.now(), world.take_trace()))
}
