//! Hither clients and what tests say about them.

use hither_client::{Client, OpenOptions, Room, StartError, Value};
use serde_json::Value as Json;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

/// How long anything may take that a test waits for: far more than it takes on a slow machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, and fails with a sentence when it takes too long.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("waited {} s for {what}", PATIENCE.as_secs()),
    }
}

/// A number from the environment, or `default`.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?}")))
}

/// A client that keeps rooms in memory.
pub async fn person(url: &str) -> Client {
    Client::builder(url).memory().open().await.unwrap()
}

/// A client that keeps rooms in a file. A program that another test starts holds the files of this process open for the
/// moment until it is a process of its own, also one that was closed meanwhile: that moment is waited for.
pub async fn person_with_disk(url: &str, file: &Path) -> Client {
    within("the file to be free", async {
        loop {
            match Client::builder(url).file(file).open().await {
                Ok(client) => return client,
                Err(StartError::Store(error)) if error.to_string().contains("is in use") => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// Opens a room and waits until it has what the relay has.
pub async fn enters(client: &Client, room: &str) -> Room {
    let room = client.open(room, OpenOptions::default()).await.unwrap();
    within("a room to be in sync", room.synced()).await.unwrap();
    room
}

/// Opens a room without waiting for anybody.
pub async fn opens(client: &Client, room: &str, initial: Option<Json>) -> Room {
    let initial = initial.map(|json| texts(&json));
    client.open(room, OpenOptions { initial, token: Vec::new() }).await.unwrap()
}

/// JSON in which `{"text": "…"}` is a shared text.
pub fn texts(json: &Json) -> Value {
    match json {
        Json::Object(entries) => match entries.get("text") {
            Some(Json::String(text)) if entries.len() == 1 => Value::Text(text.clone()),
            _ => Value::Map(entries.iter().map(|(key, value)| (key.clone(), texts(value))).collect()),
        },
        Json::Array(items) => Value::List(items.iter().map(texts).collect()),
        other => Value::from_json(other),
    }
}

/// The state as JSON.
pub async fn state(room: &Room) -> Json {
    room.state().await.unwrap().to_json()
}

/// Waits until the state is as expected, and shows it if it does not come to that.
pub async fn sees(room: &Room, what: &str, expected: impl Fn(&Json) -> bool) {
    let mut changes = room.watch();
    let seen = tokio::time::timeout(PATIENCE, async {
        while !expected(&state(room).await) {
            changes.changed().await.unwrap();
        }
    })
    .await;
    if seen.is_err() {
        panic!("waited {} s for {what}, the state is {}", PATIENCE.as_secs(), state(room).await);
    }
}

/// Waits until all of these rooms have the same state, and returns it.
pub async fn agree(rooms: &[&Room]) -> Json {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut states = Vec::new();
        for room in rooms {
            states.push(state(room).await);
        }
        if states.windows(2).all(|pair| pair[0] == pair[1]) {
            return states.swap_remove(0);
        }
        assert!(tokio::time::Instant::now() < deadline, "no agreement: {states:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
