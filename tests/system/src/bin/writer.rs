//! A client that tests kill: `system-writer URL FILE ROOM FIRST` pushes FIRST, FIRST + 1, … to the list `log` and says
//! `local N` when N is on its disk. It never ends by itself.
#![forbid(unsafe_code)]

use hither_client::{Client, OpenOptions, Value};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file, room, first] = &arguments[..] else {
        return Err("usage: system-writer URL FILE ROOM FIRST".into());
    };
    let client = Client::builder(url).file(file).open().await?;
    let room = client.open(room, OpenOptions::default()).await?;
    if room.get("log").await?.is_none() {
        room.change(|draft| draft.set("log", Value::List(Vec::new()))).await?;
    }
    for n in first.parse::<u32>()?.. {
        let receipt = room.change(move |draft| draft.push("log", f64::from(n))).await?;
        receipt.local().await?;
        println!("local {n}");
    }
    Ok(())
}
