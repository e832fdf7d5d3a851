//! `kill -9`, again and again, while people write: what was acknowledged is there, everybody meets again, and the log
//! holds everything once.
//!
//! `HITHER_KILLS=500 cargo test -p hither-system-tests --test kill` goes on for longer; `HITHER_SEED` repeats the
//! moments of a run; `HITHER_RELAY` names another relay binary.
#![allow(clippy::unwrap_used)]

use hither_client::Room;
use hither_system_tests::node::file_log;
use hither_system_tests::people::{agree, number, person, person_with_disk, within};
use hither_system_tests::process::RelayProcess;
use hither_system_tests::raw::read_log;
use hither_system_tests::writer::{Writer, assert_all_kept, lines};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Two rooms, so that one fsync of the relay covers several logs.
const ROOMS: [&str; 2] = ["letters", "numbers"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill_and_stands_in_the_log_once() {
    let kills = number("HITHER_KILLS", 50);
    let seed = number("HITHER_SEED", fastrand::u64(..1 << 32));
    println!("HITHER_KILLS={kills} HITHER_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut relay = RelayProcess::start(env!("CARGO_BIN_EXE_system-relay"), &data).await;
    let url = relay.url();

    let (stop, stopped) = watch::channel(false);
    let disk = dir.path().join("dora.hither");
    let mut writers = vec![
        Writer::begins(person(&url).await, ROOMS[0], "anna", stopped.clone()).await,
        Writer::begins(person(&url).await, ROOMS[0], "bert", stopped.clone()).await,
        Writer::begins(person(&url).await, ROOMS[1], "carl", stopped.clone()).await,
        Writer::begins(person_with_disk(&url, &disk).await, ROOMS[1], "dora", stopped).await,
    ];

    for writer in &writers {
        writer.room.saved().await.unwrap();
    }
    let mut epochs = BTreeMap::new();
    let (mut interrupted, mut slowest) = (0, Duration::ZERO);
    for kill in 1..=kills {
        tokio::time::sleep(Duration::from_millis(rng.u64(10..120))).await;
        relay.kill().await;
        // Answers that were under way have arrived or never will.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let promises: Vec<BTreeSet<String>> = writers.iter().map(Writer::promises).collect();
        interrupted += usize::from(writers.iter().any(Writer::waits));
        // What is on the disk before anybody comes back, who could bring again what it lost.
        let disk = file_log(&data).await;
        let logs = assert_all_kept(&*disk, &ROOMS, &writers, &promises, &format!("kill {kill}")).await;
        for (name, log) in ROOMS.iter().zip(logs) {
            assert_eq!(*epochs.entry(name).or_insert(log.epoch), log.epoch, "the log lives on");
        }
        drop(disk);

        relay.restart().await;
        let began = Instant::now();
        for writer in &writers {
            // Otherwise they would wait for longer and longer, as they should.
            writer.client.network_changed().await.unwrap();
        }
        for writer in &writers {
            within("a writer to be back", writer.room.synced()).await.unwrap();
        }
        slowest = slowest.max(began.elapsed());
    }

    stop.send(true).unwrap();
    let mut total = 0;
    for writer in &mut writers {
        total += writer.finishes().await;
    }
    let mut counted = 0;
    for name in ROOMS {
        let rooms: Vec<&Room> =
            writers.iter().map(|writer| &writer.room).filter(|room| room.name() == name).collect();
        let all = lines(&agree(&rooms).await);
        let different: BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "no line stands in {name} twice");
        for writer in writers.iter().filter(|writer| writer.room.name() == name) {
            writer.assert_in_order(&all);
        }
        counted += all.len();
        let log = read_log(&url, name).await;
        log.assert_holds_everything_once();
        println!("{name}: {} lines, {} entries behind the snapshot", all.len(), log.entries.len());
    }
    assert_eq!(counted, total);
    println!(
        "{kills} kills, {interrupted} of them with edits on their way, {total} lines, slowest return {slowest:?}"
    );
    assert!(total as u64 > kills && interrupted as u64 > kills / 4, "the kills hit people who were writing");
    for writer in &writers {
        writer.client.close().await;
    }
}
