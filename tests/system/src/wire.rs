//! A TCP proxy between clients and a relay: counts bytes, delays, cuts, leads to another relay, and goes silent: it then
//! swallows what comes without closing, as a network does that lost the other side. What it carries stays in order.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf};
use tokio::sync::watch;

/// The proxy. Its address stays the same whatever it leads to.
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<Option<SocketAddr>>,
    /// Counts cuts: a connection lives until the next one.
    cuts: watch::Sender<u64>,
    /// What is swallowed, and how often that was asked for: a connection stays silent until it is cut.
    silences: watch::Sender<(u64, Silence)>,
    /// How long everything is under way, in milliseconds.
    delay: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
}

/// What a silent connection swallows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Everything.
    Both,
    /// What the relay says: it hears and stores, and nobody learns of it.
    Answers,
}

/// Bytes that went over a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// From clients to the relay.
    pub up: u64,
    /// From the relay to clients.
    pub down: u64,
    /// Connections that were opened.
    pub connections: u64,
}

impl Wire {
    /// A wire to a relay.
    pub async fn to(target: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(Some(target)),
            cuts: watch::Sender::new(0),
            silences: watch::Sender::new((0, Silence::Both)),
            delay: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        tokio::spawn(accept(listener, shared.clone()));
        Wire { address, shared }
    }

    /// The address of `/sync` through this wire.
    pub fn url(&self) -> String {
        format!("ws://{}/sync", self.address)
    }

    /// Cuts every connection; new ones are refused until [`Self::lead_to`].
    pub fn cut(&self) {
        *self.shared.target.lock().unwrap() = None;
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Every connection that is open now goes silent and stays open; new ones work.
    pub fn silence(&self, what: Silence) {
        self.shared.silences.send_modify(|(times, silence)| {
            *times += 1;
            *silence = what;
        });
    }

    /// From now on everything takes this long, in both directions.
    pub fn delay(&self, by: Duration) {
        self.shared.delay.store(by.as_millis() as u64, Ordering::SeqCst);
    }

    /// New connections go there.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = Some(target);
    }

    /// What went over it since it was made.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            up: self.shared.up.load(Ordering::SeqCst),
            down: self.shared.down.load(Ordering::SeqCst),
            connections: self.shared.connections.load(Ordering::SeqCst),
        }
    }
}

impl Traffic {
    /// What went over it since `earlier`.
    pub fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            up: self.up - earlier.up,
            down: self.down - earlier.down,
            connections: self.connections - earlier.connections,
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let target = *shared.target.lock().unwrap();
        // Without a target the connection is dropped at once: refused, as a client sees it.
        if let Some(target) = target {
            tokio::spawn(carry(client, target, shared.clone()));
        }
    }
}

async fn carry(client: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let (mut cuts, mut silences) = (shared.cuts.subscribe(), shared.silences.subscribe());
    cuts.mark_unchanged();
    silences.mark_unchanged();
    let Ok(relay) = TcpStream::connect(target).await else { return };
    client.set_nodelay(true).unwrap();
    relay.set_nodelay(true).unwrap();
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_relay, mut to_relay) = relay.into_split();
    let carried = async {
        tokio::select! {
            () = pump(&mut from_client, &mut to_relay, &shared.up, &shared.delay) => return,
            () = pump(&mut from_relay, &mut to_client, &shared.down, &shared.delay) => return,
            _ = silences.changed() => {}
        }
        // Bound outside of the branch: nothing may hold the lock of the channel meanwhile.
        let silence = silences.borrow().1;
        match silence {
            Silence::Both => drop(tokio::join!(swallow(&mut from_client), swallow(&mut from_relay))),
            Silence::Answers => drop(tokio::join!(
                pump(&mut from_client, &mut to_relay, &shared.up, &shared.delay),
                swallow(&mut from_relay)
            )),
        }
    };
    tokio::select! {
        () = carried => {}
        _ = cuts.changed() => {}
    }
}

async fn pump(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, count: &AtomicU64, delay: &AtomicU64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = from.read(&mut buffer).await {
        let delay = delay.load(Ordering::SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        count.fetch_add(bytes as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}

/// Reads and forgets until that side hangs up.
async fn swallow(from: &mut OwnedReadHalf) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(1..) = from.read(&mut buffer).await {}
}
