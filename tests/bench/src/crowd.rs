//! The people of a measurement: sockets that write hand-made updates and count what comes back. No document is
//! held here, so that the generator is never what is measured.

use crate::Failed;
use crate::server::Server;
use crate::speech::{Heard, Known, Speech};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hither_protocol::frames::Mode;
use hither_protocol::id_set::IdSet;
use hither_protocol::ids::{Cursor, Epoch, Seq};
use hither_protocol::scan::scan;
use hither_protocol::varint;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Letters in one update of [`keystroke`], and with that ids.
pub(crate) const LETTERS: u64 = 8;

/// One connection in one room.
pub(crate) struct Person {
    speech: Speech,
    socket: Socket,
    /// Identifies the writer inside its updates.
    author: u64,
    clock: u64,
    /// Updates of others that arrived.
    pub(crate) received: u64,
    /// Own updates that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Bytes of messages that arrived.
    pub(crate) bytes: u64,
    pub(crate) cursor: Cursor,
    /// Where the replay ends, once the room is joined.
    head: Option<Seq>,
    is_in_sync: bool,
    /// From writing to arrival, by what the last update of each message says about when it was written.
    pub(crate) latencies_us: Vec<u32>,
    /// Ids that were in states and updates; only where [`Known`] asks for it.
    pub(crate) contents: Option<IdSet>,
}

impl Person {
    /// Connects and waits until the server has answered: joined, or in sync where that is one step.
    pub(crate) async fn enter(server: &Server<'_>, room: &str, author: u64) -> Result<Person, Failed> {
        Person::come_back(server, room, author, &Known::default()).await
    }

    /// Connects with what is known of the room already.
    pub(crate) async fn come_back(
        server: &Server<'_>,
        room: &str,
        author: u64,
        known: &Known,
    ) -> Result<Person, Failed> {
        let speech = server.kind.speech(room);
        let is_hither = matches!(speech, Speech::Hither { .. });
        let mut request =
            format!("ws://{}{}", server.address, server.kind.path(room)).into_client_request()?;
        if is_hither {
            request.headers_mut().insert("sec-websocket-protocol", hither_protocol::SUBPROTOCOL.parse()?);
        }
        let (socket, _) = connect_async_with_config(request, None, true).await?;
        let mut person = Person {
            is_in_sync: matches!(speech, Speech::Opaque),
            speech,
            socket,
            author,
            clock: 0,
            received: 0,
            acknowledged: 0,
            bytes: 0,
            cursor: known.cursor.unwrap_or(Cursor { epoch: Epoch::default(), seq: Seq(0) }),
            head: None,
            latencies_us: Vec::new(),
            contents: known.remembers.then(IdSet::default),
        };
        for message in person.speech.greet(room, known)? {
            person.socket.send(Message::Binary(message.into())).await?;
        }
        if is_hither {
            while person.head.is_none() {
                person.read().await?;
            }
        }
        Ok(person)
    }

    /// Reads on until everything that was in the room is here.
    pub(crate) async fn catch_up(&mut self) -> Result<(), Failed> {
        while !self.is_in_sync {
            self.read().await?;
        }
        Ok(())
    }

    /// Sends `count` new updates in one go.
    pub(crate) async fn write(&mut self, count: u64, sent_us: u32) -> Result<(), Failed> {
        let mut updates = Vec::with_capacity(count as usize);
        for _ in 0..count {
            updates.push(keystroke(self.author, self.clock, sent_us));
            self.clock += LETTERS;
        }
        for message in self.speech.push(updates) {
            self.socket.feed(Message::Binary(message.into())).await?;
        }
        self.socket.flush().await?;
        Ok(())
    }

    /// Reads one message.
    pub(crate) async fn read(&mut self) -> Result<(), Failed> {
        let message = self.socket.next().await.ok_or("the server closed the socket")??;
        let message = match message {
            Message::Binary(message) => message,
            Message::Close(reason) => return Err(format!("the server closed the socket: {reason:?}").into()),
            _ => return Ok(()),
        };
        self.bytes += message.len() as u64;
        let is_opaque = matches!(self.speech, Speech::Opaque);
        for heard in self.speech.hear(message)? {
            match heard {
                Heard::Joined { epoch, head, mode } => {
                    self.cursor.epoch = epoch;
                    if mode == Mode::Reset {
                        self.cursor.seq = Seq(0);
                    }
                    self.head = Some(head);
                }
                Heard::State { seq, update } => {
                    if let Some(contents) = &mut self.contents {
                        contents.merge(&scan(&update)?.inserts);
                    }
                    match seq {
                        Some(seq) => self.cursor.seq = seq,
                        None => self.is_in_sync = true,
                    }
                }
                Heard::Update { seq, update } => {
                    if let Some(seq) = seq {
                        if seq != self.cursor.seq.next() {
                            return Err(format!("entry {seq} behind {}", self.cursor.seq).into());
                        }
                        self.cursor.seq = seq;
                    }
                    self.take(&update, is_opaque)?;
                }
                Heard::Acknowledged { n, seq } => {
                    self.acknowledged = n;
                    self.cursor.seq = seq;
                }
                Heard::Answer(answer) => self.socket.send(Message::Binary(answer.into())).await?,
            }
            if self.head.is_some_and(|head| self.cursor.seq >= head) {
                self.is_in_sync = true;
            }
        }
        Ok(())
    }

    fn take(&mut self, update: &Bytes, is_opaque: bool) -> Result<(), Failed> {
        if let Some(contents) = &mut self.contents {
            contents.merge(&scan(update)?.inserts);
        }
        match author_of_one(update) {
            // Some servers send authors their own updates as well: no delivery.
            Some(author) if author == self.author && !is_opaque => return Ok(()),
            Some(_) => self.received += 1,
            // A server that gathers: count the letters of others.
            None => {
                let inserts = scan(update)?.inserts;
                let of_others = inserts.iter().filter(|(author, _)| *author != self.author);
                let letters: u32 =
                    of_others.flat_map(|(_, ranges)| ranges).map(|range| range.end - range.start).sum();
                self.received += u64::from(letters) / LETTERS;
            }
        }
        // The text of `keystroke` is eight hexadecimal digits in front of the last byte.
        let text = update.len().checked_sub(9).and_then(|at| std::str::from_utf8(&update[at..at + 8]).ok());
        if let Some(sent) = text.and_then(|text| u32::from_str_radix(text, 16).ok()) {
            self.latencies_us.push(now_us().wrapping_sub(sent));
        }
        Ok(())
    }
}

/// A Yjs update: `author` types eight characters behind those it typed before, in the root text "t". They say when
/// the update was sent.
pub(crate) fn keystroke(author: u64, clock: u64, sent_us: u32) -> Vec<u8> {
    let mut update = Vec::with_capacity(32);
    update.extend([1, 1]); // one author, one item
    varint::write(&mut update, author);
    varint::write(&mut update, clock);
    if clock == 0 {
        update.extend([4, 1, 1, b't']); // a string, in the root named "t"
    } else {
        update.push(0x84); // a string, right of the author's last character
        varint::write(&mut update, author);
        varint::write(&mut update, clock - 1);
    }
    update.push(LETTERS as u8);
    update.extend(format!("{sent_us:08x}").bytes());
    update.push(0); // nothing deleted
    update
}

/// The author, if this is one update of [`keystroke`] and not several that a server has merged.
fn author_of_one(update: &Bytes) -> Option<u64> {
    const LONGEST: usize = 40;
    if !update.starts_with(&[1, 1]) || update.len() > LONGEST {
        return None;
    }
    let digits = update.len().checked_sub(10)?;
    (update[digits] == LETTERS as u8).then(|| varint::peek(&update[2..]).ok().map(|(author, _)| author))?
}

/// Microseconds since some moment of this process, wrapping after 71 minutes.
pub(crate) fn now_us() -> u32 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_micros() as u32
}
