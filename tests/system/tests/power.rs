//! Power goes at any moment: the store's directory becomes what was synced of it, and a random part of the rest.
//!
//! `HITHER_CUTS=5000 cargo test -p hither-system-tests --test power` cuts more often; `HITHER_SEED` repeats a run.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use fastrand::Rng;
use hither_protocol::ids::{Epoch, RoomName};
use hither_relay::log::RoomLog;
use hither_system_tests::disk::{Disk, Luck};
use hither_system_tests::ledger::Known;
use hither_system_tests::node::file_log;
use hither_system_tests::people::{agree, enters, number, person, person_with_disk, state, within};
use hither_system_tests::process::{Launch, RelayProcess};
use hither_system_tests::raw::{head, stored_log};
use hither_system_tests::record::Deed;
use hither_system_tests::writer::{Writer, assert_all_kept, lines};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::watch;

const RELAY: &str = env!("CARGO_BIN_EXE_system-relay");
const RECORDER: &str = env!("CARGO_BIN_EXE_system-recorder");
const LEDGER: &str = env!("CARGO_BIN_EXE_system-ledger");

const ROOMS: [&str; 2] = ["letters", "numbers"];

fn seeded() -> (u64, Rng) {
    let (cuts, seed) = (number("HITHER_CUTS", 24), number("HITHER_SEED", 1));
    println!("HITHER_CUTS={cuts} HITHER_SEED={seed}");
    (cuts, Rng::with_seed(seed))
}

/// Everything that a ledger of so many appends did, and what it said, in one order.
fn recorded(appends: u64, durability: &str) -> Vec<Deed> {
    let root = tempfile::tempdir().unwrap();
    let record = tempfile::NamedTempFile::new().unwrap();
    let data = root.path().join("data");
    let status = Command::new(RECORDER)
        .arg("--root")
        .arg(root.path())
        .arg("--record")
        .arg(record.path())
        .args([LEDGER, data.to_str().unwrap(), &appends.to_string(), durability])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    Deed::read_all(&std::fs::read(record.path()).unwrap())
}

/// Moments of a run, each as the number of deeds before it: a third while the store begins, which is another world than
/// its life, a third right behind an acknowledgement, a third anywhere.
fn moments(deeds: &[Deed], cuts: u64, rng: &mut Rng) -> Vec<usize> {
    let third = cuts as usize / 3;
    let beginning = deeds.len().min(200);
    let mut moments = behind_acknowledgements(deeds, third, rng);
    moments.extend((0..third).map(|_| rng.usize(..=beginning)));
    moments.extend((2 * third..cuts as usize).map(|_| rng.usize(..=deeds.len())));
    moments
}

fn behind_acknowledgements(deeds: &[Deed], most: usize, rng: &mut Rng) -> Vec<usize> {
    let said = deeds.iter().enumerate().filter(|(_, deed)| matches!(deed, Deed::Said { .. }));
    rng.choose_multiple(said.map(|(at, _)| at + 1), most)
}

/// Cuts the power at these moments of a run, once with bad and once with mixed luck each, and says what was wrong with
/// what was left.
fn cut(deeds: &[Deed], mut moments: Vec<usize>, rng: &mut Rng, relaxed: bool) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    moments.sort_unstable();
    let (mut disk, mut known, mut done, mut wrong) = (Disk::default(), Known::default(), 0, Vec::new());
    for moment in moments {
        for deed in &deeds[done..moment] {
            disk.take(deed);
            if let Deed::Said { bytes } = deed {
                known.hear(bytes);
            }
        }
        done = moment;
        for luck in [Luck::None, Luck::Some(rng.fork())] {
            let kept = if matches!(luck, Luck::None) { "nothing" } else { "a part" };
            let found = tempfile::tempdir().unwrap();
            disk.after_power_loss(luck, found.path());
            if let Err(error) = runtime.block_on(known.check(&found.path().join("data"), relaxed)) {
                wrong.push(format!("deed {moment}, {kept} of what was unsynced is kept: {error}"));
            }
        }
    }
    wrong
}

#[test]
fn what_was_acknowledged_survives_a_power_loss_at_any_moment() {
    let (cuts, mut rng) = seeded();
    let deeds = recorded(150, "synced");
    let syncs = deeds.iter().filter(|deed| matches!(deed, Deed::Synced { .. })).count();
    println!("{} deeds, {syncs} syncs", deeds.len());
    let moments = moments(&deeds, cuts, &mut rng);
    let wrong = cut(&deeds, moments, &mut rng, false);
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), 2 * cuts);
    assert!(syncs > 100, "{syncs} syncs: too little");
}

/// The test above can fail: the same store without its syncs.
#[test]
fn without_syncs_a_power_loss_costs_acknowledged_edits() {
    let (_, mut rng) = seeded();
    let deeds = recorded(60, "relaxed");
    let moments = behind_acknowledgements(&deeds, 15, &mut rng);
    let wrong = cut(&deeds, moments, &mut rng, false);
    let lost = wrong.iter().filter(|error| error.contains("acknowledged")).count();
    // Now and then the store's upkeep syncs what came before.
    assert!(lost > 7, "a store that does not sync lost {lost} times of 15: {wrong:#?}");
}

#[test]
fn a_relaxed_store_opens_after_a_power_loss() {
    let (cuts, mut rng) = seeded();
    let deeds = recorded(150, "relaxed");
    let moments = moments(&deeds, cuts / 2, &mut rng);
    let wrong = cut(&deeds, moments, &mut rng, true);
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cuts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_lose_nothing_that_was_acknowledged_when_the_relay_loses_its_power() {
    let lost = power_losses_among_people("synced").await;
    assert_eq!(lost, 0);
}

/// What the relay told its people is durable and lost all the same, they bring back, and everybody sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_bring_back_what_a_relaxed_relay_lost_with_its_power() {
    let lost = power_losses_among_people("relaxed").await;
    assert!(lost > 0, "nothing that was acknowledged was lost: nothing was tried");
}

/// Lets people write while the power goes again and again, and demands that in the end all of them see every line
/// once. Returns how many acknowledged lines were not on the disk right after a loss, over all of them.
async fn power_losses_among_people(durability: &str) -> usize {
    let (cuts, mut rng) = seeded();
    // Others write past what a relaxed relay has lost, which is everything since its first start: more each time.
    let most = if durability == "relaxed" { 30 } else { u64::MAX };
    let rounds = (cuts / 8).clamp(2, most);
    let scratch = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    let launch = |round: u64| {
        Launch::of(RELAY, &root.path().join("data")).with(&["--durability", durability]).recorded(
            RECORDER,
            root.path(),
            &scratch.path().join(round.to_string()),
        )
    };
    // The rooms begin on a disk that keeps them, so that they have lives that can lose their end.
    let mut relay = RelayProcess::start(RELAY, &root.path().join("data")).await;
    let url = relay.url();
    let (stop, stopped) = watch::channel(false);
    let file = scratch.path().join("carl.hither");
    let mut writers = vec![
        Writer::begins(person(&url).await, ROOMS[0], "anna", stopped.clone()).await,
        Writer::begins(person(&url).await, ROOMS[0], "bert", stopped.clone()).await,
        Writer::begins(person_with_disk(&url, &file).await, ROOMS[1], "carl", stopped).await,
    ];
    for writer in &writers {
        within("the rooms to begin", writer.room.saved()).await.unwrap();
    }
    let reader = person(&url).await;
    let at_readers = enters(&reader, ROOMS[0]).await;
    relay.kill().await;
    let mut disk = Disk::of(root.path());
    relay.relaunch(launch(0)).await;
    let (mut interrupted, mut unsynced, mut lost) = (0, 0, 0);
    let mut lives: Option<Vec<Epoch>> = None;
    for round in 0..rounds {
        for client in writers.iter().map(|writer| &writer.client).chain([&reader]) {
            client.network_changed().await.unwrap();
        }
        within("the reader to be back", at_readers.synced()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rng.u64(30..400))).await;
        reader.disconnect().await.unwrap();
        let read = head(&url, ROOMS[0]).await;
        relay.kill().await;
        // Answers that were under way have arrived or never will.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let promises: Vec<BTreeSet<String>> = writers.iter().map(Writer::promises).collect();
        interrupted += usize::from(writers.iter().any(Writer::waits));
        let record = std::fs::read(scratch.path().join(round.to_string())).unwrap();
        Deed::read_all(&record).iter().for_each(|deed| disk.take(deed));
        unsynced += disk.unsynced();

        let luck = if round.is_multiple_of(2) { Luck::None } else { Luck::Some(rng.fork()) };
        disk.after_power_loss(luck, root.path());
        // What is on the disk before anybody comes back, who could bring again what it lost.
        if durability == "synced" {
            let store = file_log(&root.path().join("data")).await;
            let when = format!("power lost {}", round + 1);
            let logs = assert_all_kept(&*store, &ROOMS, &writers, &promises, &when).await;
            // Cursors stay good.
            let found: Vec<Epoch> = logs.iter().map(|log| log.epoch).collect();
            assert_eq!(*lives.get_or_insert_with(|| found.clone()), found, "{when}");
        } else {
            // The relay's own start is to find it so, not a second one.
            let copy = tempfile::tempdir().unwrap();
            Disk::of(root.path()).after_power_loss(Luck::None, copy.path());
            let store = file_log(&copy.path().join("data")).await;
            for (writer, promised) in writers.iter().zip(&promises) {
                let room = RoomName::new(writer.room.name()).unwrap();
                let stored = match store.head(&room).await.unwrap() {
                    Some(_) => stored_log(&*store, writer.room.name()).await.lines_of(writer.name()),
                    None => BTreeSet::new(),
                };
                lost += promised.difference(&stored).count();
            }
        }

        disk = Disk::of(root.path());
        relay.relaunch(launch(round + 1)).await;
        for writer in &writers {
            writer.client.network_changed().await.unwrap();
        }
        for writer in &writers {
            within("a writer to be back", writer.room.synced()).await.unwrap();
        }
        // Who comes back when others have written past everything that was lost still learns of it.
        within("others to write past the reader", async {
            while head(&url, ROOMS[0]).await <= read {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        reader.connect().await.unwrap();
    }
    stop.send(true).unwrap();
    let mut total = 0;
    for writer in &mut writers {
        total += writer.finishes().await;
    }
    let together = lines(&agree(&[&writers[0].room, &writers[1].room, &at_readers]).await);
    let alone = lines(&agree(&[&writers[2].room]).await);
    assert_eq!(together.len() + alone.len(), total, "every line, once");
    assert_eq!(together.iter().chain(&alone).collect::<BTreeSet<_>>().len(), total, "every line, once");
    // And so does whoever comes now.
    let stranger = person(&url).await;
    assert_eq!(lines(&state(&enters(&stranger, ROOMS[0]).await).await), together);
    assert_eq!(lines(&state(&enters(&stranger, ROOMS[1]).await).await), alone);
    println!(
        "{rounds} power losses, {interrupted} with edits on their way, {unsynced} deeds undone or torn, {lost} lines \
         lost by the relay, {total} lines"
    );
    assert!(interrupted as u64 > rounds / 4, "nobody was writing");
    lost
}
