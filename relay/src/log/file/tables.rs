//! The open store: its directory lock, its tables, and everything that only reads them.
//!
//! All calls here block on the disk. Reads see committed state only: the writer syncs a commit before it
//! becomes visible.

use std::{
    fs::{self, File, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fjall::{
    CompressionType, Database, Guard, Iter, Keyspace, KeyspaceCreateOptions, PersistMode, Readable,
    Snapshot as View,
};
use hither_protocol::ids::{Epoch, RoomName};

use super::{
    journal,
    layout::{
        Alive, CHUNK_BYTES, Chore, FORMAT, FORMAT_KEY, NEXT_ID_KEY, Record, chunk_key, entry_key, entry_seq,
        number,
    },
    options::{FileOptions, OpenError},
    renewal::{self, Found, Unsynced},
};
use crate::{
    log::{Head, LogError, Page, Snapshot},
    panicked,
};

const LOCK_FILE: &str = "hither.lock";
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// The tables that [`super::layout`] describes.
pub(super) struct Tables {
    pub(super) db: Database,
    pub(super) meta: Keyspace,
    pub(super) rooms: Keyspace,
    pub(super) entries: Keyspace,
    pub(super) chunks: Keyspace,
    /// Set while this store is open, if it is a relaxed one.
    unsynced: Option<Unsynced>,
    /// Held as long as the store is open. It is the last field, so that it is let go last.
    _lock: File,
}

impl Tables {
    pub(super) fn open(dir: &Path, options: &FileOptions) -> Result<Tables, OpenError> {
        let io = |cause| OpenError::Io { dir: dir.to_owned(), cause };
        create_durably(dir).map_err(io)?;
        let lock = lock(dir)?;
        let store = dir.join("log");
        let unsynced = Unsynced::of(dir);
        let was_unsynced = unsynced.is_set().map_err(io)?;
        if options.relaxed {
            unsynced.set().map_err(io)?;
        }
        begin_again(&store).map_err(io)?;
        create_durably(&store).map_err(io)?;
        let has_cut = journal::check(&store, options.relaxed || was_unsynced)
            .map_err(|damage| OpenError::Damaged { dir: dir.to_owned(), damage })?;
        let found = Found { was_unsynced, has_cut };
        // The embedded store asserts what it expects of its files.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let tables = Tables::in_store(dir, &store, lock, options)?;
            renewal::renew_if_in_doubt(&tables, &store, found, options)
                .map_err(|cause| OpenError::Record { dir: dir.to_owned(), cause })?;
            Ok(tables)
        }));
        let mut tables = opened.unwrap_or_else(|panic| {
            Err(OpenError::Unreadable { dir: dir.to_owned(), what: panicked::message(&*panic) })
        })?;
        if options.relaxed {
            tables.unsynced = Some(unsynced);
        } else if was_unsynced {
            unsynced.clear().map_err(io)?;
        }
        Ok(tables)
    }

    /// After the last change: what a relaxed store has acknowledged becomes as durable as any other.
    pub(super) fn end_well(&self) -> Result<(), LogError> {
        let Some(unsynced) = &self.unsynced else { return Ok(()) };
        self.db.persist(PersistMode::SyncAll).map_err(failed)?;
        unsynced.clear().map_err(LogError::unavailable)
    }

    fn in_store(dir: &Path, store: &Path, lock: File, options: &FileOptions) -> Result<Tables, OpenError> {
        let broken = |cause: fjall::Error| OpenError::Store { dir: dir.to_owned(), cause };
        let db = Database::builder(store)
            .cache_size(options.cache_bytes)
            .max_cached_files(Some(options.open_tables))
            // Replayed at the next start, at most this and one journal of 64 MB more: a fraction of a second.
            .max_journaling_size(64 << 20)
            // Updates are small and dense already; tables on disk are compressed anyway.
            .journal_compression(CompressionType::None)
            .worker_threads(1)
            .open()
            .map_err(broken)?;
        let table = |name, memtable| {
            db.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(memtable)).map_err(broken)
        };
        let tables = Tables {
            meta: table("meta", 1 << 20)?,
            rooms: table("rooms", 4 << 20)?,
            entries: table("entries", options.memtable_bytes)?,
            chunks: table("chunks", options.memtable_bytes)?,
            db,
            unsynced: None,
            _lock: lock,
        };
        // The embedded store syncs what is in the directories of new tables, not their names.
        File::open(store.join("keyspaces"))
            .and_then(|names| names.sync_all())
            .map_err(|cause| OpenError::Io { dir: dir.to_owned(), cause })?;
        tables.check_format(dir)?;
        Ok(tables)
    }

    fn check_format(&self, dir: &Path) -> Result<(), OpenError> {
        let broken = |cause: fjall::Error| OpenError::Store { dir: dir.to_owned(), cause };
        match self.meta.get(FORMAT_KEY).map_err(broken)? {
            Some(found) => {
                let found = found.as_ref().try_into().map(u32::from_be_bytes).unwrap_or(u32::MAX);
                if found > FORMAT {
                    return Err(OpenError::Newer { dir: dir.to_owned(), found, known: FORMAT });
                }
                Ok(())
            }
            None => {
                self.meta.insert(FORMAT_KEY, FORMAT.to_be_bytes()).map_err(broken)?;
                self.db.persist(PersistMode::SyncAll).map_err(broken)
            }
        }
    }

    pub(super) fn next_id(&self) -> Result<u64, LogError> {
        // Ids start at 1, so a 0 in a dump is visibly none.
        self.meta.get(NEXT_ID_KEY).map_err(failed)?.map_or(Ok(1), |value| number(&value, "the next id"))
    }

    pub(super) fn chores(&self) -> Result<Vec<Chore>, LogError> {
        let decode = |guard: Guard| Chore::decode(&guard.key().map_err(failed)?);
        self.meta.prefix(Chore::PREFIX).map(decode).collect()
    }

    pub(super) fn record(&self, view: &impl Readable, room: &RoomName) -> Result<Option<Record>, LogError> {
        let value = view.get(&self.rooms, room.as_str()).map_err(failed)?;
        value.map(|bytes| Record::decode(&bytes)).transpose()
    }

    /// Seq of the last entry of a log.
    pub(super) fn last_seq(&self, view: &impl Readable, alive: &Alive) -> Result<u64, LogError> {
        let last = view.prefix(&self.entries, alive.id.to_be_bytes()).next_back();
        let stored = last.map_or(Ok(0), |guard| entry_seq(&guard.key().map_err(failed)?))?;
        // When everything up to the head is trimmed, the floor is the head.
        Ok(stored.max(alive.floor))
    }

    /// The log of this epoch, in one consistent view of the store.
    fn alive(&self, room: &RoomName, epoch: Epoch) -> Result<(View, Alive), LogError> {
        let view = self.db.snapshot();
        match self.record(&view, room)? {
            Some(Record::Alive(alive)) if alive.epoch == epoch => Ok((view, alive)),
            _ => Err(LogError::EpochChanged),
        }
    }

    pub(super) fn head(&self, room: &RoomName) -> Result<Option<Head>, LogError> {
        let view = self.db.snapshot();
        let Some(Record::Alive(alive)) = self.record(&view, room)? else { return Ok(None) };
        Ok(Some(Head {
            epoch: alive.epoch,
            head: self.last_seq(&view, &alive)?,
            floor: alive.floor,
            snapshot: alive.snapshot.map_or(0, |snapshot| snapshot.seq),
        }))
    }

    pub(super) fn read(
        &self,
        room: &RoomName,
        epoch: Epoch,
        after: u64,
        max_bytes: usize,
    ) -> Result<Page, LogError> {
        let (view, alive) = self.alive(room, epoch)?;
        if after < alive.floor {
            return Err(LogError::Trimmed { floor: alive.floor });
        }
        let mut entries = Vec::new();
        let mut bytes = 0usize;
        let next = after.saturating_add(1);
        let range = entry_key(alive.id, next)..=entry_key(alive.id, u64::MAX);
        for (guard, expected) in view.range(&self.entries, range).zip(next..) {
            let (key, value) = guard.into_inner().map_err(failed)?;
            let seq = entry_seq(&key)?;
            if seq != expected {
                let what = format!("room {room}: entry {expected} is missing, the next one is {seq}");
                return Err(LogError::Corrupt { what });
            }
            bytes = bytes.saturating_add(value.len());
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push((seq, Bytes::copy_from_slice(&value)));
        }
        Ok(Page { entries })
    }

    pub(super) fn snapshot(&self, room: &RoomName, epoch: Epoch) -> Result<Option<Snapshot>, LogError> {
        let (view, alive) = self.alive(room, epoch)?;
        let Some(stored) = alive.snapshot else { return Ok(None) };
        let corrupt = || LogError::Corrupt { what: format!("room {room}: its snapshot is incomplete") };
        let size = usize::try_from(stored.bytes).map_err(|_| corrupt())?;
        let mut update = Vec::new();
        for index in 0..size.div_ceil(CHUNK_BYTES) {
            let index = u32::try_from(index).map_err(|_| corrupt())?;
            let part = view.get(&self.chunks, chunk_key(stored.id, index)).map_err(failed)?;
            update.extend_from_slice(&part.ok_or_else(corrupt)?);
        }
        if update.len() != size {
            return Err(corrupt());
        }
        Ok(Some(Snapshot { seq: stored.seq, update: Bytes::from(update) }))
    }

    pub(super) fn rooms(&self, after: Option<&RoomName>, max: usize) -> Result<Vec<RoomName>, LogError> {
        let mut found = Vec::new();
        let all: Iter = match after {
            // A zero byte behind the name is the very next key in byte order.
            Some(after) => self.rooms.range([after.as_str().as_bytes(), &[0]].concat()..),
            None => self.rooms.iter(),
        };
        for guard in all {
            if found.len() == max {
                break;
            }
            let (key, value) = guard.into_inner().map_err(failed)?;
            if let Record::Alive(_) = Record::decode(&value)? {
                let name = std::str::from_utf8(&key).ok().and_then(|name| RoomName::new(name).ok());
                found.push(name.ok_or_else(|| LogError::Corrupt { what: "a room's name".into() })?);
            }
        }
        Ok(found)
    }
}

/// Creates a directory and whatever is missing above it, and syncs the names: what is synced into a directory of which
/// the name is lost in a power cut is lost with it.
fn create_durably(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(dir)?;
    for created in missing {
        let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Removes a store whose very first start was interrupted: the embedded store would neither go on with it nor begin anew.
/// It writes its version before anything else can be committed; where there is data without one, it refuses.
fn begin_again(store: &Path) -> io::Result<()> {
    // A file that was not synced has its length and any bytes.
    let is_begun = fs::read(store.join("version")).is_ok_and(|it| it.len() >= 4 && it.starts_with(b"FJL"));
    if is_begun || !store.exists() || journal::holds_anything(store)? {
        return Ok(());
    }
    tracing::warn!(store = %store.display(), "begins again: its first start was interrupted");
    fs::remove_dir_all(store)
}

/// Takes the directory for this process. Waits a moment: a process that was killed holds its lock until the
/// kernel has cleaned up after it, and its successor may be started before.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let path: PathBuf = dir.join(LOCK_FILE);
    let io = |cause| OpenError::Io { dir: dir.to_owned(), cause };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(io)?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(cause)) => return Err(io(cause)),
        }
    }
}

/// The store's error as the trait's: damage is told apart from what may pass.
pub(super) fn failed(cause: fjall::Error) -> LogError {
    match cause {
        fjall::Error::Io(_) | fjall::Error::Poisoned | fjall::Error::Locked => LogError::unavailable(cause),
        fjall::Error::Storage(lsm) if !matches!(lsm, fjall::LsmError::Io(_)) => {
            LogError::Corrupt { what: lsm.to_string() }
        }
        other => LogError::unavailable(other),
    }
}
