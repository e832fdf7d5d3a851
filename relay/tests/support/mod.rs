//! A relay on a port of its own and clients of both doors, for tests that tell stories.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // every test file uses its own part

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hither_protocol::{
    deframe::Deframer,
    enframe::Enframer,
    frames::{ClientFrame, Joined, Mode, RelayFrame},
    ids::{Channel, Cursor, Epoch, Peer, RoomName, Seq},
    limits::MAX_RELAY_FRAME_BYTES,
};
use hither_relay::{
    config::Config,
    log::{MemoryLog, RoomLog},
    server,
};
use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

/// Nothing in these tests takes this long unless it is broken, also on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

pub struct TestRelay {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub running: Option<JoinHandle<std::io::Result<()>>>,
}

impl TestRelay {
    pub async fn start() -> TestRelay {
        TestRelay::over(Arc::new(MemoryLog::new())).await
    }

    pub async fn over(log: Arc<dyn RoomLog>) -> TestRelay {
        TestRelay::with(log, Config::default()).await
    }

    pub async fn with(log: Arc<dyn RoomLog>, config: Config) -> TestRelay {
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server::run(listener, config, log, async {
            let _ = stopped.await;
        }));
        TestRelay { address, stop: Some(stop), running: Some(running) }
    }

    /// One that somebody else started, such as a process.
    pub fn at(address: SocketAddr) -> TestRelay {
        TestRelay { address, stop: None, running: None }
    }

    /// Asks it to end, as SIGTERM does.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    pub async fn stopped(mut self) {
        self.stop();
        tokio::time::timeout(SOON, self.running.take().unwrap()).await.unwrap().unwrap().unwrap();
    }

    /// A raw WebSocket at a path.
    pub async fn open(&self, path: &str, protocol: Option<&str>) -> Raw {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Raw { socket }
    }

    /// A client of `/sync` that was welcomed.
    pub async fn client(&self) -> Client {
        let mut client = Client::new(self.open("/sync", Some("hither.v1")).await);
        client.say(&ClientFrame::Hello { version: 1, client: "test".into() }).await;
        assert!(matches!(client.next().await, RelayFrame::Welcome(_)));
        client
    }

    /// A client in a room.
    pub async fn member(&self, room: &str) -> Member {
        self.member_at(room, None).await
    }

    /// A client in a room that has read it up to a cursor.
    pub async fn member_at(&self, room: &str, cursor: Option<Cursor>) -> Member {
        Member::join(self.client().await, room, cursor).await
    }
}

pub struct Raw {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Raw {
    pub async fn send(&mut self, bytes: impl Into<Bytes>) {
        // The relay may have closed already: what it said is what is looked at.
        let _ = self.socket.send(Message::Binary(bytes.into())).await;
    }

    /// A push that is too large for one message.
    pub async fn push_in_messages(&mut self, channel: Channel, n: u64, update: &Bytes) {
        let mut enframer = Enframer::default();
        enframer.push(&ClientFrame::Push { channel, n, update: update.clone() });
        for message in enframer.take() {
            self.send(message).await;
        }
    }

    pub async fn text(&mut self, text: &str) {
        let _ = self.socket.send(Message::text(text)).await;
    }

    /// The next binary message, or the close code.
    pub async fn next(&mut self) -> Result<Bytes, u16> {
        loop {
            let message = tokio::time::timeout(SOON, self.socket.next()).await.expect("an answer in time");
            match message {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// Reads until the end, and says with which code it came.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

pub struct Client {
    pub raw: Raw,
    deframer: Deframer,
    frames: VecDeque<RelayFrame>,
    /// Bytes of messages received so far.
    pub received: usize,
}

impl Client {
    pub fn new(raw: Raw) -> Client {
        Client { raw, deframer: Deframer::new(MAX_RELAY_FRAME_BYTES), frames: VecDeque::new(), received: 0 }
    }

    pub async fn say(&mut self, frame: &ClientFrame) {
        let mut out = Vec::new();
        frame.encode(&mut out);
        self.raw.send(out).await;
    }

    /// The next frame or the close code; pings are answered on the way.
    pub async fn hear(&mut self) -> Result<RelayFrame, u16> {
        loop {
            match self.frames.pop_front() {
                Some(RelayFrame::Ping { nonce }) => self.say(&ClientFrame::Pong { nonce }).await,
                Some(frame) => return Ok(frame),
                None => {
                    let message = self.raw.next().await?;
                    self.received += message.len();
                    for body in self.deframer.read(message) {
                        self.frames.push_back(RelayFrame::decode(body.unwrap()).unwrap());
                    }
                }
            }
        }
    }

    pub async fn next(&mut self) -> RelayFrame {
        self.hear().await.expect("a frame, not a close")
    }

    /// Nothing arrives for a moment.
    pub async fn hears_nothing(&mut self) {
        let heard = tokio::time::timeout(Duration::from_millis(150), self.hear()).await;
        assert!(heard.is_err(), "heard {heard:?}");
    }
}

pub struct Member {
    pub client: Client,
    pub room: RoomName,
    pub channel: Channel,
    pub peer: Peer,
    pub epoch: Epoch,
    pub head: u64,
    pub mode: Mode,
    pub pushed: u64,
    /// Entries as they came, with snapshots as an entry of their seq.
    pub log: Vec<(u64, Bytes)>,
}

impl Member {
    pub async fn join(mut client: Client, room: &str, cursor: Option<Cursor>) -> Member {
        let room = RoomName::new(room).unwrap();
        client.say(&ClientFrame::Join { room: room.clone(), token: Bytes::new(), cursor }).await;
        match client.next().await {
            RelayFrame::Joined(Joined { channel, peer, epoch, head, mode, .. }) => {
                Member { client, room, channel, peer, epoch, head: head.0, mode, pushed: 0, log: Vec::new() }
            }
            other => panic!("{other:?} instead of Joined"),
        }
    }

    /// Pushes and does not wait.
    pub async fn pushes(&mut self, update: impl Into<Bytes>) -> u64 {
        self.pushed += 1;
        let n = self.pushed;
        self.client.say(&ClientFrame::Push { channel: self.channel, n, update: update.into() }).await;
        n
    }

    /// Waits until its pushes up to `n` are acknowledged; returns the seq.
    pub async fn acked(&mut self, n: u64) -> u64 {
        loop {
            match self.client.next().await {
                RelayFrame::Ack { n: at, seq, .. } if at >= n => return seq.0,
                RelayFrame::Ack { .. } | RelayFrame::Presence { .. } => {}
                RelayFrame::Update { seq, update, .. } | RelayFrame::Snapshot { seq, update, .. } => {
                    self.log.push((seq.0, update));
                }
                other => panic!("{other:?} instead of Ack {n}"),
            }
        }
    }

    /// The next entry.
    pub async fn entry(&mut self) -> (u64, Bytes) {
        loop {
            match self.client.next().await {
                RelayFrame::Update { seq, update, .. } | RelayFrame::Snapshot { seq, update, .. } => {
                    self.log.push((seq.0, update.clone()));
                    return (seq.0, update);
                }
                RelayFrame::Ack { .. } | RelayFrame::Presence { .. } => {}
                other => panic!("{other:?} instead of an entry"),
            }
        }
    }

    /// Reads entries until it has the one at `seq`.
    pub async fn reads_to(&mut self, seq: u64) {
        while self.log.last().is_none_or(|&(at, _)| at < seq) {
            self.entry().await;
        }
    }

    /// The next presence: peer and state.
    pub async fn presence(&mut self) -> (Peer, Bytes) {
        loop {
            match self.client.next().await {
                RelayFrame::Presence { peer, state, .. } => return (peer, state),
                RelayFrame::Ack { .. } | RelayFrame::Update { .. } => {}
                other => panic!("{other:?} instead of Presence"),
            }
        }
    }

    pub async fn shows(&mut self, state: &str) {
        let state = Bytes::copy_from_slice(state.as_bytes());
        self.client.say(&ClientFrame::Presence { channel: self.channel, state }).await;
    }

    pub fn cursor(&self, seq: u64) -> Cursor {
        Cursor { epoch: self.epoch, seq: Seq(seq) }
    }
}

/// The update with which `client` writes `text` into the root text "t" at its own clock `clock`.
pub fn types(client: u64, clock: u32, text: &str) -> Bytes {
    let mut update = vec![1, 1];
    hither_protocol::varint::write(&mut update, client);
    hither_protocol::varint::write(&mut update, u64::from(clock));
    if clock == 0 {
        update.extend([4, 1, 1, b't']);
    } else {
        // Behind its own last character.
        update.push(0x84);
        hither_protocol::varint::write(&mut update, client);
        hither_protocol::varint::write(&mut update, u64::from(clock) - 1);
    }
    hither_protocol::varint::write(&mut update, text.len() as u64);
    update.extend(text.as_bytes());
    update.push(0);
    update.into()
}

/// The update with which somebody deletes a character of `client`.
pub fn deletes(client: u64, clock: u32) -> Bytes {
    let mut update = vec![0, 1];
    hither_protocol::varint::write(&mut update, client);
    update.push(1);
    hither_protocol::varint::write(&mut update, u64::from(clock));
    update.push(1);
    update.into()
}
