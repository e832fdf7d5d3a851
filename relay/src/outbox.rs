//! The outbox of one socket: what rooms and the door want sent, counted in bytes. Rooms push, the socket's task
//! takes. Pushing never waits: a queue that is too long is the room's business, which then stops pushing.
//!
//! What a socket that takes nothing can hold is bounded:
//! ```text
//!   queue_bytes, and the chunk that went past it
//!   + overrun_bytes of words that were on their way already, and of answers: past it the socket is closed
//!   + what its turns bring: a page or a snapshot each; there are no new ones while the queue is long
//! ```

use crate::{node::Seat, room::MemberId};
use bytes::Bytes;
use hither_protocol::close::CloseCode;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

/// What a chunk takes beside its bytes, about: its place in a queue and its owner's.
const AROUND_CHUNK_BYTES: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    queue_bytes: usize,
    low_water_bytes: usize,
    in_flight_bytes: usize,
    most_turns: usize,
    overrun_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks`, and those that the socket took and could not write yet.
    bytes: usize,
    /// Those that came while the queue was long and were nobody's turn, since it was short last.
    overrun: usize,
    /// Pushed by this socket and not settled by a room.
    in_flight: usize,
    /// Members of this socket that wait for a turn, the first one first.
    watchers: VecDeque<Seat>,
    /// Turns that are taken.
    turns: usize,
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
    /// Somebody wants it closed, after what is queued.
    Asked(Closing),
    /// Too much is queued that nobody takes: it is dropped.
    Overrun,
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
            most_turns: limits.turns,
            overrun_bytes: limits.overrun_bytes,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a chunk; whether the queue is longer than the limit now. Nothing is queued behind a wish to close.
    pub fn push(&self, chunk: Bytes) -> bool {
        let mut state = self.lock();
        if state.bytes > self.queue_bytes {
            state.overrun += chunk.len() + AROUND_CHUNK_BYTES;
            if state.overrun > self.overrun_bytes && matches!(state.end, End::Open) {
                state.end = End::Overrun;
                state.chunks = VecDeque::new();
            }
        }
        self.queue(state, chunk)
    }

    /// Queues what a member's turn brings.
    pub(crate) fn push_in_turn(&self, chunk: Bytes) -> bool {
        self.queue(self.lock(), chunk)
    }

    fn queue(&self, mut state: MutexGuard<'_, State>, chunk: Bytes) -> bool {
        match state.end {
            End::Open => {}
            End::Asked(_) | End::Known => return false,
            End::Overrun => {
                wake(state);
                return false;
            }
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

    /// A turn for a member, or none yet: then the socket's task has one for it later.
    pub(crate) fn watch(self: &Arc<Self>, seat: Seat) -> Option<Turn> {
        let mut state = self.lock();
        if !matches!(state.end, End::Open) {
            return None;
        }
        if state.watchers.is_empty() && self.has_turn(&state) {
            state.turns += 1;
            return Some(Turn(self.clone()));
        }
        state.watchers.push_back(seat);
        None
    }

    /// This member waits for nothing any more.
    pub(crate) fn unwatch(&self, member: MemberId) {
        self.lock().watchers.retain(|seat| seat.member() != member);
    }

    fn has_turn(&self, state: &State) -> bool {
        matches!(state.end, End::Open) && state.bytes <= self.low_water_bytes && state.turns < self.most_turns
    }

    fn next_turns(self: &Arc<Self>, state: &mut State) -> Vec<(Seat, Turn)> {
        let mut next = Vec::new();
        while self.has_turn(state)
            && let Some(seat) = state.watchers.pop_front()
        {
            state.turns += 1;
            next.push((seat, Turn(self.clone())));
        }
        next
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

    /// Moves everything queued to `into` and remembers whom to wake when there is more.
    pub(crate) fn take(self: &Arc<Self>, cx: &Context<'_>, into: &mut VecDeque<Bytes>) -> Taken {
        let mut state = self.lock();
        if into.is_empty() {
            std::mem::swap(&mut state.chunks, into);
        } else {
            into.append(&mut state.chunks);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        let turns = self.next_turns(&mut state);
        if matches!(state.end, End::Open) {
            return Taken { closing: None, turns };
        }
        let closing = match std::mem::replace(&mut state.end, End::Known) {
            End::Open | End::Known => None,
            End::Asked(closing) => Some(closing),
            End::Overrun => {
                into.clear();
                Some(Closing::new(CloseCode::Busy, "too much is queued that is not read"))
            }
        };
        Taken { closing, turns }
    }

    /// So many bytes of what was taken are with the kernel. Returns whose turn it is now.
    pub(crate) fn written(self: &Arc<Self>, bytes: usize) -> Vec<(Seat, Turn)> {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        if state.bytes <= self.low_water_bytes {
            state.overrun = 0;
        }
        self.next_turns(&mut state)
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

/// What the socket's task finds.
pub(crate) struct Taken {
    /// The wish to close, once; it stands behind everything that was moved.
    pub(crate) closing: Option<Closing>,
    /// Whose turn it is.
    pub(crate) turns: Vec<(Seat, Turn)>,
}

/// A member's turn to be told a part of the log: taken while that is read and queued, free for another when this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Outbox>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.turns -= 1;
        if !state.watchers.is_empty() && self.0.has_turn(&state) {
            wake(state);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SocketLimits;

    fn take(outbox: &Arc<Outbox>, into: &mut VecDeque<Bytes>) -> Option<Closing> {
        outbox.take(&Context::from_waker(Waker::noop()), into).closing
    }

    #[test]
    fn a_socket_that_takes_nothing_is_closed_and_holds_nothing_however_small_the_words_are() {
        let limits = SocketLimits { queue_bytes: 2_000, overrun_bytes: 30_000, ..SocketLimits::default() };
        for words in [1, 3, 100, 4_096, 100_000] {
            let outbox = Arc::new(Outbox::new(&limits));
            let (mut held, mut most, mut closing) = (VecDeque::new(), 0, None);
            for _ in 0..limits.queue_bytes + limits.overrun_bytes {
                outbox.push(Bytes::from(vec![b'x'; words]));
                closing = take(&outbox, &mut held);
                if closing.is_some() {
                    break;
                }
                most = most.max(held.iter().map(Bytes::len).sum());
            }
            assert_eq!(closing.map(|closing| closing.code), Some(CloseCode::Busy));
            assert!(held.is_empty(), "dropped");
            let bound = limits.queue_bytes + limits.overrun_bytes + words;
            assert!(most <= bound, "{most} bytes in words of {words}");
            outbox.push(Bytes::from_static(b"late"));
            assert_eq!((take(&outbox, &mut held), held.len()), (None, 0));
        }
    }

    #[test]
    fn a_socket_that_takes_a_little_now_and_then_is_not_closed() {
        let limits = SocketLimits::default();
        let outbox = Arc::new(Outbox::new(&limits));
        let mut held = VecDeque::new();
        for _ in 0..1_000 {
            for _ in 0..10 {
                outbox.push(Bytes::from(vec![b'x'; 100_000]));
            }
            assert_eq!(take(&outbox, &mut held), None);
            let bytes = held.drain(..).map(|chunk| chunk.len()).sum();
            outbox.written(bytes);
        }
    }

    #[test]
    fn what_a_turn_brings_may_be_as_large_as_it_is() {
        let limits = SocketLimits::default();
        let outbox = Arc::new(Outbox::new(&limits));
        for _ in 0..limits.turns {
            outbox.push_in_turn(Bytes::from(vec![b'x'; limits.overrun_bytes + 1]));
        }
        assert!(outbox.push(Bytes::from_static(b"on its way already")), "it is long");
        assert_eq!(take(&outbox, &mut VecDeque::new()), None);
    }

    #[test]
    fn nothing_is_queued_behind_a_wish_to_close() {
        let outbox = Arc::new(Outbox::new(&SocketLimits::default()));
        let mut held = VecDeque::new();
        outbox.push(Bytes::from_static(b"before"));
        outbox.close(Closing::new(CloseCode::Restarting, "going"));
        outbox.push(Bytes::from_static(b"behind"));
        assert_eq!(take(&outbox, &mut held).map(|closing| closing.code), Some(CloseCode::Restarting));
        assert_eq!(held, [Bytes::from_static(b"before")]);
    }
}
