//! A client: one connection, one store, any number of open rooms.

use crate::Closed;
use crate::actor::{self, Ask, Command};
use crate::room::Room;
use crate::socket;
pub use crate::store::OpenFileError;
use crate::store::{FileStore, MemoryStore, Store};
use hither_core::status::Connection;
use hither_core::{Config, Hint, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Commands that wait for the client's task; whoever is past that waits in line.
const COMMANDS: usize = 64;

/// A client. Cheap to clone; all clones are the same client. It ends with [`Client::close`], or when the last handle
/// of it and of its rooms is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

/// What a client is made of; see [`Client::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    url: String,
    file: Option<PathBuf>,
    name: String,
    connect: bool,
}

/// Why a client does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of the relay cannot be one.
    #[error("{url:?} is no address of a relay (ws://… or wss://…): {cause}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The store file cannot be used.
    #[error(transparent)]
    Store(#[from] OpenFileError),
    /// The operating system has no randomness.
    #[error("no randomness: {0}")]
    Randomness(String),
}

/// Why a room does not open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The core refuses: the name, or the room is open already (clone its handle instead).
    #[error(transparent)]
    Refused(#[from] hither_core::OpenError),
    /// The client is closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Client {
    /// A client of the relay at `url`, for example `ws://127.0.0.1:4455/sync`.
    pub fn builder(url: impl Into<String>) -> Builder {
        let name = concat!("hither-client ", env!("CARGO_PKG_VERSION")).to_owned();
        Builder { url: url.into(), file: None, name, connect: true }
    }

    /// Opens a room; resolves when what this device has of it is read. A room is open once: a second opening is
    /// refused, clones of the first handle are the same room.
    pub async fn open(&self, name: &str, options: OpenOptions) -> Result<Room, OpenError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Open { name: name.to_owned(), options, reply };
        self.commands.send(command).await.map_err(|_| Closed)?;
        let (id, facts) = answer.await.map_err(|_| Closed)??;
        Ok(Room::new(id, name.into(), self.commands.clone(), facts))
    }

    /// Connects, and stays connected.
    pub async fn connect(&self) -> Result<(), Closed> {
        self.tell(|core, now| core.set_connect(now, true)).await
    }

    /// Cuts the connection until [`Client::connect`]. Rooms go on working.
    pub async fn disconnect(&self) -> Result<(), Closed> {
        self.tell(|core, now| core.set_connect(now, false)).await
    }

    /// The way to the relay, one for all rooms.
    pub async fn connection(&self) -> Result<Connection, Closed> {
        let (reply, answer) = oneshot::channel();
        self.tell(move |core, _| {
            // Nobody waits for the answer any more.
            let _ = reply.send(core.connection());
        })
        .await?;
        answer.await.map_err(|_| Closed)
    }

    /// Something happened to the network of this machine: look at once instead of later.
    pub async fn network_changed(&self) -> Result<(), Closed> {
        self.tell(|core, now| core.handle_hint(now, Hint::Online)).await
    }

    /// Closes all rooms, writes what is unwritten, disconnects and lets go of the store. What the relay does not have
    /// yet is sent when the rooms are opened again.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.commands.send(Command::Close { reply }).await.is_ok() {
            // An error: it was closed by another handle meanwhile.
            let _ = closed.await;
        }
        // Until the task is gone the file still belongs to it.
        self.commands.closed().await;
    }

    async fn tell(
        &self,
        act: impl FnOnce(&mut hither_core::Client, hither_core::time::Millis) + Send + 'static,
    ) -> Result<(), Closed> {
        let ask: Ask = Box::new(move |core, now| {
            act(core, now);
            Box::new(|| {})
        });
        self.commands.send(Command::Ask(ask)).await.map_err(|_| Closed)
    }
}

impl Builder {
    /// Keeps rooms in this file; created if it does not exist. It belongs to one process at a time. Default: rooms are
    /// kept in memory and gone with the client.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Keeps rooms in memory; the default.
    pub fn memory(mut self) -> Self {
        self.file = None;
        self
    }

    /// What the relay's logs call this client, at most 64 bytes. Default: name and version of this crate.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether to connect at once. Default: yes.
    pub fn connect(mut self, connect: bool) -> Self {
        self.connect = connect;
        self
    }

    /// Starts the client's task on the current tokio runtime. Succeeds without a relay.
    pub async fn open(self) -> Result<Client, StartError> {
        let request = socket::request(&self.url)
            .map_err(|error| StartError::Address { url: self.url.clone(), cause: error.to_string() })?;
        let seed = getrandom::u64().map_err(|error| StartError::Randomness(error.to_string()))?;
        let store: Arc<dyn Store> = match self.file {
            None => Arc::new(MemoryStore::default()),
            Some(path) => {
                let opening = tokio::task::spawn_blocking(move || FileStore::open(&path));
                match opening.await {
                    Ok(opened) => Arc::new(opened?),
                    Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
                }
            }
        };
        let (commands, queue) = mpsc::channel(COMMANDS);
        let config = Config { name: self.name, seed, connect: self.connect, ..Config::default() };
        tokio::spawn(actor::run(config, request, store, queue));
        Ok(Client { commands })
    }
}
