//! People who write without pause and remember what the relay has acknowledged to them.

use crate::people::{opens, sees};
use crate::raw::{Log, stored_log};
use hither_client::{Client, ReceiptError, Room};
use hither_relay::log::RoomLog;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Changes of a writer that may be on their way.
const AHEAD: usize = 24;

/// Someone who writes without pause and keeps a list of what the relay has acknowledged.
pub struct Writer {
    /// Their client.
    pub client: Client,
    /// Where they write: `{ "log": [line, …] }`.
    pub room: Room,
    name: String,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    on_the_way: Arc<Semaphore>,
    work: Option<JoinHandle<usize>>,
}

impl Writer {
    /// Opens the room and writes until `stop`.
    pub async fn begins(client: Client, room: &str, name: &str, mut stop: watch::Receiver<bool>) -> Writer {
        let room = opens(&client, room, Some(json!({ "log": [] }))).await;
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let on_the_way = Arc::new(Semaphore::new(AHEAD));
        let (desk, author) = (room.clone(), name.to_owned());
        let (done, slots) = (acknowledged.clone(), on_the_way.clone());
        let work = tokio::spawn(async move {
            for n in 0.. {
                let slot = tokio::select! {
                    slot = slots.clone().acquire_owned() => slot.unwrap(),
                    _ = stop.wait_for(|stop| *stop) => return n,
                };
                if *stop.borrow() {
                    return n;
                }
                let line = format!("{author} {n:06}");
                let pushed = line.clone();
                let receipt = desk.change(move |draft| draft.push("log", pushed)).await.unwrap();
                let done = done.clone();
                tokio::spawn(async move {
                    match receipt.server().await {
                        Ok(()) => done.lock().unwrap().insert(line),
                        Err(ReceiptError::Closed) => return, // the test is over
                        Err(refused) => panic!("{line}: {refused}"),
                    };
                    drop(slot);
                });
                // Not faster than a very fast typist: the point is the moment, not the load.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            unreachable!("a range without an end")
        });
        Writer { client, room, name: name.to_owned(), acknowledged, on_the_way, work: Some(work) }
    }

    /// How the writer's lines begin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What has been acknowledged so far.
    pub fn promises(&self) -> BTreeSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Whether something is on its way.
    pub fn waits(&self) -> bool {
        self.on_the_way.available_permits() < AHEAD
    }

    /// Fails if a line of `promised` is not in the log.
    pub fn assert_kept(&self, promised: &BTreeSet<String>, log: &Log, when: &str) {
        let stored = log.lines_of(&self.name);
        let lost: Vec<_> = promised.difference(&stored).collect();
        assert!(lost.is_empty(), "{when}: acknowledged to {} and gone: {lost:?}", self.name);
    }

    /// Waits until everything is durable and seen, after `stop` was told; how many lines it was.
    pub async fn finishes(&mut self) -> usize {
        let made = self.work.take().unwrap().await.unwrap();
        self.client.network_changed().await.unwrap();
        self.room.saved().await.unwrap();
        sees(&self.room, "all own lines", |state| {
            lines(state).iter().filter(|line| line.starts_with(&self.name)).count() == made
        })
        .await;
        made
    }

    /// Fails if the writer's lines are not in the order in which they were written.
    pub fn assert_in_order(&self, lines: &[String]) {
        let own: Vec<&String> = lines.iter().filter(|line| line.starts_with(&self.name)).collect();
        assert!(own.is_sorted(), "{}'s lines are in the order in which they were written", self.name);
    }
}

/// The lines of a room.
pub fn lines(state: &Json) -> Vec<String> {
    state["log"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// Fails if a store's logs do not hold everything once, or lack something of what `promises` lists for each writer.
pub async fn assert_all_kept(
    store: &dyn RoomLog,
    rooms: &[&str],
    writers: &[Writer],
    promises: &[BTreeSet<String>],
    when: &str,
) -> Vec<Log> {
    let mut logs = Vec::new();
    for name in rooms {
        let log = stored_log(store, name).await;
        log.assert_holds_everything_once();
        for (writer, promised) in writers.iter().zip(promises) {
            if writer.room.name() == *name {
                writer.assert_kept(promised, &log, when);
            }
        }
        logs.push(log);
    }
    logs
}
