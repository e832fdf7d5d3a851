//! A client that speaks frames and nothing else, with or without manners, and the log as it reads it.

use crate::people::within;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hither_protocol::contents::Contents;
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::{ClientFrame, Joined, Mode, RelayFrame, Welcome};
use hither_protocol::id_set::IdSet;
use hither_protocol::ids::{Channel, Cursor, Epoch, RoomName, Seq};
use hither_protocol::limits::MAX_RELAY_FRAME_BYTES;
use hither_protocol::scan::scan;
use hither_protocol::{SUBPROTOCOL, VERSION};
use hither_relay::log::RoomLog;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A connection to a relay.
pub struct Raw {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    deframer: Deframer,
    frames: VecDeque<RelayFrame>,
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The close code; `None` if the connection just broke.
    pub code: Option<u16>,
    /// The reason.
    pub reason: String,
}

impl Raw {
    /// Connects without a word.
    pub async fn connect(url: &str) -> Raw {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        let (socket, _) = within("a raw connection", connect_async(request)).await.unwrap();
        Raw { socket, deframer: Deframer::new(MAX_RELAY_FRAME_BYTES), frames: VecDeque::new() }
    }

    /// Connects to the other door, without a word.
    pub async fn stock(address: SocketAddr, room: &str) -> Raw {
        let connected = connect_async(format!("ws://{address}/yjs/{room}"));
        let (socket, _) = within("a raw connection", connected).await.unwrap();
        Raw { socket, deframer: Deframer::new(MAX_RELAY_FRAME_BYTES), frames: VecDeque::new() }
    }

    /// Connects and greets.
    pub async fn greeted(url: &str) -> (Raw, Welcome) {
        let mut raw = Raw::connect(url).await;
        raw.say(&ClientFrame::Hello { version: VERSION, client: "raw".into() }).await;
        match raw.hear().await {
            Ok(RelayFrame::Welcome(welcome)) => (raw, welcome),
            other => panic!("{other:?} instead of Welcome"),
        }
    }

    /// Sends a frame, large ones in messages as large as the protocol allows.
    pub async fn say(&mut self, frame: &ClientFrame) {
        let mut enframer = hither_protocol::enframe::Enframer::default();
        enframer.push(frame);
        for message in enframer.take() {
            self.say_bytes(message).await;
        }
    }

    /// Sends bytes as one message. A relay that has closed meanwhile is not an error here.
    pub async fn say_bytes(&mut self, message: impl Into<Bytes>) {
        let _ = self.socket.send(Message::Binary(message.into())).await;
    }

    /// Sends bytes as one message without reading; whether the relay takes them, at once or after a moment.
    pub async fn offers(&mut self, message: Bytes) -> bool {
        let sent = self.socket.send(Message::Binary(message));
        matches!(tokio::time::timeout(Duration::from_millis(500), sent).await, Ok(Ok(())))
    }

    /// Writes bytes beneath the WebSocket; whether the relay takes them, at once or after a moment.
    pub async fn offers_beneath(&mut self, bytes: &[u8]) -> bool {
        let written = self.socket.get_mut().write_all(bytes);
        matches!(tokio::time::timeout(Duration::from_millis(500), written).await, Ok(Ok(())))
    }

    /// The next frame; pings are answered.
    pub async fn hear(&mut self) -> Result<RelayFrame, Ended> {
        within("a frame of the relay", async {
            loop {
                match self.frames.pop_front() {
                    Some(RelayFrame::Ping { nonce }) => {
                        self.say(&ClientFrame::Pong { nonce }).await;
                        continue;
                    }
                    Some(frame) => return Ok(frame),
                    None => {}
                }
                match self.socket.next().await {
                    Some(Ok(Message::Binary(message))) => {
                        for body in self.deframer.read(message) {
                            self.frames.push_back(RelayFrame::decode(body.unwrap()).unwrap());
                        }
                    }
                    Some(Ok(Message::Close(Some(frame)))) => {
                        return Err(Ended {
                            code: Some(frame.code.into()),
                            reason: frame.reason.to_string(),
                        });
                    }
                    Some(Ok(Message::Close(None)) | Err(_)) | None => {
                        return Err(Ended { code: None, reason: String::new() });
                    }
                    Some(Ok(_)) => {}
                }
            }
        })
        .await
    }

    /// How the connection ends, whatever is said before.
    pub async fn ending(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.hear().await {
                return ended;
            }
        }
    }

    async fn joined(&mut self, room: &str, cursor: Option<Cursor>) -> Joined {
        self.say(&ClientFrame::Join { room: RoomName::new(room).unwrap(), token: Bytes::new(), cursor })
            .await;
        loop {
            match self.hear().await.unwrap() {
                RelayFrame::Joined(joined) => return joined,
                RelayFrame::Presence { .. } => {}
                other => panic!("{other:?} instead of Joined"),
            }
        }
    }

    /// Joins a room and reads until its head.
    pub async fn join(&mut self, room: &str, cursor: Option<Cursor>) -> Log {
        let Joined { channel, epoch, head, mode, .. } = self.joined(room, cursor).await;
        let mut log = Log { epoch, head, mode, channel, snapshot: None, entries: Vec::new() };
        let start = match (log.mode, cursor) {
            (Mode::Resumed, Some(cursor)) => cursor.seq,
            _ => Seq(0),
        };
        let mut at = start;
        while at < log.head {
            match self.hear().await.unwrap() {
                RelayFrame::Snapshot { channel: of, seq, update } if of == channel => {
                    log.snapshot = Some((seq, update));
                    at = seq;
                }
                RelayFrame::Update { channel: of, seq, update } if of == channel => {
                    assert_eq!(seq, at.next(), "[gap] the log has every number once");
                    log.entries.push((seq, update));
                    at = seq;
                }
                RelayFrame::Presence { .. } => {}
                other => panic!("{other:?} in a replay"),
            }
        }
        log
    }
}

/// A room's log as a client reads it.
pub struct Log {
    /// Its life.
    pub epoch: Epoch,
    /// The last entry when the room was joined.
    pub head: Seq,
    /// Whether the cursor was understood.
    pub mode: Mode,
    /// The room's number on the connection.
    pub channel: Channel,
    /// The snapshot, if there is one.
    pub snapshot: Option<(Seq, Bytes)>,
    /// The entries behind it.
    pub entries: Vec<(Seq, Bytes)>,
}

impl Log {
    /// Every text of this form that stands in its updates as bytes: a name, a space, six digits.
    pub fn lines_of(&self, name: &str) -> BTreeSet<String> {
        let prefix = format!("{name} ");
        let mut lines = BTreeSet::new();
        for (_, update) in self.snapshot.iter().chain(&self.entries) {
            for (at, window) in update.windows(prefix.len() + 6).enumerate() {
                if window.starts_with(prefix.as_bytes())
                    && window[prefix.len()..].iter().all(u8::is_ascii_digit)
                {
                    lines.insert(String::from_utf8(update[at..at + window.len()].to_vec()).unwrap());
                }
            }
        }
        lines
    }

    /// Fails if any id stands in it twice, if an entry adds nothing, or if a client's ids have a hole.
    pub fn assert_holds_everything_once(&self) {
        let mut all = Contents::new();
        let whole = self.snapshot.iter().chain(&self.entries);
        for (seq, update) in whole {
            let scan = scan(update).unwrap();
            assert!(!all.adds_nothing(&scan), "entry {seq} adds nothing to what stands before it");
            let twice = overlap(&all.inserts, &scan.inserts);
            assert_eq!(twice, 0, "entry {seq} brings {twice} ids a second time");
            all.absorb(&scan);
        }
        for (client, ranges) in all.inserts.iter() {
            assert_eq!(ranges.len(), 1, "ids of {client} have holes: {ranges:?}");
            assert_eq!(ranges[0].start, 0, "ids of {client} begin at {}", ranges[0].start);
        }
    }
}

fn overlap(one: &IdSet, other: &IdSet) -> u64 {
    let mut both = one.clone();
    both.merge(other);
    one.len() + other.len() - both.len()
}

/// Where a room's log ends. A busy room may be compacted under whoever reads all of it.
pub async fn head(url: &str, room: &str) -> Seq {
    let (mut raw, _) = Raw::greeted(url).await;
    raw.joined(room, None).await.head
}

/// Joins a room as a stranger and reads its log.
pub async fn read_log(url: &str, room: &str) -> Log {
    let (mut raw, _) = Raw::greeted(url).await;
    raw.join(room, None).await
}

/// Reads a room's log from a store.
pub async fn stored_log(log: &dyn RoomLog, room: &str) -> Log {
    let room = RoomName::new(room).unwrap();
    let head = log.head(&room).await.unwrap().unwrap_or_else(|| panic!("the store has no log of {room}"));
    let snapshot = log.snapshot(&room, head.epoch).await.unwrap();
    let snapshot = snapshot.map(|snapshot| (Seq(snapshot.seq), snapshot.update));
    let mut at = snapshot.as_ref().map_or(0, |(seq, _)| seq.0);
    let mut entries = Vec::new();
    while at < head.head {
        for (seq, update) in log.read(&room, head.epoch, at, 1 << 20).await.unwrap().entries {
            assert_eq!(seq, at + 1, "[gap] the log has every number once");
            entries.push((Seq(seq), update));
            at = seq;
        }
    }
    let (epoch, head) = (head.epoch, Seq(head.head));
    Log { epoch, head, mode: Mode::Resumed, channel: Channel(0), snapshot, entries }
}
