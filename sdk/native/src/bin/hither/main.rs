//! `hither`: rooms of a relay from the command line. Arguments are described in `args`, what they do in `work`.
#![forbid(unsafe_code)]

mod args;
mod work;

use clap::Parser;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match work::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has had enough.
        Err(work::Failure::Unread) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hither: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
