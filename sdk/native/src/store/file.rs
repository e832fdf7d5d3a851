//! Rooms in one file: three tables of an embedded store, one durable transaction per batch.
//!
//! ```text
//!   format   "format"                 → version of this layout
//!   meta     room                     → cursor
//!   updates  (room, at, writer, n)    → pack of updates
//!   outbox   (room, at, writer, n)    → one update
//! ```
//!
//! A file belongs to one process at a time; the lock is the operating system's and goes with the process. After an
//! input/output error redb refuses everything until it is opened again: this store drops the handle then and opens a
//! new one for the next call, so a disk that was full for a moment does not end a client.

use super::Store;
use hither_core::storage::{RowKey, StorageError, StorageErrorKind, Stored, Write};
use hither_core::time::Millis;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError as RedbStorage, TableDefinition,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Row = (&'static str, u64, u64, u64);

const FORMAT: TableDefinition<'_, &str, u64> = TableDefinition::new("format");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const UPDATES: TableDefinition<'_, Row, &[u8]> = TableDefinition::new("updates");
const OUTBOX: TableDefinition<'_, Row, &[u8]> = TableDefinition::new("outbox");

/// The version of this layout. A newer file is refused, never written over.
const VERSION: u64 = 1;

/// Pages of the file that are kept in memory. redb's default of 1 GiB is for servers; a client reads a room once.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

pub(crate) struct FileStore {
    path: PathBuf,
    /// `None` after an error that broke the handle.
    database: Mutex<Option<Database>>,
}

/// Why a store file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenFileError {
    /// A store file has one process.
    #[error("{} is in use by another process; a store file belongs to one at a time", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It was written by a later version.
    #[error("{} has format {found}, this version knows formats up to {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The file system or the embedded store refused.
    #[error("{} cannot be opened: {cause}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What was said.
        #[source]
        cause: Box<redb::Error>,
    },
}

impl FileStore {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> Result<FileStore, OpenFileError> {
        let database = open_database(path)?;
        Ok(FileStore { path: path.to_owned(), database: Mutex::new(Some(database)) })
    }

    fn with<T>(&self, act: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StorageError> {
        let mut slot: MutexGuard<'_, Option<Database>> =
            self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match slot.take() {
            Some(database) => database,
            None => open_database(&self.path).map_err(|error| StorageError {
                kind: StorageErrorKind::Unavailable,
                cause: error.to_string(),
            })?,
        };
        match act(&database) {
            Ok(done) => {
                *slot = Some(database);
                Ok(done)
            }
            // The handle is not put back: the next call opens a new one.
            Err(error) => Err(translate(&error)),
        }
    }
}

impl Store for FileStore {
    fn load(&self, room: &str) -> Result<Stored, StorageError> {
        self.with(|database| {
            let read = database.begin_read()?;
            let meta = read.open_table(META)?.get(room)?.map(|meta| meta.value().to_vec());
            let rows =
                |table: TableDefinition<'_, Row, &[u8]>| -> Result<Vec<(RowKey, Vec<u8>)>, redb::Error> {
                    let table = read.open_table(table)?;
                    let all = table.range((room, 0, 0, 0)..=(room, u64::MAX, u64::MAX, u64::MAX))?;
                    all.map(|row| {
                        let (key, value) = row?;
                        let (_, at, writer, n) = key.value();
                        Ok((RowKey { at: Millis(at), writer, n }, value.value().to_vec()))
                    })
                    .collect()
                };
            Ok(Stored { meta, updates: rows(UPDATES)?, outbox: rows(OUTBOX)? })
        })
    }

    fn write(&self, writes: &[Write]) -> Result<(), StorageError> {
        self.with(|database| {
            // redb's default durability: the commit returns when the file is synced.
            let transaction = database.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                let mut updates = transaction.open_table(UPDATES)?;
                let mut outbox = transaction.open_table(OUTBOX)?;
                for write in writes {
                    match write {
                        Write::PutUpdates { room, key, pack } => {
                            updates.insert(row(room, *key), pack.as_slice())?;
                        }
                        Write::DeleteUpdates { room, key } => {
                            updates.remove(row(room, *key))?;
                        }
                        Write::PutOutbox { room, key, update } => {
                            outbox.insert(row(room, *key), update.as_slice())?;
                        }
                        Write::DeleteOutbox { room, key } => {
                            outbox.remove(row(room, *key))?;
                        }
                        Write::PutMeta { room, meta: value } => {
                            meta.insert(room.as_str(), value.as_slice())?;
                        }
                    }
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }
}

fn row(room: &str, key: RowKey) -> (&str, u64, u64, u64) {
    (room, key.at.0, key.writer, key.n)
}

fn open_database(path: &Path) -> Result<Database, OpenFileError> {
    let is_new = !path.exists();
    let database = match Database::builder().set_cache_size(CACHE_BYTES).create(path) {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen) => {
            return Err(OpenFileError::InUse { path: path.to_owned() });
        }
        Err(error) => return Err(unusable(path, error)),
    };
    let found = prepare(&database).map_err(|error| unusable(path, error))?;
    if found > VERSION {
        return Err(OpenFileError::Newer { path: path.to_owned(), found });
    }
    if is_new {
        // The name of a new file is durable only when its directory is.
        sync_directory(path).map_err(|error| unusable(path, RedbStorage::Io(error)))?;
    }
    Ok(database)
}

fn unusable(path: &Path, cause: impl Into<redb::Error>) -> OpenFileError {
    OpenFileError::Unusable { path: path.to_owned(), cause: Box::new(cause.into()) }
}

/// Makes the tables and returns the format.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let found = {
        let mut format = transaction.open_table(FORMAT)?;
        let found = format.get("format")?.map(|version| version.value());
        match found {
            Some(version) => version,
            None => {
                format.insert("format", VERSION)?;
                VERSION
            }
        }
    };
    if found <= VERSION {
        transaction.open_table(META)?;
        transaction.open_table(UPDATES)?;
        transaction.open_table(OUTBOX)?;
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(found)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    // Only Unix lets a directory be synced; elsewhere the file system does it by itself.
    if cfg!(unix) {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        std::fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn translate(error: &redb::Error) -> StorageError {
    let kind = match error {
        redb::Error::Io(error) => match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                StorageErrorKind::Quota
            }
            io::ErrorKind::InvalidData => StorageErrorKind::Corrupt,
            _ => StorageErrorKind::Unavailable,
        },
        redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. } => StorageErrorKind::Corrupt,
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => StorageErrorKind::Closed,
        _ => StorageErrorKind::Unavailable,
    };
    StorageError { kind, cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.hither");
        let first = FileStore::open(&path).unwrap();
        let refused = FileStore::open(&path).err().unwrap();
        assert!(matches!(refused, OpenFileError::InUse { .. }), "{refused}");
        drop(first);
        FileStore::open(&path).unwrap();
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.hither");
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(FORMAT).unwrap().insert("format", VERSION + 1).unwrap();
        transaction.commit().unwrap();
        drop(database);
        for _ in 0..2 {
            let refused = FileStore::open(&path).err().unwrap();
            assert!(matches!(refused, OpenFileError::Newer { found: 2, .. }), "{refused}");
        }
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "not a store, but somebody's notes\n".repeat(500)).unwrap();
        let refused = FileStore::open(&path).err().unwrap();
        assert!(refused.to_string().contains("notes.txt"), "{refused}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("not a store"));
    }

    #[test]
    fn a_handle_that_broke_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(&dir.path().join("client.hither")).unwrap();
        let write = Write::PutMeta { room: "a".into(), meta: vec![5] };
        store.write(std::slice::from_ref(&write)).unwrap();
        let broken = store.with::<()>(|_| Err(redb::Error::PreviousIo));
        assert_eq!(broken.unwrap_err().kind, StorageErrorKind::Closed);
        assert_eq!(store.load("a").unwrap().meta, Some(vec![5]));
    }

    #[test]
    fn kinds_of_trouble_are_told_apart() {
        let io = |kind: io::ErrorKind| translate(&redb::Error::Io(kind.into())).kind;
        assert_eq!(io(io::ErrorKind::StorageFull), StorageErrorKind::Quota);
        assert_eq!(io(io::ErrorKind::QuotaExceeded), StorageErrorKind::Quota);
        assert_eq!(io(io::ErrorKind::InvalidData), StorageErrorKind::Corrupt);
        assert_eq!(io(io::ErrorKind::PermissionDenied), StorageErrorKind::Unavailable);
        assert_eq!(translate(&redb::Error::Corrupted("x".into())).kind, StorageErrorKind::Corrupt);
    }
}
