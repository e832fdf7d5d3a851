//! The relay that tests start and kill: the flags, the file store and the server of `hither-relay`.
#![forbid(unsafe_code)]

use clap::Parser;
use hither_relay::config::{Durability, Flags, StoreAddress};
use hither_relay::log::file::FileOptions;
use hither_relay::log::{FileLog, MemoryLog, RoomLog};
use hither_relay::server;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Flags::parse().resolve()?;
    let log: Arc<dyn RoomLog> = match &config.store {
        StoreAddress::Memory => Arc::new(MemoryLog::new()),
        StoreAddress::File(dir) => {
            let relaxed = config.durability == Durability::Relaxed;
            Arc::new(FileLog::open(dir, &FileOptions { relaxed, ..FileOptions::default() })?)
        }
    };
    let listener = server::listen(config.listen)?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut term = signal(SignalKind::terminate())?;
    server::run(listener, config, log, async move {
        term.recv().await;
    })
    .await?;
    Ok(())
}
