//! When bytes of a connection last moved, in either direction. The WebSocket above tells of whole messages only, and
//! one of them may be under way for minutes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Traffic {
    opened: Instant,
    /// Nanoseconds since then.
    heard: AtomicU64,
    taken: AtomicU64,
}

impl Traffic {
    /// Of a connection that was just opened.
    pub(crate) fn new() -> Traffic {
        Traffic { opened: Instant::now(), heard: AtomicU64::new(0), taken: AtomicU64::new(0) }
    }

    /// When bytes were read last.
    pub(crate) fn heard(&self) -> Instant {
        self.opened + Duration::from_nanos(self.heard.load(Ordering::Relaxed))
    }

    /// When the kernel took bytes to write last. Once it had no room for more, that means that the peer made some.
    pub(crate) fn taken(&self) -> Instant {
        self.opened + Duration::from_nanos(self.taken.load(Ordering::Relaxed))
    }

    fn mark(&self, what: &AtomicU64) {
        what.store(self.opened.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
}

/// A stream whose traffic is watched.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, traffic: Arc<Traffic>) -> Watched<S> {
        Watched { stream, traffic }
    }

    fn took(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if written.as_ref().is_ok_and(|&bytes| bytes > 0) {
            self.traffic.mark(&self.traffic.taken);
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        if into.filled().len() > before {
            self.traffic.mark(&self.traffic.heard);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, from));
        self.took(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, from));
        self.took(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
