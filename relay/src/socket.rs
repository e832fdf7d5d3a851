//! One socket: a task that moves bytes between a WebSocket, a door and an outbox. It knows no protocol beyond
//! WebSocket's; the door says what messages mean.
//!
//! - What is queued while a write is under way leaves together; a single chunk on an idle socket leaves at once.
//! - A peer that says nothing for a while is asked; one that does not answer is gone, and so is one that takes nothing.
//! - A socket that is to be closed is not read from any more, and what is queued before the close has a time.
//! - A socket whose pushes wait for the store is not read from.

use crate::{
    limits::SocketLimits,
    outbox::{Closing, Outbox},
    traffic::Traffic,
};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream, task::AtomicWaker};
use hither_protocol::{
    close::{CloseCode, short_reason},
    limits::{FRAGMENT_BYTES, MAX_FRAME_HEADER_BYTES},
    varint,
};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use tokio::time::{Instant, Sleep};

/// A longer chunk is sent in parts: a fragment with its header goes as it is.
const MAX_CHUNK_BYTES: usize = FRAGMENT_BYTES + MAX_FRAME_HEADER_BYTES;

/// What a socket asks of the protocol behind it. Nothing here waits.
pub(crate) trait Door: Send {
    /// A binary message has arrived.
    fn handle_message(&mut self, message: Bytes) -> Result<(), Closing>;
    /// Nothing was heard or nothing was said for a while: whatever makes the peer answer.
    fn ping(&mut self) -> Ping;
    /// Whether the peer has introduced itself, so that it may take its time from now on.
    fn is_introduced(&self) -> bool;
    /// How chunks become WebSocket messages.
    fn framing(&self) -> Framing;
}

/// How to ask whether somebody is there.
#[derive(Debug)]
pub(crate) enum Ping {
    /// By a chunk of the door's own words.
    Chunk(Bytes),
    /// By a ping of the WebSocket.
    WebSocket,
}

/// How chunks become WebSocket messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Bodies keep their lengths, and as many as fit share a message.
    Together,
    /// Each body is a message of its own, without its length.
    Apart,
}

/// Moves bytes until the socket ends. The door is dropped, and its rooms are left, before the closing
/// handshake; returns how the socket ended.
pub(crate) async fn drive(
    socket: WebSocket,
    outbox: &Arc<Outbox>,
    door: impl Door,
    limits: &SocketLimits,
    traffic: &Traffic,
) -> Ended {
    let now = Instant::now();
    let mut task = Task {
        socket,
        outbox,
        door: Some(door),
        limits,
        queue: VecDeque::new(),
        fed_bytes: 0,
        is_unflushed: false,
        pings: 0,
        blocked: None,
        closing: None,
        traffic,
        opened: now,
        heard: now,
        said: now,
        asked: now,
        readable: Arc::default(),
    };
    let mut timer = std::pin::pin!(tokio::time::sleep_until(task.next_look()));
    let ended = std::future::poll_fn(|cx| task.poll(cx, timer.as_mut())).await;
    drop(task.door.take());
    outbox.end();
    if let Ended::Closed(closing) = &ended {
        close(&mut task.socket, closing, limits).await;
    }
    ended
}

/// How a socket ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The peer closed it, or it broke.
    Gone,
    /// We closed it.
    Closed(Closing),
}

/// The closing handshake.
pub(crate) async fn close(socket: &mut WebSocket, closing: &Closing, limits: &SocketLimits) {
    let reason = short_reason(&closing.reason).into();
    let frame = CloseFrame { code: closing.code.number(), reason };
    let handshake = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // A peer that does not answer in time has been told all the same.
    let _ = tokio::time::timeout(limits.close_within, handshake).await;
}

struct Task<'a, D> {
    socket: WebSocket,
    outbox: &'a Arc<Outbox>,
    /// There until the socket ends.
    door: Option<D>,
    limits: &'a SocketLimits,
    /// Taken from the outbox and not given to the WebSocket yet.
    queue: VecDeque<Bytes>,
    /// Given to the WebSocket and not flushed yet.
    fed_bytes: usize,
    /// Whether the WebSocket may have anything to flush, be it its own answers to pings.
    is_unflushed: bool,
    /// Pings heard since the peer had taken everything. The WebSocket answers them by itself, behind what is there.
    pings: usize,
    /// Since when the peer has not taken what is there for it.
    blocked: Option<Instant>,
    /// Wanted as soon as everything before it is written, and at this time.
    closing: Option<(Closing, Instant)>,
    traffic: &'a Traffic,
    opened: Instant,
    /// The last whole message, or the last time that the peer had taken everything.
    heard: Instant,
    said: Instant,
    asked: Instant,
    readable: Arc<Readable>,
}

/// Whether there may be something to read. Looking is not free (the WebSocket library clears its buffer first),
/// and a socket is woken for writing far more often.
#[derive(Debug)]
struct Readable {
    maybe: AtomicBool,
    task: AtomicWaker,
}

impl Default for Readable {
    fn default() -> Self {
        Readable { maybe: AtomicBool::new(true), task: AtomicWaker::new() }
    }
}

impl Wake for Readable {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.maybe.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<D: Door> Task<'_, D> {
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Ended> {
        while timer.as_mut().poll(cx).is_ready() {
            if let Some(closing) = self.look(Instant::now()) {
                return Poll::Ready(Ended::Closed(closing));
            }
            timer.as_mut().reset(self.next_look());
        }
        match self.poll_write(cx) {
            Ok(true) => {
                if self.blocked.take().is_some() {
                    // It has made room, so it is there, and cannot have answered what stood behind all that.
                    self.heard = Instant::now();
                }
                if let Some((closing, _)) = self.closing.take() {
                    return Poll::Ready(Ended::Closed(closing));
                }
            }
            Ok(false) => _ = self.blocked.get_or_insert_with(Instant::now),
            Err(Broken) => return Poll::Ready(Ended::Gone),
        }
        self.poll_read(cx)
    }

    /// Writes as much as the peer takes; whether that was everything.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        let taken = self.outbox.take(cx, &mut self.queue);
        if let Some(closing) = taken.closing {
            self.closing = Some((closing, Instant::now() + self.limits.gone_after));
        }
        for (seat, turn) in taken.turns {
            seat.drained(turn);
        }
        let framing = self.door.as_ref().map_or(Framing::Together, Door::framing);
        let mut socket = Pin::new(&mut self.socket);
        while !self.queue.is_empty() {
            match socket.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(Broken),
                Poll::Pending => return Ok(false),
            }
            let (message, bytes) = next_message(&mut self.queue, framing, self.limits.coalesce_bytes);
            self.fed_bytes += bytes;
            self.is_unflushed = true;
            socket.as_mut().start_send(Message::Binary(message)).map_err(|_| Broken)?;
        }
        if self.is_unflushed {
            match socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(Broken),
                Poll::Pending => return Ok(false),
            }
            self.said = Instant::now();
            self.is_unflushed = false;
            self.pings = 0;
            for (seat, turn) in self.outbox.written(std::mem::take(&mut self.fed_bytes)) {
                seat.drained(turn);
            }
        }
        Ok(true)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.readable.task.register(cx.waker());
        if self.closing.is_some() {
            return Poll::Pending;
        }
        if !self.readable.maybe.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let waker = Waker::from(self.readable.clone());
        for _ in 0..self.limits.reads_per_turn {
            if !self.outbox.may_read() {
                // The outbox wakes this task when it may.
                return Poll::Pending;
            }
            // Before the look: what arrives during it sets it again.
            self.readable.maybe.store(false, Ordering::Release);
            let message = match Pin::new(&mut self.socket).poll_next(&mut Context::from_waker(&waker)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(why(&error)),
                Poll::Ready(None) => return Poll::Ready(Ended::Gone),
            };
            self.readable.maybe.store(true, Ordering::Release);
            self.heard = Instant::now();
            let Some(door) = &mut self.door else { return Poll::Ready(Ended::Gone) };
            let handled = match message {
                Message::Binary(bytes) => door.handle_message(bytes),
                Message::Text(_) => Err(Closing::new(CloseCode::Malformed, "a text message")),
                Message::Ping(_) => self.handle_ping(),
                Message::Pong(_) => Ok(()),
                Message::Close(_) => return Poll::Ready(Ended::Gone),
            };
            if let Err(closing) = handled {
                return Poll::Ready(Ended::Closed(closing));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The WebSocket has an answer for it.
    fn handle_ping(&mut self) -> Result<(), Closing> {
        self.is_unflushed = true;
        self.pings += 1;
        if self.blocked.is_some() && self.pings > self.limits.pings {
            return Err(Closing::new(CloseCode::Busy, "the answers to too many pings are not read"));
        }
        Ok(())
    }

    /// Looks at the silence.
    fn look(&mut self, now: Instant) -> Option<Closing> {
        let limits = self.limits;
        let door = self.door.as_ref()?;
        if !door.is_introduced() && now >= self.opened + limits.hello_within {
            return Some(Closing::new(CloseCode::Silent, "no hello"));
        }
        if self.closing.is_none() && !self.outbox.may_read() {
            // It is us who do not listen. A socket that is to be closed is not listened to any more.
            self.heard = now;
        }
        if now >= self.gone_at() {
            let silent = || Closing::new(CloseCode::Silent, "nothing was heard or taken for too long");
            return Some(self.closing.take().map_or_else(silent, |(closing, _)| closing));
        }
        if now >= self.ping_at() {
            self.asked = now;
            match self.door.as_mut()?.ping() {
                Ping::Chunk(chunk) => self.queue.push_back(chunk),
                Ping::WebSocket => {
                    // If it cannot be sent, the silence will end the socket.
                    let _ = Pin::new(&mut self.socket).start_send(Message::Ping(Bytes::new()));
                    self.is_unflushed = true;
                }
            }
        }
        None
    }

    /// The peer's last sign of life. A long message tells nothing before its end, so bytes count, for a time: those
    /// that arrive, and those for which the peer has made room.
    fn alive(&self) -> Instant {
        let taken = self.blocked.map_or(self.heard, |since| {
            let taken = self.traffic.taken();
            if taken > since { taken } else { self.heard }
        });
        let moved = taken.max(self.traffic.heard());
        self.heard.max(moved.min(self.heard + self.limits.message_within))
    }

    /// When the peer is gone, unless it gives a sign of life.
    fn gone_at(&self) -> Instant {
        let gone_after = self.limits.gone_after;
        let mut at = self.alive() + gone_after;
        if let Some(since) = self.blocked {
            at = at.min(since.max(self.traffic.taken()) + gone_after);
        }
        if let Some((_, by)) = self.closing {
            at = at.min(by);
        }
        at
    }

    fn ping_at(&self) -> Instant {
        self.alive().min(self.said).max(self.asked) + self.limits.ping_after
    }

    fn next_look(&self) -> Instant {
        let limits = self.limits;
        let next = self.ping_at().min(self.gone_at());
        match &self.door {
            Some(door) if !door.is_introduced() => next.min(self.opened + limits.hello_within),
            _ => next,
        }
    }
}

/// The peer is not there any more.
struct Broken;

/// Ours to say what the WebSocket library refuses.
fn why(error: &axum::Error) -> Ended {
    use std::error::Error;
    let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    if text.contains("too long") || text.contains("too big") {
        Ended::Closed(Closing::new(CloseCode::TooLarge, text))
    } else if text.contains("rotocol") || text.contains("UTF-8") {
        Ended::Closed(Closing::new(CloseCode::Malformed, text))
    } else {
        Ended::Gone
    }
}

/// Takes the next message off the queue, with the bytes that it took.
fn next_message(queue: &mut VecDeque<Bytes>, framing: Framing, coalesce_bytes: usize) -> (Bytes, usize) {
    match framing {
        Framing::Apart => {
            let body = take_body(queue);
            let taken = body.len() + varint::len(body.len() as u64);
            (body, taken)
        }
        Framing::Together => {
            let message = take_some(queue, coalesce_bytes);
            let taken = message.len();
            (message, taken)
        }
    }
}

fn take_body(queue: &mut VecDeque<Bytes>) -> Bytes {
    let Some(chunk) = queue.front_mut() else { return Bytes::new() };
    let (len, header) = varint::peek(chunk).expect("chunks hold whole bodies");
    let body = chunk.slice(header..header + len as usize);
    if chunk.len() == header + body.len() {
        queue.pop_front();
    } else {
        *chunk = chunk.slice(header + body.len()..);
    }
    body
}

fn take_some(queue: &mut VecDeque<Bytes>, coalesce_bytes: usize) -> Bytes {
    let Some(first) = queue.pop_front() else { return Bytes::new() };
    if first.len() > MAX_CHUNK_BYTES {
        let (some, rest) = cut(first);
        if !rest.is_empty() {
            queue.push_front(rest);
        }
        return some;
    }
    match queue.front() {
        Some(second) if first.len() + second.len() <= coalesce_bytes => {}
        _ => return first,
    }
    let mut message = BytesMut::with_capacity(coalesce_bytes.min(first.len() * (queue.len() + 1)));
    message.extend_from_slice(&first);
    while let Some(next) = queue.front()
        && message.len() + next.len() <= coalesce_bytes
    {
        message.extend_from_slice(next);
        queue.pop_front();
    }
    message.freeze()
}

/// Cuts a long chunk between frames, so that no message is much longer than a fragment.
fn cut(mut chunk: Bytes) -> (Bytes, Bytes) {
    let mut end = 0;
    while let Ok((len, header)) = varint::peek(&chunk[end..]) {
        let next = end + header + len as usize;
        if end > 0 && next > MAX_CHUNK_BYTES {
            break;
        }
        end = next;
    }
    let some = chunk.split_to(end.min(chunk.len()));
    (some, chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bodies: &[usize]) -> Bytes {
        let mut out = Vec::new();
        for &len in bodies {
            varint::write(&mut out, len as u64);
            out.extend(vec![len as u8; len]);
        }
        out.into()
    }

    fn messages(chunks: &[Bytes], framing: Framing) -> Vec<Bytes> {
        let mut queue: VecDeque<Bytes> = chunks.iter().cloned().collect();
        let total: usize = chunks.iter().map(Bytes::len).sum();
        let (mut all, mut taken) = (Vec::new(), 0);
        while !queue.is_empty() {
            let (message, bytes) = next_message(&mut queue, framing, 100);
            taken += bytes;
            all.push(message);
        }
        assert_eq!(taken, total, "every byte is accounted for");
        all
    }

    #[test]
    fn a_single_chunk_leaves_as_it_is_and_small_ones_share_a_message() {
        let (small, large) = (chunk(&[10, 20]), chunk(&[300]));
        let alone = messages(std::slice::from_ref(&small), Framing::Together);
        assert_eq!(alone.len(), 1);
        assert_eq!(alone[0].as_ptr(), small.as_ptr(), "not even copied");
        let all = messages(&[small.clone(), small.clone(), large.clone(), small.clone()], Framing::Together);
        assert_eq!(all, [Bytes::from([&small[..], &small[..]].concat()), large, small]);
    }

    #[test]
    fn a_stock_client_gets_one_body_per_message_without_its_length() {
        let all = messages(&[chunk(&[3, 200]), chunk(&[1])], Framing::Apart);
        assert_eq!(all.iter().map(Bytes::len).collect::<Vec<_>>(), [3, 200, 1]);
        assert!(all.iter().all(|body| body.iter().all(|&byte| byte == body.len() as u8)));
    }

    #[test]
    fn a_long_chunk_is_cut_between_frames() {
        let bodies = [FRAGMENT_BYTES, FRAGMENT_BYTES, 5, 1_000];
        let all = messages(&[chunk(&bodies)], Framing::Together);
        assert_eq!(all.len(), 2 + 1);
        assert!(all.iter().all(|message| message.len() <= MAX_CHUNK_BYTES));
    }
}
