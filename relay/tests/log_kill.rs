//! `kill -9` at any moment: what was acknowledged is there, nothing is there twice, the log has no hole.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use hither_relay::log::{FileLog, RoomLog, Snapshot, file::FileOptions};

/// Set in the child: the directory it writes to and the number of the round.
const CHILD: &str = "HITHER_TEST_LOG_KILL_CHILD";
const ROUNDS: u64 = 25;
const ROOMS: u64 = 12;
const BATCH: u64 = 3;

fn room(number: u64) -> RoomName {
    RoomName::new(&format!("room {number}")).unwrap()
}

fn epoch(number: u64) -> Epoch {
    Epoch([number as u8; 16])
}

fn entry(counter: u64, index: u64) -> Bytes {
    // Of different sizes, some larger than a page.
    let size = if counter.is_multiple_of(50) { 9_000 } else { 20 + (counter * 7 % 300) as usize };
    Bytes::from(format!("{counter}.{index}.{}", "x".repeat(size)))
}

/// Large enough for several parts; says which seq it stands for.
fn snapshot(seq: u64) -> Snapshot {
    Snapshot { seq, update: Bytes::from(format!("{seq} ").repeat(100_000)) }
}

/// Appends and compacts as fast as it can, and says what was acknowledged, until it is killed.
fn child(dir: &Path, round: u64) {
    let log = Arc::new(FileLog::open(dir, &FileOptions::default()).unwrap());
    let counter = Arc::new(AtomicU64::new(round * 1_000_000));
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..ROOMS {
            let (log, counter) = (log.clone(), counter.clone());
            writers.spawn(async move {
                let (room, epoch) = (room(number), epoch(number));
                let head = log.head(&room).await.unwrap();
                let mut replaces = head.map_or(0, |head| head.snapshot);
                loop {
                    let counter = counter.fetch_add(1, Ordering::Relaxed);
                    let entries = (0..BATCH).map(|index| entry(counter, index)).collect();
                    let first = log.append(&room, epoch, entries).await.unwrap();
                    say(format!("append {number} {first} {counter}\n"));
                    if counter.is_multiple_of(40) {
                        let floor = first.saturating_sub(10);
                        log.put_snapshot(&room, epoch, replaces, snapshot(first), floor).await.unwrap();
                        replaces = first;
                        say(format!("snapshot {number} {first} {floor}\n"));
                    }
                }
            });
        }
        writers.join_next().await;
    });
}

/// What the parent knows to be durable.
#[derive(Default)]
struct Known {
    entries: BTreeMap<u64, Bytes>,
    snapshot: u64,
    floor: u64,
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_moment() {
    if let Ok(task) = std::env::var(CHILD) {
        let (round, dir) = task.split_once(' ').unwrap();
        return child(Path::new(dir), round.parse().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    let (mut acknowledged, mut snapshots, mut unheard) = (0u64, 0u64, 0u64);
    for round in 1..=8 * ROUNDS {
        // A slow disk needs more of them for as much.
        if round > ROUNDS && acknowledged > 1_000 && snapshots > 20 {
            break;
        }
        let name = "nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_moment";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, format!("{round} {}", dir.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Let it get going, then kill it at a moment that nobody chose.
        let started =
            lines.by_ref().map(|line| line.unwrap()).find(|line| line.starts_with("append")).unwrap();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(round * round * 7919 % 200_000));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let heard: Vec<String> = std::iter::once(started).chain(lines.map(|line| line.unwrap())).collect();
        killer.join().unwrap();
        for line in heard {
            let words: Vec<&str> = line.split(' ').collect();
            // The last line may be cut short: then it was not said. Numbers could be cut too, so a whole
            // line is known by the read that follows it; a cut one only ever is the last.
            let [what, number, first, last] = words[..] else { continue };
            let (Ok(number), Ok(first)) = (number.parse::<u64>(), first.parse::<u64>()) else { continue };
            let Ok(last) = last.parse::<u64>() else { continue };
            let known = known.entry(number).or_default();
            match what {
                "append" if last >= round * 1_000_000 => {
                    acknowledged += BATCH;
                    for index in 0..BATCH {
                        let before = known.entries.insert(first + index, entry(last, index));
                        assert_eq!(before, None, "seq {} of room {number} given twice", first + index);
                    }
                }
                "snapshot" => {
                    snapshots += 1;
                    (known.snapshot, known.floor) = (first, last);
                }
                _ => {}
            }
        }
        let log = FileLog::open(dir.path(), &FileOptions::default()).unwrap();
        unheard += runtime.block_on(check(&log, &mut known, round));
    }
    println!(
        "{acknowledged} entries and {snapshots} snapshots acknowledged, {unheard} entries durable but unheard"
    );
    assert!(
        acknowledged > 1_000 && snapshots > 20,
        "{acknowledged} entries, {snapshots} snapshots: too little"
    );
}

/// Compares the store with what is known, and learns what was durable without being heard of.
async fn check(log: &FileLog, known: &mut BTreeMap<u64, Known>, round: u64) -> u64 {
    let mut unheard = 0;
    for number in 0..ROOMS {
        let (room, epoch) = (room(number), epoch(number));
        let known = known.entry(number).or_default();
        let context = format!("round {round}, {room}");
        let Some(head) = log.head(&room).await.unwrap() else {
            assert!(known.entries.is_empty(), "{context}: the room is gone");
            continue;
        };
        let last = known.entries.last_key_value().map_or(0, |(seq, _)| *seq);
        assert!(head.head >= last, "{context}: head {} and {last} was acknowledged", head.head);
        assert!(head.head - last <= BATCH, "{context}: more than was ever under way");
        assert_eq!((head.head - last) % BATCH, 0, "{context}: half a batch");
        assert!(head.snapshot >= known.snapshot && head.floor >= known.floor, "{context}: {head:?}");
        if head.snapshot > 0 {
            let found = log.snapshot(&room, epoch).await.unwrap().unwrap();
            assert!(found == snapshot(head.snapshot), "{context}: a mangled snapshot");
        }
        let page = log.read(&room, epoch, head.floor, usize::MAX).await.unwrap();
        let seqs: Vec<u64> = page.entries.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, (head.floor + 1..=head.head).collect::<Vec<_>>(), "{context}");
        for (seq, update) in page.entries {
            match known.entries.get(&seq) {
                Some(expected) => assert!(*expected == update, "{context}: seq {seq} is another entry"),
                None => {
                    unheard += 1;
                    known.entries.insert(seq, update);
                }
            }
        }
        (known.snapshot, known.floor) = (head.snapshot, head.floor);
    }
    unheard
}
