//! What the commands do.

use crate::args::{Cli, Command, Given, Way};
use hither_client::{ChangeError, Client, Connection, OpenOptions, Receipt, Room, SyncError, Value};
use serde_json::json;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// How often a connection without a room is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    NoAnswer(String),
    #[error("nothing at {0}")]
    Nothing(String),
    /// Standard output is closed.
    #[error("nobody reads the output")]
    Unread,
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Unread => 0,
            Failure::Refused(_) => 1,
            Failure::NoAnswer(_) => 3,
            Failure::Nothing(_) => 4,
        }
    }
}

fn refused(error: impl std::fmt::Display) -> Failure {
    Failure::Refused(error.to_string())
}

pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { way, command } = cli;
    let builder = Client::builder(&way.url).name(concat!("hither ", env!("CARGO_PKG_VERSION")));
    let builder = match &way.store {
        Some(file) => builder.file(file),
        None => builder.memory(),
    };
    let client = builder.connect(!way.offline).open().await.map_err(refused)?;
    let done = perform(&client, &way, command).await;
    client.close().await;
    done
}

async fn perform(client: &Client, way: &Way, command: Command) -> Result<(), Failure> {
    match command {
        Command::Get { room, path } => {
            let room = open(client, way, &room).await?;
            let value = room.get(path.as_str()).await.map_err(refused)?.ok_or(Failure::Nothing(path))?;
            print(&value.to_json())
        }
        Command::Watch { room, path } => watch(&open(client, way, &room).await?, &path).await,
        Command::Set { room, path, value } => {
            let value = value.read()?;
            let room = open(client, way, &room).await?;
            write(way, room.change(move |draft| draft.set(path.as_str(), value)).await).await
        }
        Command::Push { room, path, value } => {
            let value = value.read()?;
            let room = open(client, way, &room).await?;
            write(way, room.change(move |draft| draft.push(path.as_str(), value)).await).await
        }
        Command::Delete { room, path } => {
            let room = open(client, way, &room).await?;
            if room.get(path.as_str()).await.map_err(refused)?.is_none() {
                return Err(Failure::Nothing(path));
            }
            write(way, room.change(move |draft| draft.remove(path.as_str())).await).await
        }
        Command::Import { room, file, json } => {
            let bytes = read_file(&file)?;
            let entries = if json { Some(entries(&bytes, &file)?) } else { None };
            let room = open(client, way, &room).await?;
            let change = match entries {
                None => room.import(bytes).await,
                Some(entries) => {
                    room.change(move |draft| {
                        entries
                            .iter()
                            .try_for_each(|(name, value)| draft.set([name], Value::from_json(value)))
                    })
                    .await
                }
            };
            write(way, change).await
        }
        Command::Export { room, file, json } => {
            let room = open(client, way, &room).await?;
            let bytes = match json {
                true => format!("{}\n", room.state().await.map_err(refused)?.to_json()).into_bytes(),
                false => room.export().await.map_err(refused)?,
            };
            write_file(&file, &bytes)
        }
        Command::Status { room } => status(client, way, room).await,
    }
}

/// Opens a room and waits until it has what the relay has.
async fn open(client: &Client, way: &Way, name: &str) -> Result<Room, Failure> {
    let options =
        OpenOptions { token: way.token.clone().unwrap_or_default().into_bytes(), ..OpenOptions::default() };
    let room = client.open(name, options).await.map_err(refused)?;
    if way.offline {
        return Ok(room);
    }
    match timeout(way.wait, room.synced()).await {
        Ok(Ok(())) => Ok(room),
        Ok(Err(SyncError::Denied(reason))) => Err(Failure::Refused(format!("the relay says no: {reason}"))),
        Ok(Err(closed)) => Err(refused(closed)),
        Err(_) => Err(no_answer(way, &room)),
    }
}

fn no_answer(way: &Way, room: &Room) -> Failure {
    let why = match room.status().connection {
        Connection::Waiting { reason, .. } | Connection::Offline { reason } => format!(": {reason}"),
        _ => String::new(),
    };
    Failure::NoAnswer(format!("no answer from {} within {} s{why}", way.url, way.wait.as_secs_f64()))
}

/// Waits until a change is where it shall be.
async fn write(way: &Way, change: Result<Receipt, ChangeError>) -> Result<(), Failure> {
    let receipt = change.map_err(refused)?;
    if way.offline {
        return receipt.local().await.map_err(refused);
    }
    match timeout(way.wait, receipt.server()).await {
        Ok(stored) => stored.map_err(refused),
        Err(_) => {
            let kept = match &way.store {
                Some(file) => format!("it is kept in {} and sent the next time", file.display()),
                None => "it is lost".to_owned(),
            };
            Err(Failure::NoAnswer(format!(
                "the relay did not confirm the change within {} s; {kept}",
                way.wait.as_secs_f64()
            )))
        }
    }
}

async fn watch(room: &Room, path: &str) -> Result<(), Failure> {
    let mut changes = room.watch();
    let mut last = None;
    loop {
        // Absent is null here: a watcher wants to see it come.
        let value = room.get(path).await.map_err(refused)?.map_or(serde_json::Value::Null, |v| v.to_json());
        if last.as_ref() != Some(&value) {
            print(&value)?;
            last = Some(value);
        }
        if changes.changed().await.is_none() {
            return Ok(());
        }
    }
}

async fn status(client: &Client, way: &Way, room: Option<String>) -> Result<(), Failure> {
    let Some(name) = room else {
        let connection = answered(client, way).await?;
        return print(&json!({ "relay": way.url, "connection": connection }));
    };
    let room = open(client, way, &name).await?;
    let status = serde_json::to_value(room.status()).map_err(refused)?;
    let bytes = room.export().await.map_err(refused)?.len();
    print(&json!({
        "relay": way.url,
        "room": name,
        "connection": status["connection"],
        "local": status["local"],
        "server": status["server"],
        "people": room.presence().others.len(),
        "bytes": bytes,
    }))
}

/// Waits for a relay that answers, without entering a room.
async fn answered(client: &Client, way: &Way) -> Result<serde_json::Value, Failure> {
    let deadline = tokio::time::Instant::now() + way.wait;
    loop {
        let connection = client.connection().await.map_err(refused)?;
        let state = serde_json::to_value(&connection).map_err(refused)?;
        match connection {
            Connection::Online => return Ok(state),
            Connection::Denied { reason } | Connection::UpdateRequired { reason } => {
                return Err(Failure::Refused(format!("the relay says no: {reason}")));
            }
            _ if tokio::time::Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
            _ => return Err(Failure::NoAnswer(format!("no answer from {}: {state}", way.url))),
        }
    }
}

impl Given {
    fn read(&self) -> Result<Value, Failure> {
        if self.text {
            return Ok(Value::Text(self.value.clone()));
        }
        let json: serde_json::Value = serde_json::from_str(&self.value).map_err(|error| {
            Failure::Refused(format!("the value is not JSON ({error}); a string needs its quotes, or --text"))
        })?;
        Ok(Value::from_json(&json))
    }
}

fn entries(bytes: &[u8], file: &Path) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    match serde_json::from_slice(bytes) {
        Ok(serde_json::Value::Object(entries)) => Ok(entries),
        Ok(_) => Err(Failure::Refused(format!("{} is no JSON object", file.display()))),
        Err(error) => Err(Failure::Refused(format!("{} is not JSON: {error}", file.display()))),
    }
}

fn print(value: &serde_json::Value) -> Result<(), Failure> {
    writeln!(io::stdout(), "{value}").map_err(|_| Failure::Unread)
}

fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    let read = if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    read.map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))
}

fn write_file(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if file == Path::new("-") {
        let mut out = io::stdout();
        return out.write_all(bytes).and_then(|()| out.flush()).map_err(|_| Failure::Unread);
    }
    std::fs::write(file, bytes).map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))
}
