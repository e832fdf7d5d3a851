//! Types a history into a room of a running relay, for tests that read it with other clients:
//! `system-typist URL ROOM automerge-paper|sveltecomponent|friendsforever`. When everything is durable it prints one
//! line of JSON, `{"origin", "edits", "end"}`; the text is the root `text` of the room.
#![forbid(unsafe_code)]

use hither_system_tests::history::History;
use hither_system_tests::typing::types;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, room, name] = &arguments[..] else {
        return Err("usage: system-typist URL ROOM HISTORY".into());
    };
    let history = History::recorded_or_generated(name);
    let dir = tempfile::tempdir()?;
    let (authors, end) = types(url, room, dir.path(), &history).await;
    for author in &authors {
        author.client.close().await;
    }
    println!("{}", json!({ "origin": history.origin, "edits": history.edits(), "end": end }));
    Ok(())
}
