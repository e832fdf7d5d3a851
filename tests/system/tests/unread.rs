//! Sockets that ask and never read, against a relay as a process of its own: what it holds for them is measured.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use hither_protocol::frames::{ClientFrame, RelayFrame};
use hither_protocol::ids::RoomName;
use hither_protocol::varint;
use hither_system_tests::people::{enters, person, within};
use hither_system_tests::process::RelayProcess;
use hither_system_tests::raw::Raw;
use std::time::Duration;
use tokio::time::Instant;

/// What one socket may cost. It is far less; a process takes memory in large steps.
const MOST_BYTES: u64 = 48 << 20;

struct Scene {
    relay: RelayProcess,
    before: u64,
    _dir: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let relay = RelayProcess::start(env!("CARGO_BIN_EXE_system-relay"), dir.path()).await;
        Scene { relay, before: 0, _dir: dir }
    }

    /// From here on it is measured.
    fn begins(&mut self) {
        self.before = self.relay.resident_bytes();
    }

    /// Says the same again and again, until the relay takes no more or would have answered half a GiB.
    async fn insists(&self, raw: &mut Raw, message: &Bytes, answer_bytes: usize) {
        for _ in 0..(548 << 20) / answer_bytes {
            if !raw.offers(message.clone()).await {
                break;
            }
            self.holds_little();
        }
        // What was on its way is answered.
        let end = Instant::now() + Duration::from_secs(1);
        while Instant::now() < end {
            self.holds_little();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn holds_little(&self) {
        let held = self.relay.resident_bytes().saturating_sub(self.before);
        assert!(held < MOST_BYTES, "{} MiB are held for a socket that reads nothing", held >> 20);
    }

    async fn is_well(&self) {
        let client = person(&self.relay.url()).await;
        let room = enters(&client, "another").await;
        room.change(|draft| draft.set("lives", true)).await.unwrap().server().await.unwrap();
    }
}

/// An awareness message of a stock client that speaks for sixteen, with another state for every clock.
fn awareness(first: u64, clock: u64) -> Bytes {
    let mut body = Vec::new();
    varint::write(&mut body, 16);
    for client in first..first + 16 {
        varint::write(&mut body, client);
        varint::write(&mut body, clock);
        let state = format!("\"{clock:0>4094}\"");
        varint::write(&mut body, state.len() as u64);
        body.extend_from_slice(state.as_bytes());
    }
    let mut message = vec![1];
    varint::write(&mut message, body.len() as u64);
    message.extend(body);
    message.into()
}

/// An update that types so many bytes into a text of its own.
fn update_of(bytes: usize) -> Bytes {
    let mut update = vec![1, 1, 7, 0, 4, 1, 1, b't'];
    varint::write(&mut update, bytes as u64);
    update.extend(vec![b'x'; bytes]);
    update.push(0);
    update.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_client_that_asks_who_is_here_and_reads_nothing_costs_little() {
    let mut scene = Scene::set().await;
    let mut raw = Raw::stock(scene.relay.address(), "r").await;
    raw.say_bytes(awareness(16, 1)).await;
    scene.begins();
    scene.insists(&mut raw, &Bytes::from_static(&[3]), 16 * 4_096).await;
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_client_that_is_told_of_others_and_reads_nothing_costs_little() {
    let mut scene = Scene::set().await;
    let _deaf = Raw::stock(scene.relay.address(), "r").await;
    let mut loud = Vec::new();
    for _ in 0..12 {
        loud.push(Raw::stock(scene.relay.address(), "r").await);
    }
    scene.begins();
    for clock in 1..120 {
        for (first, one) in (1..).step_by(100).zip(&mut loud) {
            one.offers(awareness(first, clock)).await;
        }
        // Each of them is told of once in 33 ms.
        tokio::time::sleep(Duration::from_millis(35)).await;
        scene.holds_little();
    }
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_pings_and_reads_nothing_costs_little() {
    let mut scene = Scene::set().await;
    let (mut raw, _) = Raw::greeted(&scene.relay.url()).await;
    scene.begins();
    let pings: Bytes = [2, 0x20, 1].repeat(80_000).into();
    scene.insists(&mut raw, &pings, 80_000 * 3).await;
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_websocket_pings_and_reads_nothing_costs_little() {
    let mut scene = Scene::set().await;
    let mut raw = Raw::stock(scene.relay.address(), "r").await;
    scene.begins();
    // The largest that there is; a mask of zeros changes nothing.
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[b'p'; 125]].concat();
    let pings = ping.repeat(2_000);
    for _ in 0..1_000 {
        if !raw.offers_beneath(&pings).await {
            break;
        }
        scene.holds_little();
    }
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_joins_everything_and_reads_nothing_costs_little() {
    let mut scene = Scene::set().await;
    let (mut writer, _) = Raw::greeted(&scene.relay.url()).await;
    let name = |index: usize| RoomName::new(&format!("room {index}")).unwrap();
    let rooms = 300;
    for index in 0..rooms {
        let channel = writer.join(name(index).as_str(), None).await.channel;
        writer.say(&ClientFrame::Push { channel, n: 1, update: update_of(250_000) }).await;
        assert!(matches!(writer.hear().await, Ok(RelayFrame::Ack { .. })));
        writer.say(&ClientFrame::Leave { channel }).await;
    }
    drop(writer);
    let (mut raw, _) = Raw::greeted(&scene.relay.url()).await;
    scene.begins();
    let mut joins = Vec::new();
    for index in 0..rooms {
        ClientFrame::Join { room: name(index), token: Bytes::new(), cursor: None }.encode(&mut joins);
    }
    raw.say_bytes(joins).await;
    scene.insists(&mut raw, &Bytes::from_static(&[2, 0x20, 1]), 4 << 20).await;
    scene.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_and_goes_and_reads_nothing_costs_little() {
    let mut scene = Scene::set().await;
    let (mut raw, _) = Raw::greeted(&scene.relay.url()).await;
    let channel = raw.join("r", None).await.channel;
    raw.say(&ClientFrame::Push { channel, n: 1, update: update_of(4 << 20) }).await;
    assert!(matches!(raw.hear().await, Ok(RelayFrame::Ack { .. })));
    scene.begins();
    let mut again = Vec::new();
    ClientFrame::Leave { channel }.encode(&mut again);
    ClientFrame::Join { room: RoomName::new("r").unwrap(), token: Bytes::new(), cursor: None }
        .encode(&mut again);
    let again = Bytes::from(again);
    for _ in 0..100 {
        raw.offers(again.clone()).await;
        // Long enough for the page to be read and queued.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene.insists(&mut raw, &again, 8 << 20).await;
    within("the relay to answer others", scene.is_well()).await;
}
