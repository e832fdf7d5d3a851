//! New epochs for all rooms, when the directory may lack what this store once acknowledged.
//!
//! A cursor (epoch, seq) is only worth something while the log has everything up to that seq. A power cut under
//! `relaxed`, or a copy of yesterday put back, takes the end of logs away; others then write other entries under the same
//! numbers, and whoever comes back with an old cursor would skip these and never miss what is gone. With a new epoch
//! they read the room afresh and bring back what it lacks. So before anything is served:
//!
//! ```text
//!   hither.unsynced      there while a relaxed store is open: found at the start, it did not end well
//!   meta "home"          which directory this is; a copy is another one. Empty while a renewal is under way
//! ```
//! `hither.unsynced` is a file and no record, because what the journal may look like depends on it. A roll-back below the
//! file system (a snapshot of a volume or a machine) leaves no trace here: [`FileOptions::restored`] says it.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use fjall::{Guard, PersistMode};

use super::{
    layout::{HOME_KEY, Record},
    options::FileOptions,
    tables::{Tables, failed},
};
use crate::log::LogError;

const UNSYNCED_FILE: &str = "hither.unsynced";
/// Rooms of one commit: at most 1.3 MB.
const COMMIT_ROOMS: usize = 4096;
/// Where `home` stands in for "not all rooms have their new epoch yet".
const UNDER_WAY: &[u8] = b"";

/// The file that says that a relaxed store is, or was, at work.
pub(super) struct Unsynced(PathBuf);

impl Unsynced {
    pub(super) fn of(dir: &Path) -> Unsynced {
        Unsynced(dir.join(UNSYNCED_FILE))
    }

    pub(super) fn is_set(&self) -> io::Result<bool> {
        self.0.try_exists()
    }

    /// Durable when it returns.
    pub(super) fn set(&self) -> io::Result<()> {
        File::create(&self.0)?.sync_all()?;
        self.sync_name()
    }

    /// To be called when everything is synced.
    pub(super) fn clear(&self) -> io::Result<()> {
        fs::remove_file(&self.0)?;
        self.sync_name()
    }

    fn sync_name(&self) -> io::Result<()> {
        self.0.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

/// What this start has found out before the tables were there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// A relaxed store did not end well.
    pub(super) was_unsynced: bool,
    /// Batches were cut off that may have been acknowledged.
    pub(super) has_cut: bool,
}

/// Gives every room a new epoch if there is a reason to, and remembers which directory this is.
pub(super) fn renew_if_in_doubt(
    tables: &Tables,
    store: &Path,
    found: Found,
    options: &FileOptions,
) -> Result<(), LogError> {
    let home = home(store).map_err(LogError::unavailable)?;
    let recorded = tables.meta.get(HOME_KEY).map_err(failed)?;
    let recorded = recorded.as_deref();
    let reason = if found.was_unsynced {
        "a relaxed store did not end well"
    } else if found.has_cut {
        "the end of a damaged journal was cut off"
    } else if options.restored {
        "it was restored, as --restored says"
    } else if recorded == Some(UNDER_WAY) {
        "an earlier start did not come to the end of it"
    } else if recorded.is_some_and(|recorded| !is_same(recorded, &home)) {
        "the directory is a copy"
    } else {
        if recorded != Some(&home) {
            set_home(tables, &home)?;
        }
        return Ok(());
    };
    set_home(tables, UNDER_WAY)?;
    let (mut rooms, mut next) = (0, Some(Vec::new()));
    while let Some(from) = next {
        let renewed = renew_some(tables, from)?;
        rooms += renewed.rooms;
        next = renewed.next;
    }
    set_home(tables, &home)?;
    tracing::warn!(
        reason,
        rooms,
        "acknowledged edits may be missing: every room has a new epoch, and its clients bring back what they have"
    );
    Ok(())
}

struct Renewed {
    rooms: usize,
    /// The first key that was not looked at; `None`: that was all.
    next: Option<Vec<u8>>,
}

/// New epochs for the rooms at and behind a key, as many as one commit takes.
fn renew_some(tables: &Tables, from: Vec<u8>) -> Result<Renewed, LogError> {
    let mut batch = tables.db.batch().durability(Some(PersistMode::SyncAll));
    let (mut renewed, mut looked_at) = (Renewed { rooms: 0, next: None }, 0);
    for guard in tables.rooms.range(from..) {
        let (key, value) = Guard::into_inner(guard).map_err(failed)?;
        if looked_at == COMMIT_ROOMS {
            renewed.next = Some(key.to_vec());
            break;
        }
        looked_at += 1;
        // A record that does not read is that room's trouble, and stays for whoever opens it.
        let Ok(Record::Alive(mut alive)) = Record::decode(&value) else { continue };
        getrandom::fill(&mut alive.epoch.0).map_err(LogError::unavailable)?;
        batch.insert(&tables.rooms, key, Record::Alive(alive).encode());
        renewed.rooms += 1;
    }
    batch.commit().map_err(failed)?;
    Ok(renewed)
}

fn set_home(tables: &Tables, home: &[u8]) -> Result<(), LogError> {
    let mut batch = tables.db.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(&tables.meta, HOME_KEY, home);
    batch.commit().map_err(failed)
}

/// What tells the store's directory from a copy of it: its number in the file system, and, where the system knows it,
/// when it was made, since numbers are used again. The device has a new number after many a restart.
fn home(store: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(store)?;
    let mut home = found.ino().to_be_bytes().to_vec();
    let born = found.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    home.extend(born.iter().flat_map(|born| born.as_nanos().to_be_bytes()));
    Ok(home)
}

/// A time of birth that only one of them has says nothing.
fn is_same(recorded: &[u8], found: &[u8]) -> bool {
    let known = recorded.len().min(found.len());
    known >= 8 && recorded[..known] == found[..known]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{FileLog, RoomLog};
    use bytes::Bytes;
    use hither_protocol::ids::{Epoch, RoomName};

    const ROOMS: usize = 6;

    fn room(number: usize) -> RoomName {
        RoomName::new(&format!("room {number}")).unwrap()
    }

    async fn epochs(log: &FileLog) -> Vec<Epoch> {
        let mut epochs = Vec::new();
        for number in 0..ROOMS {
            epochs.push(log.head(&room(number)).await.unwrap().unwrap().epoch);
        }
        epochs
    }

    #[tokio::test]
    async fn a_renewal_that_was_interrupted_is_repeated_for_every_room() {
        let dir = tempfile::tempdir().unwrap();
        let options = FileOptions::default();
        let log = FileLog::open(dir.path(), &options).unwrap();
        for number in 0..ROOMS {
            log.append(&room(number), Epoch([7; 16]), vec![Bytes::from_static(b"x")]).await.unwrap();
        }
        drop(log);
        let tables = Tables::open(dir.path(), &options).unwrap();
        set_home(&tables, UNDER_WAY).unwrap();
        let half = renew_some(&tables, room(ROOMS / 2).as_str().into()).unwrap();
        assert_eq!((half.rooms, half.next), (ROOMS / 2, None));
        drop(tables);

        let log = FileLog::open(dir.path(), &options).unwrap();
        let once = epochs(&log).await;
        assert!(once.iter().all(|epoch| *epoch != Epoch([7; 16])), "{once:?}");
        drop(log);
        let log = FileLog::open(dir.path(), &options).unwrap();
        assert_eq!(epochs(&log).await, once, "it came to its end");
    }

    #[test]
    fn a_number_that_is_used_again_is_another_directory() {
        let numbers = |inode: u64, born: Option<u128>| {
            let mut home = inode.to_be_bytes().to_vec();
            home.extend(born.iter().flat_map(|born| born.to_be_bytes()));
            home
        };
        let here = numbers(7, Some(99));
        assert!(is_same(&here, &here));
        assert!(is_same(&here, &numbers(7, None)) && is_same(&numbers(7, None), &here));
        assert!(!is_same(&here, &numbers(8, Some(99))));
        assert!(!is_same(&here, &numbers(7, Some(98))));
        assert!(!is_same(UNDER_WAY, &here));
    }
}
