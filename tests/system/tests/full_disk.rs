//! Disks without space, and disks that fail: it is told, nothing that was acknowledged is lost, and with a good disk it
//! goes on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use hither_system_tests::disk::{Disk, Luck};
use hither_system_tests::ledger::{Known, ROOMS};
use hither_system_tests::node::file_log;
use hither_system_tests::people::{agree, number, person, within};
use hither_system_tests::process::{Launch, RelayProcess};
use hither_system_tests::record::Deed;
use hither_system_tests::writer::{Writer, assert_all_kept, lines};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::sync::watch;

const RELAY: &str = env!("CARGO_BIN_EXE_system-relay");
const RECORDER: &str = env!("CARGO_BIN_EXE_system-recorder");
const LEDGER: &str = env!("CARGO_BIN_EXE_system-ledger");

const APPENDS: u64 = 50;

/// A ledger's run on a disk that refuses.
struct Run {
    deeds: Vec<Deed>,
    known: Known,
    ended_well: bool,
    root: tempfile::TempDir,
}

/// `refuse`: flags of the recorder.
fn run(refuse: &[&str]) -> Run {
    let root = tempfile::tempdir().unwrap();
    let record = tempfile::NamedTempFile::new().unwrap();
    let data = root.path().join("data");
    let output = Command::new(RECORDER)
        .arg("--root")
        .arg(root.path())
        .arg("--record")
        .arg(record.path())
        .args(refuse)
        .args([LEDGER, data.to_str().unwrap(), &APPENDS.to_string(), "synced"])
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{refuse:?}: {said}");
    let deeds = Deed::read_all(&std::fs::read(record.path()).unwrap());
    let mut known = Known::default();
    for deed in &deeds {
        if let Deed::Said { bytes } = deed {
            known.hear(bytes);
        }
    }
    Run { deeds, known, ended_well: output.status.success(), root }
}

/// Lets calls fail at many moments of a run; how many of the runs noticed.
fn refuse_everywhere(kind: &str, flags: &[&str], is_counted: impl Fn(&Deed) -> bool) -> u64 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let whole = run(&[]);
    let calls = whole.deeds.iter().filter(|deed| is_counted(deed)).count() as u64;
    let everything = whole.known.entries();
    assert!(whole.ended_well && !whole.known.closed && everything > ROOMS * APPENDS);
    let (moments, mut noticed, mut refused) = (number("HITHER_MOMENTS", 10), 0, 0);
    for moment in 0..moments {
        let after = (calls * moment / moments).to_string();
        let what = format!("{kind} refused after {after}");
        let Run { deeds, known, ended_well, root } =
            run(&[&["--refuse", kind, "--after", &after], flags].concat());
        // No two runs gather the same appends: one may be over before its moment comes.
        refused += u64::from(deeds.iter().any(|deed| matches!(deed, Deed::Refused { .. })));
        if !ended_well {
            assert_eq!(known.entries(), 0, "{what}: it ended without a word");
        } else if known.closed || known.refused {
            noticed += 1;
        } else {
            assert_eq!(known.entries(), everything, "{what}: neither done nor told");
        }
        // The disk is good again: what is there, and what would be there had the power gone, too.
        let found = tempfile::tempdir().unwrap();
        let mut disk = Disk::default();
        deeds.iter().for_each(|deed| disk.take(deed));
        disk.after_power_loss(Luck::None, found.path());
        for root in [root.path(), found.path()] {
            let checked = runtime.block_on(known.check(&root.join("data"), false));
            assert_eq!(checked, Ok(()), "{what}");
        }
    }
    assert!(refused * 2 > moments, "{kind} was refused in {refused} of {moments} runs");
    noticed
}

#[test]
fn a_full_disk_is_told_and_costs_nothing_that_was_acknowledged() {
    let needs_space = |deed: &Deed| {
        matches!(deed, Deed::Create { .. } | Deed::MakeDir { .. } | Deed::Rename { .. } | Deed::Write { .. })
            || matches!(deed, Deed::Resize { .. })
    };
    let noticed = refuse_everywhere("space", &["--with", "ENOSPC"], needs_space);
    assert!(noticed > 2, "{noticed} runs closed their store");
}

#[test]
fn a_sync_that_failed_is_never_believed_again() {
    let flags = ["--with", "EIO", "--times", "1"];
    let noticed = refuse_everywhere("sync", &flags, |deed| matches!(deed, Deed::Synced { .. }));
    assert!(noticed > 2, "{noticed} runs closed their store");
}

/// A file system with little space.
enum Full {
    /// One of its own, in memory.
    Mounted(PathBuf),
    /// Where mounting is not allowed, the recorder plays it.
    Played,
}

impl Full {
    fn at(dir: &Path) -> Full {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(dir)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            return Full::Played;
        }
        // Not much is left, so that it does not take long.
        std::fs::write(dir.join("ballast"), vec![1; 3 << 20]).unwrap();
        Full::Mounted(dir.to_owned())
    }

    fn makes_space(&self) {
        if let Full::Mounted(dir) = self {
            std::fs::remove_file(dir.join("ballast")).unwrap();
        }
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        if let Full::Mounted(dir) = self {
            let _ = Command::new("umount").arg("--lazy").arg(dir).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_on_a_full_disk_wait_and_go_on_when_there_is_space() {
    let root = tempfile::tempdir().unwrap();
    let (disk, record) = (Full::at(root.path()), tempfile::NamedTempFile::new().unwrap());
    let (data, room) = (root.path().join("data"), "letters");
    let good = Launch::of(RELAY, &data);
    let full = match &disk {
        Full::Mounted(_) => good.clone(),
        Full::Played => {
            let refusing = ["--refuse", "space", "--with", "ENOSPC", "--after", "1500"];
            good.clone().recorded(RECORDER, root.path(), record.path()).refusing(&refusing)
        }
    };
    println!(
        "{}",
        if matches!(disk, Full::Played) { "played by the recorder" } else { "a file system of 4 MiB" }
    );
    let mut relay = RelayProcess::launch(full).await;
    let (stop, stopped) = watch::channel(false);
    let mut writers = Vec::new();
    for name in ["anna", "bert"] {
        writers.push(Writer::begins(person(&relay.url()).await, room, name, stopped.clone()).await);
    }
    let status = relay.ends().await;
    assert!(!status.success(), "it says that it failed");
    let promises: Vec<BTreeSet<String>> = writers.iter().map(Writer::promises).collect();
    assert!(promises.iter().any(|promised| promised.len() > 20), "people were writing");
    within("the relay to have taken what it could", async {
        while !writers.iter().all(Writer::waits) {
            tokio::task::yield_now().await;
        }
    })
    .await;

    disk.makes_space();
    let store = file_log(&data).await;
    assert_all_kept(&*store, &[room], &writers, &promises, "a full disk").await;
    drop(store);
    relay.relaunch(good).await;
    stop.send(true).unwrap();
    let mut total = 0;
    for writer in &mut writers {
        total += writer.finishes().await;
    }
    let all = lines(&agree(&[&writers[0].room, &writers[1].room]).await);
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (total, total), "every line, once");
    for writer in &writers {
        writer.assert_in_order(&all);
        writer.client.close().await;
    }
    relay.kill().await;
}
