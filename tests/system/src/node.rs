//! A relay inside the test: the server of `hither-relay` over a log that the test may look into.

use crate::people::within;
use hither_relay::config::Config;
use hither_relay::log::file::{FileOptions, OpenError};
use hither_relay::log::{FileLog, RoomLog};
use hither_relay::server;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running relay.
pub struct TestNode {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl TestNode {
    /// Starts a relay with the default limits on a port of the system's choice.
    pub fn start(log: Arc<dyn RoomLog>) -> TestNode {
        Self::start_with(log, Config::default())
    }

    /// Starts a relay with other limits.
    pub fn start_with(log: Arc<dyn RoomLog>, config: Config) -> TestNode {
        let listener = server::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config { listen: address, retry_after: Duration::from_millis(50), ..config };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server::run(listener, config, log, async {
            // A dropped node stops, too.
            let _ = stopped.await;
        }));
        TestNode { address, stop, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `/sync`.
    pub fn url(&self) -> String {
        format!("ws://{}/sync", self.address)
    }

    /// A clean shutdown; the log is nobody's afterwards.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        within("the relay to shut down", self.task).await.unwrap().unwrap();
    }
}

/// Opens the data directory of a relay that was killed, as soon as the system has let go of it.
pub async fn file_log(dir: &Path) -> Arc<FileLog> {
    within("the data directory to be free", async {
        loop {
            match FileLog::open(dir, &FileOptions::default()) {
                Ok(log) => return Arc::new(log),
                Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}
