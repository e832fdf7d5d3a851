//! The one connection of a client: opens it, keeps it honest, and comes back with patience.
//!
//! ```text
//!            set_connect(true)                connected           Welcome
//!   Off ──────────────────────► Opening ──────────────► Greeting ─────────► Open
//!    ▲                            ▲  │ fails, too slow     │ closed           │ closed, silent
//!    │ set_connect(false)         │  ▼                     ▼                  ▼
//!    └──── every state       Waiting ◄────────────────────────────────────────┘
//!                                            a stop code ──► Stopped
//! ```
//!
//! The relay pings; a client that has heard nothing for two intervals asks once itself and, without an answer,
//! abandons the socket instead of waiting for the operating system to notice. A frozen page that wakes finds its
//! clock far ahead: it asks first, too.

use crate::status::Connection;
use crate::time::Millis;
use fastrand::Rng;
use hither_protocol::close::{self, CloseCode};
use hither_protocol::frames::Welcome;

/// One attempt to connect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId(pub u64);

/// How long opening and greeting may take together, in milliseconds: three lost SYNs (1 + 2 + 4 s) and a slow TLS.
const CONNECT_MS: u64 = 10_000;

/// How long an answer to our own ping may take, in milliseconds.
const PROBE_MS: u64 = 5_000;

/// The first backoff is random between 0 and this, doubled with every failure up to [`MAX_BACKOFF_MS`].
const BACKOFF_MS: u64 = 500;

/// Half of this on average: a relay that comes back after an hour has everybody within half a minute.
const MAX_BACKOFF_MS: u64 = 30_000;

/// A connection that lived this long was a good one: the next failure begins with a short wait again.
const GOOD_MS: u64 = 10_000;

/// The state of the connection.
#[derive(Debug)]
pub(crate) struct Link {
    state: State,
    failures: u32,
    last_socket: u64,
    goaway: Option<(u64, u64)>,
}

#[derive(Debug)]
enum State {
    Off,
    Waiting {
        retry_at: Millis,
        reason: String,
    },
    Opening {
        socket: SocketId,
        deadline: Millis,
    },
    Greeting {
        socket: SocketId,
        deadline: Millis,
    },
    Open {
        socket: SocketId,
        welcome: Welcome,
        since: Millis,
        heard_at: Millis,
        probe_deadline: Option<Millis>,
    },
    Stopped(Connection),
}

/// What the client has to do for the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// Open this socket.
    Connect(SocketId),
    /// Ping the relay.
    Probe,
    /// This socket is dead; rooms are no longer joined.
    Abandon(SocketId),
}

impl Link {
    pub(crate) fn new() -> Self {
        Self { state: State::Off, failures: 0, last_socket: 0, goaway: None }
    }

    pub(crate) fn connection(&self) -> Connection {
        match &self.state {
            State::Off => Connection::Offline { reason: "disconnected by the application".into() },
            State::Waiting { retry_at, reason } => {
                Connection::Waiting { retry_at: *retry_at, reason: reason.clone() }
            }
            State::Opening { .. } | State::Greeting { .. } => Connection::Connecting,
            State::Open { .. } => Connection::Online,
            State::Stopped(connection) => connection.clone(),
        }
    }

    /// The socket in use, in whatever state.
    pub(crate) fn socket(&self) -> Option<SocketId> {
        match self.state {
            State::Opening { socket, .. } | State::Greeting { socket, .. } | State::Open { socket, .. } => {
                Some(socket)
            }
            State::Off | State::Waiting { .. } | State::Stopped(_) => None,
        }
    }

    /// Whether Hello was said: what follows it may be said.
    pub(crate) fn has_greeted(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Open { .. })
    }

    pub(crate) fn is_greeting(&self) -> bool {
        matches!(self.state, State::Greeting { .. })
    }

    /// Whether nothing can be expected from the relay for now.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.state, State::Off | State::Waiting { .. } | State::Stopped(_))
    }

    /// Begins to connect, unless that is under way or done.
    pub(crate) fn connect(&mut self, now: Millis) -> Due {
        match self.state {
            State::Off | State::Waiting { .. } | State::Stopped(_) => {
                self.last_socket += 1;
                let socket = SocketId(self.last_socket);
                self.state = State::Opening { socket, deadline: now + CONNECT_MS };
                Due::Connect(socket)
            }
            State::Opening { .. } | State::Greeting { .. } | State::Open { .. } => Due::Nothing,
        }
    }

    /// Stops. The caller closes the returned socket.
    pub(crate) fn disconnect(&mut self) -> Option<SocketId> {
        let socket = self.socket();
        self.state = State::Off;
        self.failures = 0;
        socket
    }

    /// The transport is up.
    pub(crate) fn on_connected(&mut self, socket: SocketId) -> bool {
        match self.state {
            State::Opening { socket: ours, deadline } if ours == socket => {
                self.state = State::Greeting { socket, deadline };
                true
            }
            _ => false,
        }
    }

    /// The relay answered Hello. `false` if it was not asked.
    pub(crate) fn on_welcome(&mut self, now: Millis, welcome: Welcome) -> bool {
        match self.state {
            State::Greeting { socket, .. } => {
                self.goaway = None;
                self.state = State::Open { socket, welcome, since: now, heard_at: now, probe_deadline: None };
                true
            }
            _ => false,
        }
    }

    /// Any message from the relay is a sign of life.
    pub(crate) fn on_heard(&mut self, now: Millis) {
        if let State::Open { heard_at, probe_deadline, .. } = &mut self.state {
            *heard_at = now;
            *probe_deadline = None;
        }
    }

    pub(crate) fn on_goaway(&mut self, retry_after_ms: u64, jitter_ms: u64) {
        self.goaway = Some((retry_after_ms, jitter_ms));
    }

    /// The socket is gone, by itself or because it was abandoned.
    pub(crate) fn on_lost(&mut self, now: Millis, code: Option<u16>, reason: &str, rng: &mut Rng) {
        if let State::Open { since, .. } = self.state
            && now.since(since) >= GOOD_MS
        {
            self.failures = 0;
        }
        let known = code.and_then(|code| CloseCode::from_number(code.into()));
        let words = match (reason.is_empty(), known) {
            (false, _) => reason.to_owned(),
            (true, Some(code)) => code.meaning().to_owned(),
            (true, None) => "connection lost".to_owned(),
        };
        let stopped = match known {
            Some(CloseCode::Version) => Some(Connection::UpdateRequired { reason: words.clone() }),
            Some(CloseCode::Denied) => Some(Connection::Denied { reason: words.clone() }),
            _ => None,
        };
        if let Some(connection) = stopped {
            self.state = State::Stopped(connection);
            return;
        }
        let wait_ms = match self.goaway.take() {
            Some((after, jitter)) => after.saturating_add(rng.u64(0..=jitter.min(u64::MAX - 1))),
            None => {
                let mut ceiling = BACKOFF_MS.saturating_mul(1 << self.failures.min(16)).min(MAX_BACKOFF_MS);
                if code.is_some_and(|code| !close::is_retry(code)) {
                    // The relay calls it our fault: the same words will not do better soon.
                    ceiling = MAX_BACKOFF_MS;
                }
                self.failures = self.failures.saturating_add(1);
                rng.u64(0..=ceiling)
            }
        };
        self.state = State::Waiting { retry_at: now + wait_ms, reason: words };
    }

    /// Something suggests that the network changed: try now instead of later, ask instead of trusting.
    pub(crate) fn on_hint(&mut self, now: Millis) -> Due {
        match &self.state {
            State::Waiting { .. } => self.connect(now),
            State::Open { probe_deadline: None, .. } => self.probe(now),
            _ => Due::Nothing,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Millis> {
        match &self.state {
            State::Off | State::Stopped(_) => None,
            State::Waiting { retry_at, .. } => Some(*retry_at),
            State::Opening { deadline, .. } | State::Greeting { deadline, .. } => Some(*deadline),
            State::Open { probe_deadline: Some(deadline), .. } => Some(*deadline),
            State::Open { heard_at, welcome, .. } => Some(*heard_at + silence_ms(welcome)),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Millis) -> Due {
        if self.next_timeout().is_none_or(|at| at > now) {
            return Due::Nothing;
        }
        match &self.state {
            State::Off | State::Stopped(_) => Due::Nothing,
            State::Waiting { .. } => self.connect(now),
            State::Opening { socket, .. } | State::Greeting { socket, .. } => Due::Abandon(*socket),
            State::Open { socket, probe_deadline: Some(_), .. } => Due::Abandon(*socket),
            State::Open { .. } => self.probe(now),
        }
    }

    fn probe(&mut self, now: Millis) -> Due {
        if let State::Open { probe_deadline, .. } = &mut self.state {
            *probe_deadline = Some(now + PROBE_MS);
        }
        Due::Probe
    }
}

fn silence_ms(welcome: &Welcome) -> u64 {
    welcome.ping_interval_ms.clamp(500, 600_000) * 2
}
