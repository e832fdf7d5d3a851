//! yrs-axum as its documentation shows it, with one broadcast group for each path.
#![forbid(unsafe_code)]

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::any;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex, RwLock};
use yrs::Doc;
use yrs::sync::Awareness;
use yrs_axum::broadcast::BroadcastGroup;
use yrs_axum::ws::{AxumSink, AxumStream};

/// Messages that a slow socket may be behind before it loses some.
const BUFFERED: usize = 65_536;

type Rooms = Arc<Mutex<HashMap<String, Arc<BroadcastGroup>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/{room}", any(upgrade)).with_state(Rooms::default())).await
}

async fn upgrade(upgrade: WebSocketUpgrade, Path(room): Path<String>, State(rooms): State<Rooms>) -> Response {
    upgrade.on_upgrade(move |socket| member(socket, room, rooms))
}

async fn member(socket: WebSocket, room: String, rooms: Rooms) {
    let group = {
        let mut rooms = rooms.lock().await;
        match rooms.get(&room) {
            Some(group) => group.clone(),
            None => {
                let awareness = Arc::new(RwLock::new(Awareness::new(Doc::new())));
                let group = Arc::new(BroadcastGroup::new(awareness, BUFFERED).await);
                rooms.insert(room, group.clone());
                group
            }
        }
    };
    let (sink, stream) = socket.split();
    let subscription = group.subscribe(Arc::new(Mutex::new(AxumSink(sink))), AxumStream(stream));
    // A socket that breaks is gone; the benchmark sees it on its own side.
    let _ = subscription.completed().await;
}
