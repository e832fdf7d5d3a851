//! The command `hither-relay`.

use clap::Parser;
use hither_relay::{
    compaction::process::{self, Worker},
    config::{Config, Durability, Flags, LogFormat, StoreAddress},
    log::RoomLog,
    server,
};
use std::{process::ExitCode, sync::Arc, time::Duration};

/// How long threads that still work at the end are waited for. A compaction takes up to a minute, is not needed, and its
/// process ends with this one; a read of the log is over sooner.
const THREADS_WITHIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == process::ARGUMENT) {
        return process::serve();
    }
    let mut config = match Flags::parse().resolve() {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    if let Err(error) = config.fit_descriptors() {
        return fail(&error);
    }
    match std::env::current_exe() {
        Ok(program) => config.compaction = Worker::Process(program),
        Err(error) => return fail(&error),
    }
    let filter = match config.tracing_filter() {
        Ok(filter) => filter,
        Err(error) => return fail(&error),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // In a file, colours are noise.
    let logs = logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match config.log {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    // Before the store is opened: damage in the embedded store's own files can make it ask for more memory than there is,
    // which ends the process with no word of where it was.
    eprintln!("hither-relay {}\n{config}", env!("CARGO_PKG_VERSION"));
    let log = match config.open_log() {
        Ok(log) => log,
        Err(error) => return fail(&error),
    };
    let ended = runtime.block_on(run(config, log.clone()));
    runtime.shutdown_timeout(THREADS_WITHIN);
    // Not left to the last reference: rooms in memory hold each other, and it.
    log.close();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

async fn run(config: Config, log: Arc<dyn RoomLog>) -> Result<(), Box<dyn std::error::Error>> {
    let listener = server::listen(config.listen)?;
    if let (StoreAddress::File(_), Durability::Relaxed) = (&config.store, config.durability) {
        // Not a log line: no filter hides it.
        eprintln!(
            "WARNING: durability is relaxed. Edits are acknowledged before they are synced to the disk: a power cut \
             or a crash of the system loses the last of them, although their authors were told that they are saved. \
             After every end that is not clean, clients read all rooms afresh and bring back what they have."
        );
    }
    // Before anybody is told: whoever waits for the line may ask it to end at once.
    let shutdown = signals()?;
    // The one line on standard output: scripts wait for it and read the port.
    println!("listening on http://{}", listener.local_addr()?);
    server::run(listener, config, log, shutdown).await?;
    Ok(())
}

/// Resolves when the process is asked to end.
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM"),
            _ = int.recv() => tracing::info!("SIGINT"),
        }
    })
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprint!("hither-relay: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ExitCode::FAILURE
}
