//! Measures the file store through its own door:
//!
//! ```text
//! cargo run --release -p hither-relay --example store_bench -- DIR append ROOMS SECONDS [UPDATES_A_SECOND]
//! cargo run --release -p hither-relay --example store_bench -- DIR fill ROOMS ENTRIES
//! cargo run --release -p hither-relay --example store_bench -- DIR open
//! cargo run --release -p hither-relay --example store_bench -- DIR compact ENTRIES
//! ```
//!
//! `append`: every room has one append under way at a time, of 200 bytes; with a rate it is spread evenly.
#![allow(clippy::unwrap_used)] // a program for its authors: what goes wrong shall be seen

use std::{
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use hither_relay::{
    compaction::compact,
    log::{FileLog, RoomLog, file::FileOptions},
};
use yrs::{Doc, Text, Transact};

const EPOCH: Epoch = Epoch([1; 16]);

fn room(number: u64) -> RoomName {
    RoomName::new(&format!("room/{number:06}")).unwrap()
}

/// Bytes that do not compress.
fn update(seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..25).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // Clock ticks of 10 ms.
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name| status.lines().find(|line| line.starts_with(name)).unwrap().split_whitespace().nth(1);
    let mib = |name| field(name).unwrap().parse::<u64>().unwrap() / 1024;
    format!("{} MiB now, {} MiB at most", mib("VmRSS"), mib("VmHWM"))
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = env::args().collect();
    let number = |at: usize| args.get(at).map(|arg| arg.parse::<u64>().unwrap());
    let open = || Arc::new(FileLog::open(&args[1], &FileOptions::default()).unwrap());
    match args[2].as_str() {
        "append" => append(open(), number(3).unwrap(), number(4).unwrap(), number(5)).await,
        "fill" => {
            let (log, started) = (open(), Instant::now());
            let (rooms, entries) = (number(3).unwrap(), number(4).unwrap());
            for start in (0..rooms).step_by(1000) {
                let mut tasks = tokio::task::JoinSet::new();
                for number in start..(start + 1000).min(rooms) {
                    let log = log.clone();
                    tasks.spawn(async move {
                        let updates = (0..entries).map(|i| update(number * entries + i)).collect();
                        log.append(&room(number), EPOCH, updates).await.unwrap()
                    });
                }
                tasks.join_all().await;
            }
            println!("filled in {:?}, {}", started.elapsed(), memory());
        }
        "open" => {
            let started = Instant::now();
            let log = open();
            println!("open {:?}, {:?} of CPU, {}", started.elapsed(), cpu(), memory());
            let started = Instant::now();
            for number in 0..1000 {
                log.head(&room(number * 97 % 100_000)).await.unwrap();
            }
            println!("a head {:?}", started.elapsed() / 1000);
            // A copy of a directory has new epochs.
            let epoch = log.head(&room(7)).await.unwrap().unwrap().epoch;
            for _ in 0..2 {
                let started = Instant::now();
                let page = log.read(&room(7), epoch, 0, usize::MAX).await.unwrap();
                println!("a read of {} entries {:?}, {}", page.entries.len(), started.elapsed(), memory());
            }
        }
        "compact" => {
            let doc = Doc::new();
            let text = doc.get_or_insert_text("text");
            let updates: Vec<Vec<u8>> = (0..number(3).unwrap() as u32)
                .map(|at| {
                    let mut transaction = doc.transact_mut();
                    text.insert(&mut transaction, at, "x");
                    transaction.encode_update_v1()
                })
                .collect();
            drop(doc);
            let bytes: usize = updates.iter().map(Vec::len).sum();
            println!("{} updates, {bytes} bytes, {}", updates.len(), memory());
            let started = Instant::now();
            let snapshot = compact(None, updates.iter().map(|update| &update[..])).unwrap();
            println!("snapshot of {} bytes in {:?}, {}", snapshot.len(), started.elapsed(), memory());
        }
        other => panic!("{other}: append, fill, open or compact"),
    }
}

async fn append(log: Arc<FileLog>, rooms: u64, seconds: u64, rate: Option<u64>) {
    let (count, waited) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (started, before) = (Instant::now(), cpu());
    let end = started + Duration::from_secs(seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..rooms {
        let (log, count, waited) = (log.clone(), count.clone(), waited.clone());
        tasks.spawn(async move {
            let pause = rate.map(|rate| Duration::from_nanos(1_000_000_000 * rooms / rate));
            let mut next = started + pause.unwrap_or_default().mul_f64(number as f64 / rooms as f64);
            let mut worst = Duration::ZERO;
            while Instant::now() < end {
                if let Some(pause) = pause {
                    tokio::time::sleep_until(next.into()).await;
                    next += pause;
                }
                let asked = Instant::now();
                let update = update(count.fetch_add(1, Ordering::Relaxed));
                log.append(&room(number), EPOCH, vec![update]).await.unwrap();
                worst = worst.max(asked.elapsed());
                waited.fetch_add(asked.elapsed().as_micros() as u64, Ordering::Relaxed);
            }
            worst
        });
    }
    let worst = tasks.join_all().await.into_iter().max().unwrap_or_default();
    let (count, waited) = (count.load(Ordering::Relaxed), waited.load(Ordering::Relaxed));
    let (elapsed, spent) = (started.elapsed().as_secs_f64(), cpu() - before);
    println!(
        "{:.0} appends a second, {:.1} µs of CPU each, {:.0}% of a core, latency {} µs on average, {worst:?} at worst, {}",
        count as f64 / elapsed,
        spent.as_micros() as f64 / count as f64,
        spent.as_secs_f64() / elapsed * 100.0,
        waited / count.max(1),
        memory(),
    );
}
