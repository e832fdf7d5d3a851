//! Whoever does not read costs the relay little, whatever it asks for.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use hither_protocol::{
    frames::{ClientFrame, RelayFrame},
    ids::{Epoch, RoomName},
};
use hither_relay::log::{Head, LogFuture, MemoryLog, Page, RoomLog, Snapshot};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use support::{TestRelay, types};
use tokio::sync::Semaphore;

/// A log that is read when the test lets it be.
#[derive(Clone)]
struct Slow {
    log: MemoryLog,
    /// Reads that were ever asked for.
    reads: Arc<AtomicUsize>,
    release: Arc<Semaphore>,
}

impl Slow {
    fn over(log: MemoryLog) -> Slow {
        Slow { log, reads: Arc::default(), release: Arc::new(Semaphore::new(0)) }
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl RoomLog for Slow {
    fn head<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, Option<Head>> {
        self.log.head(room)
    }

    fn append<'a>(&'a self, room: &'a RoomName, epoch: Epoch, entries: Vec<Bytes>) -> LogFuture<'a, u64> {
        self.log.append(room, epoch, entries)
    }

    fn read<'a>(&'a self, room: &'a RoomName, epoch: Epoch, after: u64, max: usize) -> LogFuture<'a, Page> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            self.release.acquire().await.unwrap().forget();
            self.log.read(room, epoch, after, max).await
        })
    }

    fn snapshot<'a>(&'a self, room: &'a RoomName, epoch: Epoch) -> LogFuture<'a, Option<Snapshot>> {
        self.log.snapshot(room, epoch)
    }

    fn put_snapshot<'a>(
        &'a self,
        room: &'a RoomName,
        epoch: Epoch,
        replaces: u64,
        snapshot: Snapshot,
        floor: u64,
    ) -> LogFuture<'a, ()> {
        self.log.put_snapshot(room, epoch, replaces, snapshot, floor)
    }

    fn delete<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, bool> {
        self.log.delete(room)
    }

    fn rooms<'a>(&'a self, after: Option<&'a RoomName>, max: usize) -> LogFuture<'a, Vec<RoomName>> {
        self.log.rooms(after, max)
    }
}

fn room(index: u32) -> RoomName {
    RoomName::new(&format!("r{index}")).unwrap()
}

/// [D3]
#[tokio::test]
async fn of_all_rooms_that_a_socket_joins_at_once_few_are_read_at_once_and_all_come() {
    let log = MemoryLog::new();
    for index in 0..100 {
        log.append(&room(index), Epoch([7; 16]), vec![types(1, 0, "x")]).await.unwrap();
    }
    let log = Slow::over(log);
    let relay = TestRelay::over(Arc::new(log.clone())).await;
    let mut client = relay.client().await;
    let mut joins = Vec::new();
    for index in 0..100 {
        ClientFrame::Join { room: room(index), token: Bytes::new(), cursor: None }.encode(&mut joins);
    }
    client.raw.send(joins).await;
    let mut first = None;
    for _ in 0..100 {
        match client.next().await {
            RelayFrame::Joined(joined) => _ = first.get_or_insert(joined.channel),
            other => panic!("{other:?}"),
        }
    }
    // Whoever has left is not waited for.
    client.say(&ClientFrame::Leave { channel: first.unwrap() }).await;
    client.hears_nothing().await;
    let under_way = log.reads();
    assert!((1..=8).contains(&under_way), "{under_way} rooms are being read");
    log.release.add_permits(100);
    for _ in 1..100 {
        assert!(matches!(client.next().await, RelayFrame::Update { .. }));
    }
    client.hears_nothing().await;
}
