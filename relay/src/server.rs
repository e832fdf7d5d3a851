//! The server: one listener with both doors, health and the web pages beside them.

use crate::{
    compaction::{CompactionPolicy, Compactor},
    config::Config,
    doors::{sync::SyncDoor, yjs::YjsDoor},
    limits::{HEADER_BUFFER_BYTES, HEADERS_WITHIN, LISTEN_BACKLOG, READ_BUFFER_BYTES},
    log::RoomLog,
    node::{Node, OpenSocket},
    outbox::Closing,
    pages,
    room::{Kind, words},
    socket::{self, Ended},
    traffic::{Traffic, Watched},
};
use axum::{
    Router,
    extract::{
        Path, State,
        ws::{WebSocket, WebSocketUpgrade},
    },
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONNECTION, ORIGIN},
    },
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use hither_protocol::{
    SUBPROTOCOL,
    close::CloseCode,
    frames::RelayFrame,
    ids::RoomName,
    limits::{MAX_FRAME_HEADER_BYTES, MAX_MESSAGE_BYTES, MAX_UPDATE_BYTES},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

/// How often the store is asked whether it still works.
const HEALTH_INTERVAL: Duration = Duration::from_millis(500);

/// A listener with a deep backlog.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `shutdown` resolves, then tells clients when to come back, finishes what was received, closes
/// everything and returns, within [`Config::shutdown_within`]. A store that has failed for good ends it the same
/// way, with an error.
pub async fn run(
    listener: TcpListener,
    config: Config,
    log: Arc<dyn RoomLog>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let policy = CompactionPolicy { worker: config.compaction.clone(), ..CompactionPolicy::default() };
    let compactor = Compactor::new(log.clone(), policy);
    let node = Node::new(log.clone(), compactor, config.limits);
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared {
        node: node.clone(),
        allow_origin: config.allow_origin.clone(),
        is_ready: AtomicBool::new(true),
    });
    let (app, full) = (router(shared.clone(), &config), router_when_full());
    let slots = Arc::new(Semaphore::new(config.limits.node.connections));
    let spare = Arc::new(Semaphore::new(config.limits.node.spare_connections));
    let failure = failure_of(log.clone());
    let shutdown = async {
        tokio::select! {
            () = shutdown => {}
            () = failure => {}
        }
    };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of files, or a connection that was gone before it was taken: neither is the listener's end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let (app, slot) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Ok(slot) = slots.clone().acquire_owned() => (&app, slot),
            Ok(slot) = spare.clone().acquire_owned() => (&full, slot),
        };
        let app = app.clone();
        tokio::spawn(serve_connection(stream, app, slot, stopped.clone()));
    }
    shared.is_ready.store(false, Ordering::Relaxed);
    drop(listener);
    let _ = stop.send(true);
    shut_down(&node, &config).await;
    log.health().map_err(io::Error::other)
}

/// Resolves when the store has failed for good.
async fn failure_of(log: Arc<dyn RoomLog>) {
    while log.health().is_ok() {
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
    tracing::error!("the store has failed; a relay that is started anew opens it again");
}

async fn shut_down(node: &Arc<Node>, config: &Config) {
    let deadline = Instant::now() + config.shutdown_within;
    let ms = config.retry_after.as_millis() as u64;
    let goaway = words::frame(&RelayFrame::Goaway { retry_after_ms: ms, jitter_ms: ms });
    let sockets = node.sockets();
    tracing::info!(sockets = sockets.len(), "going away");
    for (kind, outbox) in sockets {
        if kind == Kind::Sync {
            outbox.push(goaway.clone());
        }
        outbox.deafen();
    }
    while !node.is_drained() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while node.socket_count() > 0 && Instant::now() < deadline {
        // Again and again: a socket may have been on its way in.
        node.close_all(CloseCode::Restarting, "the relay restarts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tracing::info!("gone");
}

/// One HTTP connection, which becomes a socket or ends soon.
async fn serve_connection(
    stream: TcpStream,
    app: Router,
    slot: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<bool>,
) {
    // Without it two Rust peers answer each other every 43 ms (measured).
    let _ = stream.set_nodelay(true);
    let line = Line { slot: Arc::new(slot), traffic: Arc::new(Traffic::new()) };
    let stream = Watched::new(stream, line.traffic.clone());
    let app = app.layer(axum::Extension(line.clone()));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADER_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // How a stranger's connection ends is of no interest.
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    drop(line);
}

/// The connection under a request.
#[derive(Clone)]
struct Line {
    /// Its place among the connections: kept by whoever serves it.
    #[allow(dead_code)] // held for its drop
    slot: Arc<OwnedSemaphorePermit>,
    traffic: Arc<Traffic>,
}

struct Shared {
    node: Arc<Node>,
    allow_origin: Vec<String>,
    is_ready: AtomicBool,
}

fn router(shared: Arc<Shared>, config: &Config) -> Router {
    let doors = Router::new()
        .route("/sync", get(open_sync))
        .route("/yjs/{*room}", get(open_yjs))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .with_state(shared);
    match &config.serve {
        Some(dir) => doors.fallback_service(pages::serve(dir)),
        None => doors
            .fallback(async || (StatusCode::NOT_FOUND, "no such page; the doors are /sync and /yjs/ROOM\n")),
    }
}

/// All that a connection past the limit gets. It is closed after one answer, so that the next one gets one, too.
fn router_when_full() -> Router {
    async fn close(mut response: Response) -> Response {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
    let full = async || (StatusCode::SERVICE_UNAVAILABLE, "this relay has no room for more connections\n");
    Router::new().route("/healthz", get(healthy)).fallback(full).layer(middleware::map_response(close))
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.is_ready.load(Ordering::Relaxed) {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "going away\n").into_response()
    }
}

impl Shared {
    /// Browsers tell which page asks; other programs tell what they like.
    fn is_welcome(&self, headers: &HeaderMap) -> bool {
        self.allow_origin.is_empty()
            || headers.get(ORIGIN).is_none_or(|origin| {
                self.allow_origin.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
            })
    }
}

async fn open_sync(
    State(shared): State<Arc<Shared>>,
    axum::Extension(line): axum::Extension<Line>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !shared.is_welcome(&headers) {
        return (StatusCode::FORBIDDEN, "this origin is not allowed\n").into_response();
    }
    let upgrade = sized(upgrade, MAX_MESSAGE_BYTES).protocols([SUBPROTOCOL]);
    upgrade.on_upgrade(async move |socket| {
        if socket.protocol().is_none_or(|protocol| protocol != SUBPROTOCOL) {
            let reason = format!("the subprotocol must be {SUBPROTOCOL}");
            return refuse(socket, &Closing::new(CloseCode::Version, reason), &shared.node).await;
        }
        let open = shared.node.open_socket(Kind::Sync);
        let door = SyncDoor::new(shared.node.clone(), open.outbox.clone());
        keep(socket, open, door, &shared.node, &line.traffic).await;
        drop(line);
    })
}

async fn open_yjs(
    State(shared): State<Arc<Shared>>,
    axum::Extension(line): axum::Extension<Line>,
    Path(room): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !shared.is_welcome(&headers) {
        return (StatusCode::FORBIDDEN, "this origin is not allowed\n").into_response();
    }
    // A stock client sends its whole document as one message.
    let upgrade = sized(upgrade, MAX_UPDATE_BYTES + MAX_FRAME_HEADER_BYTES);
    upgrade.on_upgrade(async move |socket| {
        let room = match RoomName::new(&room) {
            Ok(room) => room,
            Err(error) => {
                return refuse(socket, &Closing::new(CloseCode::Malformed, error), &shared.node).await;
            }
        };
        let open = shared.node.open_socket(Kind::Yjs);
        match YjsDoor::new(&shared.node, open.outbox.clone(), &room) {
            Ok(door) => keep(socket, open, door, &shared.node, &line.traffic).await,
            Err(closing) => refuse(socket, &closing, &shared.node).await,
        }
        drop(line);
    })
}

/// Small buffers: what an idle socket costs is mostly these.
fn sized(upgrade: WebSocketUpgrade, max_message_bytes: usize) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        // The queue before it is bounded, and it is flushed before the next chunk is taken.
        .write_buffer_size(READ_BUFFER_BYTES * 4)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(max_message_bytes)
        .max_frame_size(max_message_bytes)
}

async fn keep(socket: WebSocket, open: OpenSocket, door: impl socket::Door, node: &Node, traffic: &Traffic) {
    let ended = socket::drive(socket, &open.outbox, door, &node.limits().socket, traffic).await;
    if let Ended::Closed(closing) = &ended {
        tracing::debug!(code = closing.code.number(), reason = closing.reason, "a socket was closed");
    }
}

/// Closes a socket that was never let in.
async fn refuse(mut socket: WebSocket, closing: &Closing, node: &Node) {
    socket::close(&mut socket, closing, &node.limits().socket).await;
}
