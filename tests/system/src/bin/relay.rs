//! The relay that tests start and kill: the flags, the file store and the server of `hither-relay`.
#![forbid(unsafe_code)]

use clap::Parser;
use hither_relay::config::Flags;
use hither_relay::server;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Flags::parse().resolve()?;
    config.fit_descriptors()?;
    let log = config.open_log()?;
    let listener = server::listen(config.listen)?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut term = signal(SignalKind::terminate())?;
    let ended = server::run(listener, config, log.clone(), async move {
        term.recv().await;
    })
    .await;
    log.close();
    ended?;
    Ok(())
}
