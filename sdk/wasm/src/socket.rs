//! One WebSocket attempt, from `new` to forgotten.
//!
//! gloo-net owns the listeners and gives messages as an ordered stream. Sending goes to the raw socket: gloo-net
//! wraps every message in a `Blob`, which the browser reads back asynchronously, too late for a page that is going away.
//!
//! ```text
//!  open ──► Opened ──► Message / Text … ──► Closed      (told to the listener)
//!    └────────────────────────────────────► Closed
//!  drop at any point: nothing more is told, the browser finishes the close alone
//! ```
//!
//! The last line matters: a socket in CLOSING can hang for minutes, so nobody waits for one.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_core::Stream;
use futures_sink::Sink;
use gloo_net::websocket::futures::WebSocket;
use gloo_net::websocket::{Message, State, WebSocketError};

use crate::host::spawn;

/// What a socket tells.
pub(crate) enum Heard {
    Opened,
    Message(Vec<u8>),
    Text,
    /// The last word. The code is absent when the browser knows none.
    Closed(Option<u16>, String),
}

/// A socket that is wanted; dropping it abandons the connection without waiting.
pub(crate) struct Socket {
    raw: web_sys::WebSocket,
    // While it is here, the listening task tells what it hears.
    _wanted: Rc<()>,
}

impl Socket {
    /// Starts connecting. Hosts without WebSocket, invalid addresses and forbidden ports are an error with its reason.
    /// Who hears `Closed` drops the socket.
    pub(crate) fn open(
        url: &str,
        protocol: &str,
        mut hear: impl FnMut(Heard) + 'static,
    ) -> Result<Socket, String> {
        let raw =
            web_sys::WebSocket::new_with_str(url, protocol).map_err(|error| crate::fault::text_of(&error))?;
        let mut socket = WebSocket::try_from(raw.clone()).map_err(|error| error.to_string())?;
        let wanted = Rc::new(());
        let listening = Rc::downgrade(&wanted);
        spawn(Box::pin(async move {
            let mut opened = false;
            // To the end of the stream, wanted or not: gloo-net takes its close listener off by sending it a CloseEvent,
            // which Node 22 and older do not have. There the browser's own event would find a listener that is gone.
            while let Some(heard) = poll_fn(|context| {
                // The sink is ready once the socket has left CONNECTING, for good or bad.
                if !opened && Pin::new(&mut socket).poll_ready(context).is_ready() {
                    opened = true;
                    if matches!(socket.state(), State::Open) {
                        return Poll::Ready(Some(Heard::Opened));
                    }
                }
                Pin::new(&mut socket).poll_next(context).map(|next| next.map(heard))
            })
            .await
            {
                if listening.strong_count() > 0 {
                    hear(heard);
                }
            }
        }));
        Ok(Socket { raw, _wanted: wanted })
    }

    /// Queues bytes in the browser. A socket that is no longer open drops them: its close is on the way as a fact.
    pub(crate) fn send(&self, message: &[u8]) {
        let _ = self.raw.send_with_u8_array(message);
    }

    /// Says goodbye with a code, then forgets the socket.
    pub(crate) fn abandon(self, code: u16) {
        // Pages may only use 1000 and 3000–4999; with any other code the drop below closes without one.
        let _ = self.raw.close_with_code(code);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Nothing more is told: an error, too, would change nothing.
        let _ = self.raw.close();
    }
}

fn heard(next: Result<Message, WebSocketError>) -> Heard {
    match next {
        Ok(Message::Bytes(bytes)) => Heard::Message(bytes),
        Ok(Message::Text(_)) => Heard::Text,
        Err(WebSocketError::ConnectionClose(close)) => Heard::Closed(Some(close.code), close.reason),
        // Browsers tell scripts nothing about a failed connection; a close event with its code may follow, but
        // an error is the end already and one of them is enough.
        Err(_) => Heard::Closed(None, "connection failed".into()),
    }
}
