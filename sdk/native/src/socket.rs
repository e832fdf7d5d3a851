//! One attempt to talk to the relay: opens a WebSocket, carries messages both ways, and ends.
//!
//! The actor gives a socket up by dropping its [`Handle`]: the task then gets a moment to say goodbye and is gone; a
//! socket that hangs is nobody's problem any more. Messages in wait for the actor at most [`INBOX`] deep, then the
//! relay's TCP window closes. Messages out are bounded too: a relay that takes none of [`OUTBOX`] is a lost one.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hither_core::SocketId;
use hither_protocol::SUBPROTOCOL;
use hither_protocol::close::CloseCode;
use hither_protocol::limits::MAX_MESSAGE_BYTES;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as WsError, UrlError};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

/// Messages that wait for the actor: a page of the log is one or two.
const INBOX: usize = 16;

/// Messages that wait for the relay. The core has at most 1 MiB of edits in flight, one edit may be 8 MiB: that is
/// 36 messages, the rest is presence and joins.
const OUTBOX: usize = 256;

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Buffers of a connection. tungstenite's own defaults are 128 KiB each, which load generators pay a thousand times.
const BUFFER_BYTES: usize = 8 * 1024;

/// The largest message that is read. A relay of a later version may send larger ones than this version does.
const MAX_READ_BYTES: usize = 4 * MAX_MESSAGE_BYTES;

/// What a socket tells the actor.
pub(crate) enum Heard {
    Connected,
    Binary(Bytes),
    Text,
    Closed { code: Option<u16>, reason: String },
}

pub(crate) type Inbox = mpsc::Receiver<(SocketId, Heard)>;
pub(crate) type InboxSender = mpsc::Sender<(SocketId, Heard)>;

pub(crate) fn inbox() -> (InboxSender, Inbox) {
    mpsc::channel(INBOX)
}

/// A socket in use. Dropping it abandons the socket.
pub(crate) struct Handle {
    pub(crate) id: SocketId,
    outgoing: mpsc::Sender<Message>,
}

/// The relay takes nothing any more.
pub(crate) struct Stuck;

impl Handle {
    pub(crate) fn send(&self, message: Bytes) -> Result<(), Stuck> {
        match self.outgoing.try_send(Message::Binary(message)) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Stuck),
            // A closed one has told so, or is about to.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Says why, if there is still room to say it, and lets go.
    pub(crate) fn close(self, code: u16) {
        let reason = CloseCode::from_number(code.into()).map_or("", CloseCode::meaning);
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let _ = self.outgoing.try_send(Message::Close(Some(frame)));
    }
}

/// The request with which sockets are opened; fails for an address that cannot be one.
pub(crate) fn request(url: &str) -> Result<Request, WsError> {
    let mut request = url.into_client_request()?;
    match request.uri().scheme_str() {
        Some("ws") => {}
        Some("wss") if cfg!(feature = "tls") => {}
        Some("wss") => return Err(UrlError::TlsFeatureNotEnabled.into()),
        _ => return Err(UrlError::UnsupportedUrlScheme.into()),
    }
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

pub(crate) fn open(id: SocketId, request: Request, heard: InboxSender) -> Handle {
    let (outgoing, messages) = mpsc::channel(OUTBOX);
    tokio::spawn(run(id, request, heard, messages));
    Handle { id, outgoing }
}

async fn run(id: SocketId, request: Request, heard: InboxSender, mut outgoing: mpsc::Receiver<Message>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(4 * MAX_MESSAGE_BYTES)
        .max_message_size(Some(MAX_READ_BYTES))
        .max_frame_size(Some(MAX_READ_BYTES));
    // `true`: TCP_NODELAY. Without it two peers that answer each other wait 40 ms each round.
    let connecting = connect_async_tls_with_config(request, Some(config), true, connector());
    let stream = tokio::select! {
        connected = connecting => match connected {
            Ok((stream, _)) => stream,
            Err(error) => return tell(&heard, id, lost(&error)).await,
        },
        // Nothing is sent before the connection is up: this is the handle being dropped or closed.
        _ = outgoing.recv() => return,
    };
    tell(&heard, id, Heard::Connected).await;
    let (mut sink, mut stream) = stream.split();

    let reading = async {
        loop {
            let told = match stream.next().await {
                Some(Ok(Message::Binary(bytes))) => Heard::Binary(bytes),
                Some(Ok(Message::Text(_))) => Heard::Text,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = match frame {
                        Some(frame) => (Some(frame.code.into()), frame.reason.to_string()),
                        None => (None, String::new()),
                    };
                    break Heard::Closed { code, reason };
                }
                Some(Err(error)) => break lost(&error),
                None => break Heard::Closed { code: None, reason: String::new() },
            };
            if heard.send((id, told)).await.is_err() {
                break Heard::Closed { code: None, reason: String::new() };
            }
        }
    };
    let writing = async {
        while let Some(message) = outgoing.recv().await {
            let is_farewell = message.is_close();
            let mut result = sink.feed(message).await;
            // What queued up meanwhile leaves in the same write.
            while let (Ok(()), Ok(next)) = (&result, outgoing.try_recv()) {
                result = sink.feed(next).await;
            }
            if let Err(error) = result.and(sink.flush().await) {
                return Some(lost(&error));
            }
            if is_farewell {
                return None;
            }
        }
        // The handle was dropped.
        let _ = tokio::time::timeout(FAREWELL, sink.close()).await;
        None
    };
    let end = tokio::select! {
        end = reading => Some(end),
        end = writing => end,
    };
    if let Some(end) = end {
        tell(&heard, id, end).await;
    }
}

async fn tell(heard: &InboxSender, id: SocketId, what: Heard) {
    // Nobody listens: the client is closed.
    let _ = heard.send((id, what)).await;
}

fn lost(error: &WsError) -> Heard {
    let reason = match error {
        WsError::Http(response) => format!("the relay answered {}", response.status()),
        other => other.to_string(),
    };
    Heard::Closed { code: None, reason }
}

#[cfg(feature = "tls")]
fn connector() -> Option<Connector> {
    use std::sync::{Arc, OnceLock};
    static CONFIG: OnceLock<Option<Arc<rustls::ClientConfig>>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().ok()?;
        Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    });
    config.clone().map(Connector::Rustls)
}

#[cfg(not(feature = "tls"))]
fn connector() -> Option<Connector> {
    None::<Connector>
}
