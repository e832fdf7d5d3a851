//! The file store's recovery: a directory that something damaged is opened.

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use hither_relay::log::file::FileOptions;
use hither_relay::log::{FileLog, LogError, RoomLog, Snapshot};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tokio::runtime::Runtime;

const EPOCH: Epoch = Epoch([6; 16]);

/// Entries of the stores that are damaged, one commit each.
const ENTRIES: u64 = 12;

/// Damage to the journal of a store that has nothing but a journal.
///
/// The last commit may be gone, and those before it that are damaged, too: from outside they look like a torn tail. But
/// a damaged commit with an intact one behind it must be refused, and nothing else may be seen than what was written.
pub fn journal(input: &[u8]) {
    static PRISTINE: OnceLock<(Files, Vec<Range<usize>>)> = OnceLock::new();
    let (files, commits) = PRISTINE.get_or_init(|| written(false));
    let mut files = files.clone();
    let Some(journal) = files.0.iter_mut().find(|(path, _)| path.extension().is_some_and(|ext| ext == "jnl"))
    else {
        unreachable!("a store has a journal")
    };
    let pristine = journal.1.clone();
    damage(&mut journal.1, input, commits.last().map_or(0, |last| last.end));
    let is_intact = |commit: &Range<usize>| journal.1.get(commit.clone()) == pristine.get(commit.clone());
    let last_intact = commits.iter().rposition(is_intact).map_or(0, |index| index as u64 + 1);
    let dir = tempfile::tempdir().unwrap();
    files.save(dir.path());
    runtime().block_on(async {
        let Ok(log) = open(dir.path()) else { return };
        let head = log.head(&room()).await.unwrap().map_or(0, |head| head.head);
        assert!(head >= last_intact, "entry {last_intact} is intact, {head} are there and nobody was told");
        assert!(head <= ENTRIES, "{head} entries of {ENTRIES}");
        assert_eq!(readable(&log).await.unwrap(), head);
    });
}

/// Damage to any file of a store with tables and a snapshot. The first byte chooses the file.
pub fn directory(input: &[u8]) {
    static PRISTINE: OnceLock<(Files, Vec<Range<usize>>)> = OnceLock::new();
    let (files, _) = PRISTINE.get_or_init(|| written(true));
    let Some((&first, rest)) = input.split_first() else { return };
    let mut files = files.clone();
    let index = usize::from(first) % files.0.len();
    let bytes = &mut files.0[index].1;
    let length = bytes.len();
    damage(bytes, rest, length);
    let dir = tempfile::tempdir().unwrap();
    files.save(dir.path());
    runtime().block_on(async {
        let Ok(log) = open(dir.path()) else { return };
        // Whatever it answers: it answers, and nothing that was never written.
        let _ = log.rooms(None, 10).await;
        let _ = readable(&log).await;
        // A copy has new epochs.
        if let Ok(Some(head)) = log.head(&room()).await
            && let Ok(Some(snapshot)) = log.snapshot(&room(), head.epoch).await
        {
            assert!(snapshot == snapshot_at(snapshot.seq), "another snapshot than was written");
        }
    });
}

/// Overwrites and cuts, four bytes of input each: what, where (two bytes), how. Places are within `length`.
fn damage(bytes: &mut Vec<u8>, input: &[u8], length: usize) {
    for change in input.chunks_exact(4).take(64) {
        let [what, high, low, how] = [change[0], change[1], change[2], change[3]];
        let at = usize::from(u16::from_be_bytes([high, low])) % length.max(1);
        if at >= bytes.len() {
            continue;
        }
        let run = at..bytes.len().min(at + usize::from(how) * 16 + 1);
        match what % 8 {
            0..=2 => bytes[at] ^= how,
            3 => bytes[at] = how,
            4 => bytes[run].fill(0),
            5 => bytes[run].fill(0xff),
            6 => {
                let from = usize::from(how) * 32 % bytes.len();
                let run = at..bytes.len().min(at + 48);
                let from = from..bytes.len().min(from + run.len());
                let piece = bytes[from].to_vec();
                bytes[at..at + piece.len().min(run.len())]
                    .copy_from_slice(&piece[..piece.len().min(run.len())]);
            }
            _ => bytes.truncate(at),
        }
    }
}

/// Reads every entry; how many there are. Fails the test if one is not what was written.
async fn readable(log: &FileLog) -> Result<u64, LogError> {
    let Some(head) = log.head(&room()).await? else { return Ok(0) };
    let page = log.read(&room(), head.epoch, head.floor, usize::MAX).await?;
    for (seq, update) in &page.entries {
        assert!(*update == entry(*seq), "entry {seq} is another one than was written");
    }
    Ok(head.floor + page.entries.len() as u64)
}

/// A store's files; journals without most of the zeros that they are preallocated with.
#[derive(Clone)]
struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    fn of(dir: &Path) -> Files {
        let mut files = Files(Vec::new());
        files.take_in(dir, Path::new(""));
        files.0.sort();
        files
    }

    fn take_in(&mut self, dir: &Path, name: &Path) {
        for found in fs::read_dir(dir).unwrap() {
            let found = found.unwrap();
            let name = name.join(found.file_name());
            if found.file_type().unwrap().is_dir() {
                self.take_in(&found.path(), &name);
                continue;
            }
            let mut bytes = fs::read(found.path()).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(end + 4096);
            self.0.push((name, bytes));
        }
    }

    fn save(&self, dir: &Path) {
        for (name, bytes) in &self.0 {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

/// A store with one commit per entry, and where each of these commits stands in the journal. With `tables`, it was
/// opened and written often enough to have some, and a snapshot.
fn written(tables: bool) -> (Files, Vec<Range<usize>>) {
    let dir = tempfile::tempdir().unwrap();
    let mut commits = Vec::new();
    runtime().block_on(async {
        let log = open(dir.path()).unwrap();
        let mut before = journal_end(dir.path());
        for seq in 1..=ENTRIES {
            log.append(&room(), EPOCH, vec![entry(seq)]).await.unwrap();
            let end = journal_end(dir.path());
            commits.push(before..end);
            before = end;
        }
        if tables {
            log.put_snapshot(&room(), EPOCH, 0, snapshot_at(ENTRIES), 4).await.unwrap();
            // Enough elsewhere that tables are written.
            let elsewhere = RoomName::new("elsewhere").unwrap();
            for _ in 0..16 {
                log.append(&elsewhere, EPOCH, vec![Bytes::from(vec![7; 16 << 10])]).await.unwrap();
            }
        }
    });
    (Files::of(dir.path()), commits)
}

fn journal_end(dir: &Path) -> usize {
    let files = Files::of(dir).0.into_iter();
    let journals = files.filter(|(path, _)| path.extension().is_some_and(|ext| ext == "jnl"));
    journals.map(|(_, bytes)| bytes.len() - 4096).sum()
}

fn open(dir: &Path) -> Result<FileLog, hither_relay::log::file::OpenError> {
    FileLog::open(dir, &FileOptions { memtable_bytes: 64 << 10, ..FileOptions::default() })
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().build().unwrap())
}

fn room() -> RoomName {
    RoomName::new("room").unwrap()
}

/// No zeros, so that damage shows.
fn entry(seq: u64) -> Bytes {
    Bytes::from(vec![seq as u8 + 1; 20 + 40 * seq as usize])
}

fn snapshot_at(seq: u64) -> Snapshot {
    Snapshot { seq, update: Bytes::from(format!("{seq} ").repeat(400)) }
}
