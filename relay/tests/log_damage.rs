//! Damaged journals and a disk that refuses.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use hither_relay::log::{
    FileLog, LogError, RoomLog,
    file::{FileOptions, JournalDamage, OpenError},
};

const EPOCH: Epoch = Epoch([6; 16]);
const ENTRIES: usize = 60;

fn room() -> RoomName {
    RoomName::new("room").unwrap()
}

/// Larger than a page, so that a hole may lie inside a value; no zeros, so that a hole is one.
fn entry(number: usize) -> Bytes {
    Bytes::from(vec![number as u8 + 1; 3_000 + 100 * number])
}

/// A store with one commit per entry; its journal, and where each commit ends in it.
async fn written(dir: &Path) -> (PathBuf, Vec<usize>) {
    let log = FileLog::open(dir, &FileOptions::default()).unwrap();
    let mut ends = Vec::new();
    for number in 0..ENTRIES {
        log.append(&room(), EPOCH, vec![entry(number)]).await.unwrap();
        ends.push(content_end(&journal(dir), ends.last().copied().unwrap_or(0)));
    }
    (journal(dir), ends)
}

/// Where the journal's content ends, known to be at or not far behind `from`.
fn content_end(journal: &Path, from: usize) -> usize {
    let mut file = fs::File::open(journal).unwrap();
    file.seek(SeekFrom::Start(from as u64)).unwrap();
    let mut window = vec![0; 32_000];
    file.read_exact(&mut window).unwrap();
    from + window.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The journal without most of the zeros that it is preallocated with.
fn content(journal: &Path, end: usize) -> Vec<u8> {
    let mut bytes = vec![0; end + 8192];
    fs::File::open(journal).unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

fn journal(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("log")).unwrap().map(|file| file.unwrap().path());
    let mut journals: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|ext| ext == "jnl")).collect();
    assert_eq!(journals.len(), 1);
    journals.pop().unwrap()
}

/// Opens a copy of the store with another journal; how many entries there are, after checking each.
async fn entries_with(dir: &Path, journal: &Path, bytes: &[u8]) -> Result<usize, OpenError> {
    let copy = tempfile::tempdir().unwrap();
    let cp = ["-r", "--sparse=always"];
    let copied = std::process::Command::new("cp").args(cp).arg(dir.join("log")).arg(copy.path()).status();
    assert!(copied.unwrap().success());
    fs::write(copy.path().join("log").join(journal.file_name().unwrap()), bytes).unwrap();
    let log = FileLog::open(copy.path(), &FileOptions::default())?;
    let Some(head) = log.head(&room()).await.unwrap() else { return Ok(0) };
    // A copy has new epochs.
    let page = log.read(&room(), head.epoch, 0, usize::MAX).await.unwrap();
    for (number, (seq, update)) in page.entries.iter().enumerate() {
        assert_eq!(*seq, number as u64 + 1);
        assert!(*update == entry(number), "entry {number}");
    }
    // It goes on from there, and that is durable too.
    let next = log.append(&room(), head.epoch, vec![Bytes::from_static(b"next")]).await.unwrap();
    assert_eq!(next, head.head + 1);
    drop(log);
    let log = FileLog::open(copy.path(), &FileOptions::default()).unwrap();
    assert_eq!(log.head(&room()).await.unwrap().unwrap().head, next);
    Ok(page.entries.len())
}

#[tokio::test]
async fn a_journal_cut_anywhere_keeps_every_commit_before_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, ends) = written(dir.path()).await;
    let end = *ends.last().unwrap();
    let bytes = content(&journal, end);
    for cut in (0..24).map(|step| step * 7919 * 13 % end).chain([end - 1, end, end + 4096]) {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(entries_with(dir.path(), &journal, &bytes[..cut]).await.unwrap(), whole, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_hole_in_the_last_commit_costs_that_commit_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, ends) = written(dir.path()).await;
    let bytes = content(&journal, *ends.last().unwrap());
    let (start, end) = (ends[ENTRIES - 2], ends[ENTRIES - 1]);
    // Pages that were not written yet when the power went: each one missing alone, and all but the last.
    let first_page = start.next_multiple_of(4096);
    let mut holes: Vec<_> =
        (first_page..end).step_by(4096).map(|page| page..(page + 4096).min(end)).collect();
    assert!(holes.len() >= 2);
    holes.push(start..end - 10);
    for hole in holes {
        let mut torn = bytes.clone();
        torn[hole.clone()].fill(0);
        assert_eq!(entries_with(dir.path(), &journal, &torn).await.unwrap(), ENTRIES - 1, "hole {hole:?}");
    }
}

#[tokio::test]
async fn damage_before_the_last_commit_is_refused_and_not_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, ends) = written(dir.path()).await;
    let bytes = content(&journal, *ends.last().unwrap());
    for at in [ends[0] + 100, ends[20] + 2, ends[ENTRIES - 3] + 50] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        let refused = entries_with(dir.path(), &journal, &damaged).await.unwrap_err();
        let OpenError::Damaged { damage: JournalDamage::InTheMiddle { at: found, .. }, .. } = refused else {
            panic!("{refused}");
        };
        assert!(ends.contains(&(found as usize)) && (found as usize) < at, "{found} for {at}");
    }
}

/// A real refusal by the operating system: the file size limit, which a full disk resembles.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_refuses_fails_the_append_and_everything_after_it() {
    use std::process::Command;

    const CHILD: &str = "HITHER_TEST_LOG_DAMAGE_CHILD";
    const NAME: &str = "a_disk_that_refuses_fails_the_append_and_everything_after_it";
    let runtime = tokio::runtime::Runtime::new().unwrap();

    if let Ok(dir) = std::env::var(CHILD) {
        let limit = |size: &str| {
            let pid = std::process::id().to_string();
            let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={size}:")]).status();
            assert!(set.expect("prlimit of util-linux").success());
        };
        return runtime.block_on(async {
            let log = FileLog::open(dir, &FileOptions::default()).unwrap();
            let append = async || log.append(&room(), EPOCH, vec![Bytes::from(vec![7; 10_000])]).await;
            append().await.unwrap();
            limit("300000");
            let mut acknowledged = 1;
            while append().await.is_ok() {
                acknowledged += 1;
                assert!(acknowledged < 100, "the limit does not bite");
            }
            assert!(log.health().is_err());
            // The disk is fine again, but what it holds is not known.
            limit("unlimited");
            for _ in 0..3 {
                assert!(matches!(append().await, Err(LogError::Unavailable(_))));
            }
            assert_eq!(log.head(&room()).await.unwrap().unwrap().head, acknowledged);
            println!("acknowledged {acknowledged}");
        });
    }

    let dir = tempfile::tempdir().unwrap();
    // Past the limit the kernel sends a signal first, which ends a process that does not ignore it.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(CHILD, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    let (_, rest) = said.split_once("acknowledged ").expect("a number");
    let acknowledged: u64 = rest.split_whitespace().next().unwrap().parse().unwrap();
    assert!(acknowledged > 10);

    runtime.block_on(async {
        let log = FileLog::open(dir.path(), &FileOptions::default()).unwrap();
        let head = log.head(&room()).await.unwrap().unwrap().head;
        assert!(
            (acknowledged..=acknowledged + 1).contains(&head),
            "{acknowledged} acknowledged, head {head}"
        );
        let page = log.read(&room(), EPOCH, 0, usize::MAX).await.unwrap();
        assert_eq!(page.entries.len() as u64, head);
        assert_eq!(log.append(&room(), EPOCH, vec![Bytes::from_static(b"on")]).await.unwrap(), head + 1);
    });
}

/// Whoever starts a damaged store with `relaxed` gets what stands before the damage. What stood behind it was acknowledged.
#[tokio::test]
async fn a_relaxed_start_that_cuts_off_what_a_synced_store_acknowledged_begins_new_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, ends) = written(dir.path()).await;
    let mut bytes = content(&journal, *ends.last().unwrap());
    bytes[ends[20] + 50] ^= 0xff;
    fs::write(&journal, bytes).unwrap();
    assert!(matches!(FileLog::open(dir.path(), &FileOptions::default()), Err(OpenError::Damaged { .. })));
    let relaxed = FileOptions { relaxed: true, ..FileOptions::default() };
    let log = FileLog::open(dir.path(), &relaxed).unwrap();
    let head = log.head(&room()).await.unwrap().unwrap();
    assert_eq!(head.head, 21);
    assert_ne!(head.epoch, EPOCH);
    drop(log);
    let log = FileLog::open(dir.path(), &relaxed).unwrap();
    assert_eq!(log.head(&room()).await.unwrap().unwrap().epoch, head.epoch, "once");
}
