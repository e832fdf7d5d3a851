//! The outbox of one socket: what rooms and the door want sent, counted in bytes. Rooms push, the socket's task
//! takes. Pushing never waits: a queue that is too long is the room's business, which then stops pushing.

use crate::node::Seat;
use bytes::Bytes;
use hither_protocol::close::CloseCode;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

/// Why a socket is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The number on the wire.
    pub code: CloseCode,
    /// In words.
    pub reason: String,
}

impl Closing {
    /// Closes with this code for this reason.
    pub fn new(code: CloseCode, reason: impl ToString) -> Closing {
        Closing { code, reason: reason.to_string() }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    queue_bytes: usize,
    low_water_bytes: usize,
    in_flight_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks`, and those that the socket took and could not write yet.
    bytes: usize,
    /// Pushed by this socket and not settled by a room.
    in_flight: usize,
    /// Members of this socket that wait for a short queue.
    watchers: Vec<Seat>,
    end: End,
    waker: Option<Waker>,
    /// The relay is going away: what this socket says is not read any more.
    is_deaf: bool,
}

/// Whether, and how, the socket ends.
#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    /// Somebody wants it closed.
    Asked(Closing),
    /// The socket knows, or is gone; nothing is queued any more.
    Known,
}

impl Outbox {
    /// An empty one.
    pub fn new(limits: &crate::limits::SocketLimits) -> Outbox {
        Outbox {
            queue_bytes: limits.queue_bytes,
            low_water_bytes: limits.low_water_bytes,
            in_flight_bytes: limits.in_flight_bytes,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a chunk; whether the queue is longer than the limit now.
    pub fn push(&self, chunk: Bytes) -> bool {
        let mut state = self.lock();
        if matches!(state.end, End::Known) {
            return false;
        }
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        let is_long = state.bytes > self.queue_bytes;
        wake(state);
        is_long
    }

    /// Asks for the end, after what is queued. The first reason counts.
    pub fn close(&self, closing: Closing) {
        let mut state = self.lock();
        if matches!(state.end, End::Open) {
            state.end = End::Asked(closing);
            wake(state);
        }
    }

    /// Remembers a member until the queue is short; whether it is short already.
    pub(crate) fn watch(&self, seat: Seat) -> bool {
        let mut state = self.lock();
        if matches!(state.end, End::Known) {
            return false;
        }
        if state.bytes <= self.low_water_bytes {
            return true;
        }
        state.watchers.push(seat);
        false
    }

    /// Counts bytes that this socket pushed into rooms.
    pub(crate) fn pushed(&self, bytes: usize) {
        self.lock().in_flight += bytes;
    }

    /// Rooms are done with so many pushed bytes.
    pub(crate) fn settled(&self, bytes: usize) {
        let mut state = self.lock();
        let was_full = state.in_flight > self.in_flight_bytes;
        state.in_flight = state.in_flight.saturating_sub(bytes);
        if was_full && state.in_flight <= self.in_flight_bytes {
            wake(state);
        }
    }

    /// Whether the socket may be read from: not while the store has too much of it to do.
    pub(crate) fn may_read(&self) -> bool {
        let state = self.lock();
        !state.is_deaf && state.in_flight <= self.in_flight_bytes
    }

    /// Reads nothing from this socket any more; it is about to be closed.
    pub(crate) fn deafen(&self) {
        self.lock().is_deaf = true;
    }

    /// Moves everything queued to `into` and remembers whom to wake when there is more. Returns the wish to
    /// close, once, which stands behind everything that was moved.
    pub(crate) fn take(&self, cx: &Context<'_>, into: &mut VecDeque<Bytes>) -> Option<Closing> {
        let mut state = self.lock();
        if into.is_empty() {
            std::mem::swap(&mut state.chunks, into);
        } else {
            into.append(&mut state.chunks);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        if !matches!(state.end, End::Asked(_)) {
            return None;
        }
        match std::mem::replace(&mut state.end, End::Known) {
            End::Asked(closing) => Some(closing),
            End::Open | End::Known => None,
        }
    }

    /// So many bytes of what was taken are with the kernel. Returns whoever waited for that.
    pub(crate) fn written(&self, bytes: usize) -> Vec<Seat> {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        if state.watchers.is_empty() || state.bytes > self.low_water_bytes {
            return Vec::new();
        }
        std::mem::take(&mut state.watchers)
    }

    /// The socket ends: nothing is queued any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.end = End::Known;
        state.chunks = VecDeque::new();
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        // A seat may be the last owner of a room, whose lock another thread holds while it pushes here.
        drop(watchers);
    }
}

/// Wakes the socket's task outside of the lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
