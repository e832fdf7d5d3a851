//! The references: sockets and no logic. What a socket sends goes to every other socket of the same path.
//!
//! On axum, as the relay is, with one write per message or with one for all that waits; and on tokio and tungstenite
//! alone, which is what any server in Rust pays at least.

use crate::Failed;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite;

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum How {
    Rust,
    Axum,
    Coalescing,
}

type Members = HashMap<u64, UnboundedSender<Bytes>>;

#[derive(Clone)]
struct Rooms {
    how: How,
    members: Arc<Mutex<(u64, HashMap<String, Members>)>>,
}

/// Listens on a port of the system's choice and prints it as the relay does.
pub(crate) async fn serve(how: How) -> Result<(), Failed> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket.into())?;
    println!("listening on http://{}", listener.local_addr()?);
    let rooms = Rooms { how, members: Arc::default() };
    if how == How::Rust {
        return accept(listener, rooms).await;
    }
    let app = Router::new().route("/{room}", any(upgrade)).with_state(rooms);
    let listener = axum::serve::ListenerExt::tap_io(listener, |tcp: &mut TcpStream| {
        // A figure without it would measure Nagle's algorithm.
        let _ = tcp.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

async fn accept(listener: TcpListener, rooms: Rooms) -> Result<(), Failed> {
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let rooms = rooms.clone();
        tokio::spawn(async move {
            let mut room = String::new();
            #[expect(clippy::result_large_err, reason = "the library's own type of a handshake")]
            let see = |request: &tungstenite::handshake::server::Request, response| {
                request.uri().path().clone_into(&mut room);
                Ok(response)
            };
            let limits =
                tungstenite::protocol::WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
            let accepted = tokio_tungstenite::accept_hdr_async_with_config(tcp, see, Some(limits)).await;
            if let Ok(socket) = accepted {
                let messages = socket.map(|message| match message {
                    Ok(tungstenite::Message::Binary(bytes)) => Some(Some(bytes)),
                    Ok(tungstenite::Message::Close(_)) | Err(_) => None,
                    Ok(_) => Some(None),
                });
                let sink = |bytes| tungstenite::Message::Binary(bytes);
                member(messages, sink, room, rooms).await;
            }
        });
    }
}

async fn upgrade(
    upgrade: WebSocketUpgrade,
    Path(room): Path<String>,
    State(rooms): State<Rooms>,
) -> Response {
    upgrade.read_buffer_size(4096).write_buffer_size(4096).on_upgrade(move |socket: WebSocket| async {
        let messages = socket.map(|message| match message {
            Ok(Message::Binary(bytes)) => Some(Some(bytes)),
            Ok(Message::Close(_)) | Err(_) => None,
            Ok(_) => Some(None),
        });
        member(messages, Message::Binary, room, rooms).await;
    })
}

/// One socket until it ends. A message is `None` at the end, and holds `None` where there is nothing to pass on.
async fn member<S, M, E>(socket: S, message_of: impl Fn(Bytes) -> M, room: String, rooms: Rooms)
where
    S: Stream<Item = Option<Option<Bytes>>> + Sink<M, Error = E> + Unpin,
{
    let (mut write, mut read) = socket.split();
    let (queue, mut queued) = unbounded_channel();
    let me = {
        let mut members = rooms.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.0 += 1;
        let me = members.0;
        members.1.entry(room.clone()).or_default().insert(me, queue);
        me
    };
    loop {
        tokio::select! {
            message = read.next() => match message {
                Some(Some(Some(bytes))) => {
                    let members = rooms.members.lock().unwrap_or_else(PoisonError::into_inner);
                    for (id, queue) in &members.1[&room] {
                        if *id != me {
                            let _ = queue.send(bytes.clone());
                        }
                    }
                }
                Some(Some(None)) => {}
                Some(None) | None => break,
            },
            bytes = queued.recv() => {
                let Some(bytes) = bytes else { break };
                let mut sent = write.feed(message_of(bytes)).await;
                while rooms.how == How::Coalescing && sent.is_ok() {
                    let Ok(bytes) = queued.try_recv() else { break };
                    sent = write.feed(message_of(bytes)).await;
                }
                if sent.is_err() || write.flush().await.is_err() {
                    break;
                }
            }
        }
    }
    let mut members = rooms.members.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(members) = members.1.get_mut(&room) {
        members.remove(&me);
    }
}
