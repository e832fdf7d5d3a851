//! The task that owns the core: one fact at a time goes in, all wishes come out, then it waits for the next.
//!
//! ```text
//!   handles ── commands ──┐                      ┌──► socket task
//!   socket task ── heard ─┼─► core ─► wishes ────┼──► store, on a blocking thread
//!   store ── answers ─────┤                      └──► watch channels of rooms
//!   clock ── deadline ────┘
//! ```
//!
//! It ends when it is told to or when nobody holds a handle any more; either way every room is flushed first.

use crate::receipt::{Progress, Refused};
use crate::room::{Facts, Notice};
use crate::socket::{self, Heard, Inbox, InboxSender};
use crate::store::Store;
use hither_core::presence::Presence;
use hither_core::status::{Connection, Local, Server, Status};
use hither_core::storage::{StorageError, StorageErrorKind, Stored};
use hither_core::time::Millis;
use hither_core::{BatchId, Client as Core, Config, Event, OpenError, OpenOptions, RoomId, Wish};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::client::Request;

/// The shortest sleep: if the core ever names a time that has passed, nobody spins.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// Notices that wait for a slow reader.
const NOTICES: usize = 64;

/// Something to do with the core between two facts, and the answer, given when what it caused is seen by all.
pub(crate) type Ask = Box<dyn FnOnce(&mut Core, Millis) -> Tell + Send>;
pub(crate) type Tell = Box<dyn FnOnce() + Send>;

type Opened = Result<(RoomId, Arc<Facts>), OpenError>;

pub(crate) enum Command {
    Open { name: String, options: OpenOptions, reply: oneshot::Sender<Opened> },
    Ask(Ask),
    CloseRoom { room: RoomId, reply: oneshot::Sender<()> },
    Close { reply: oneshot::Sender<()> },
}

struct Actor {
    core: Core,
    clock: Clock,
    store: Arc<dyn Store>,
    answers: JoinSet<Answer>,
    request: Request,
    socket: Option<socket::Handle>,
    heard: InboxSender,
    rooms: BTreeMap<RoomId, Open>,
}

/// An open room as the actor knows it.
struct Open {
    facts: Arc<Facts>,
    /// Who waits for [`Event::Ready`].
    opening: Option<oneshot::Sender<Opened>>,
    closing: Vec<oneshot::Sender<()>>,
}

/// What came back from the disk.
enum Answer {
    Loaded(RoomId, Result<Stored, StorageError>),
    Stored(BatchId, Result<(), StorageError>),
}

/// The task's whole life. The clock is its own: what `config` says of the time does not count.
pub(crate) async fn run(
    config: Config,
    request: Request,
    store: Arc<dyn Store>,
    mut commands: mpsc::Receiver<Command>,
) {
    let (heard, mut inbox) = socket::inbox();
    let clock = Clock::new();
    let core = Core::new(Config { now: clock.now(), ..config });
    let mut actor = Actor {
        core,
        clock,
        store,
        answers: JoinSet::new(),
        request,
        socket: None,
        heard,
        rooms: BTreeMap::new(),
    };
    actor.fulfil();
    let last = actor.serve(&mut commands, &mut inbox).await;
    actor.shut(&mut commands, &mut inbox).await;
    drop(actor);
    if let Some(reply) = last {
        // Whoever asked has gone.
        let _ = reply.send(());
    }
}

impl Actor {
    /// Until somebody says close, or nobody is left who could.
    async fn serve(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        inbox: &mut Inbox,
    ) -> Option<oneshot::Sender<()>> {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Close { reply }) => return Some(reply),
                    Some(command) => self.obey(command),
                    None => return None,
                },
                () = self.next_fact(inbox) => {}
            }
            self.fulfil();
        }
    }

    /// Closes every room, and goes on until all of them are written.
    async fn shut(&mut self, commands: &mut mpsc::Receiver<Command>, inbox: &mut Inbox) {
        commands.close();
        let rooms: Vec<RoomId> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.core.close(self.clock.now(), room);
        }
        self.core.set_connect(self.clock.now(), false);
        self.fulfil();
        while !self.rooms.is_empty() {
            self.next_fact(inbox).await;
            self.fulfil();
        }
        // Answers that nobody needs may still hold the store.
        while self.answers.join_next().await.is_some() {}
    }

    /// Waits for a fact that is no command, and tells the core. Dropped before its end it has taken none.
    async fn next_fact(&mut self, inbox: &mut Inbox) {
        let deadline = self.deadline();
        tokio::select! {
            Some((socket, heard)) = inbox.recv() => self.hear(socket, heard),
            Some(answer) = self.answers.join_next() => self.take(answer),
            () = sleep_until(deadline) => {
                let now = self.clock.now();
                self.core.handle_timeout(now);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Open { name, options, reply } => match self.core.open(now, &name, options) {
                Ok(room) => {
                    let facts = Arc::new(Facts::new());
                    self.rooms.insert(room, Open { facts, opening: Some(reply), closing: Vec::new() });
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            Command::Ask(ask) => {
                let tell = ask(&mut self.core, now);
                // Whoever hears that an edit was made must not find a status from before it.
                self.fulfil();
                tell();
            }
            Command::CloseRoom { room, reply } => {
                // A room that is closed already drops the reply, which is an answer, too.
                if let Some(open) = self.rooms.get_mut(&room) {
                    open.closing.push(reply);
                    self.core.close(now, room);
                }
            }
            Command::Close { .. } => {}
        }
    }

    fn hear(&mut self, socket: hither_core::SocketId, heard: Heard) {
        let now = self.clock.now();
        match heard {
            Heard::Connected => self.core.handle_connected(now, socket),
            Heard::Binary(message) => self.core.handle_message(now, socket, message),
            Heard::Text => self.core.handle_text(now, socket),
            Heard::Closed { code, reason } => self.core.handle_disconnected(now, socket, code, &reason),
        }
    }

    fn take(&mut self, answer: Result<Answer, tokio::task::JoinError>) {
        let now = self.clock.now();
        match answer {
            Ok(Answer::Loaded(room, stored)) => self.core.handle_loaded(now, room, stored),
            Ok(Answer::Stored(batch, result)) => self.core.handle_stored(now, batch, result),
            // `on_disk` turns panics into errors, and nothing aborts these tasks.
            Err(_) => {}
        }
    }

    fn fulfil(&mut self) {
        // What resolves promises comes last: whoever was waiting finds the status in agreement with what they heard.
        let mut promises = Vec::new();
        while let Some(wish) = self.core.poll_wish() {
            match wish {
                Wish::Load { room, name } => {
                    let store = self.store.clone();
                    self.answers
                        .spawn(async move { Answer::Loaded(room, on_disk(move || store.load(&name)).await) });
                }
                Wish::Store { batch, writes } => {
                    let store = self.store.clone();
                    self.answers.spawn(async move {
                        Answer::Stored(batch, on_disk(move || store.write(&writes)).await)
                    });
                }
                Wish::Connect { socket } => {
                    self.socket = Some(socket::open(socket, self.request.clone(), self.heard.clone()));
                }
                Wish::Send { socket, message } => {
                    let stuck = self
                        .socket
                        .as_ref()
                        .is_some_and(|open| open.id == socket && open.send(message).is_err());
                    if stuck {
                        self.socket = None;
                        let now = self.clock.now();
                        self.core.handle_disconnected(now, socket, None, "the relay takes nothing any more");
                    }
                }
                Wish::Disconnect { socket, code } => {
                    if let Some(open) = self.socket.take_if(|open| open.id == socket) {
                        open.close(code);
                    }
                }
                Wish::Event {
                    room,
                    event:
                        event
                        @ (Event::Saved { .. } | Event::Acked { .. } | Event::Refused { .. } | Event::Closed),
                } => promises.push((room, event)),
                Wish::Event { room, event } => self.tell(room, event),
            }
        }
        for (room, event) in promises {
            self.tell(room, event);
        }
    }

    fn tell(&mut self, room: RoomId, event: Event) {
        let Some(open) = self.rooms.get_mut(&room) else { return };
        let facts = &open.facts;
        match event {
            Event::Ready { .. } => {
                if let Some(reply) = open.opening.take() {
                    // Whoever opened it has gone; the room lives until the client ends.
                    let _ = reply.send(Ok((room, facts.clone())));
                }
            }
            Event::Patch { .. } => facts.version.send_modify(|version| *version += 1),
            Event::Saved { edit } => facts.progress.send_modify(|progress| progress.saved = edit),
            Event::Acked { edit } => facts.progress.send_modify(|progress| progress.acked = edit),
            Event::Refused { from, to, code, message } => {
                let refused = Refused { from, to, code, message: message.clone() };
                facts.progress.send_modify(|progress| progress.refused = Some(refused));
                let _ = facts.notices.send(Notice::Refused { from, to, code, message });
            }
            Event::Status(status) => {
                facts.status.send_replace(status);
            }
            Event::Presence(presence) => {
                facts.presence.send_replace(presence);
            }
            Event::Error(error) => {
                // Nobody listens to notices: that is allowed.
                let _ = facts.notices.send(Notice::Error(error));
            }
            Event::Closed => {
                facts.progress.send_modify(|progress| progress.is_closed = true);
                // Whoever waits for a status looks again, and finds the room closed.
                facts.status.send_modify(|_| ());
                if let Some(open) = self.rooms.remove(&room) {
                    for reply in open.closing {
                        let _ = reply.send(());
                    }
                }
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let at = self.core.poll_timeout()?;
        let wait = Duration::from_millis(at.since(self.clock.now()));
        Some(Instant::now() + wait.max(SHORTEST_SLEEP))
    }
}

/// Runs a call of the store where it may block.
async fn on_disk<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => Err(StorageError {
            kind: StorageErrorKind::Unavailable,
            cause: format!("the store broke: {error}"),
        }),
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Facts {
    fn new() -> Self {
        let status =
            Status { connection: Connection::Connecting, local: Local::Loading, server: Server::Saved };
        Facts {
            status: watch::Sender::new(status),
            presence: watch::Sender::new(Presence::default()),
            progress: watch::Sender::new(Progress::default()),
            version: watch::Sender::new(0),
            notices: broadcast::Sender::new(NOTICES),
        }
    }
}

/// Wall-clock milliseconds that never run backwards: read once from the system, then counted by the monotonic clock.
/// A wall clock that is set back by an hour would otherwise put every deadline an hour away.
struct Clock {
    wall_ms: u64,
    start: Instant,
}

impl Clock {
    fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall_ms: wall.as_millis() as u64, start: Instant::now() }
    }

    fn now(&self) -> Millis {
        Millis(self.wall_ms + self.start.elapsed().as_millis() as u64)
    }
}
