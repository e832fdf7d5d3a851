//! Measures a relay beside its peers and beside bare broadcasts, in one run on one machine.
//!
//! ```sh
//! npm run bench       # builds and installs what it needs, runs this and the client's part
//! hither-bench run --relay target/release/hither-relay [--amount small|quick|full] [--json FILE]
//! ```
//!
//! Each server is pinned to one processor, and whoever starts this pins it to another. What counts are ratios within the run and
//! CPU seconds of the server from /proc; seconds on the wall are shown where a person would wait for them. Figures are medians.
//! Every receiver checks that it got everything, and no more.
#![forbid(unsafe_code)]

mod bare;
mod crowd;
mod durable;
mod fanout;
mod history;
mod report;
mod server;
mod speech;
mod work;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "hither-bench", about = "Measures a Hither relay beside its peers")]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything and print it
    Run {
        /// The relay's binary, built with --release
        #[arg(long)]
        relay: PathBuf,
        /// tests/bench/peers with its packages installed
        #[arg(long)]
        peers: Option<PathBuf>,
        /// The binary of tests/bench/peers/yrs-axum
        #[arg(long)]
        yrs_axum: Option<PathBuf>,
        /// The binary of y-sweet
        #[arg(long)]
        y_sweet: Option<PathBuf>,
        /// How much of everything
        #[arg(long, value_enum, default_value = "full")]
        amount: work::Amount,
        /// Only these works, by their names in the JSON
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Also write the figures here
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Be a bare broadcast (started by `run`)
    Bare { how: bare::How },
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(async {
        match Flags::parse().command {
            Command::Run { relay, peers, yrs_axum, y_sweet, amount, only, json } => {
                let programs = server::Programs { relay, peers, yrs_axum, y_sweet };
                work::run(work::Plan { programs, amount, only, json }).await
            }
            Command::Bare { how } => bare::serve(how).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("hither-bench: {error}");
    ExitCode::FAILURE
}

/// Why a measurement has no figure: one that is not whole is none.
pub(crate) type Failed = Box<dyn std::error::Error>;
