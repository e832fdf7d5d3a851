//! What an operator can choose about the file store, and why it does not open.

use std::{io, path::PathBuf};

pub use super::journal::JournalDamage;

/// Settings of the file store.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Whether an append resolves before it is synced to the disk. Default `false`: synced. With `true` it
    /// survives the end of the process but not a power cut; many more appends a second on a slow disk. After an
    /// end that was not clean every room starts a new epoch, so that clients bring back what is gone.
    pub relaxed: bool,
    /// Whether the directory is an older state of itself, such as a backup: then every room starts a new epoch.
    /// Default `false`. A copy is recognised without it; what was rolled back below the file system, or copied over
    /// the files that were there, is not.
    pub restored: bool,
    /// Memory for blocks read from the disk, in bytes. Default 32 MiB: the recent pages of a few thousand
    /// rooms. More saves reads when many rooms wake up again and again.
    pub cache_bytes: u64,
    /// How much is collected in memory before it is written to a table, in bytes. Default 16 MiB; up to
    /// five times that in use at worst. More means fewer, larger tables.
    pub memtable_bytes: u64,
    /// Tables that are kept open. Default 256, 16 GiB of logs. More saves opening files when more rooms than that wake
    /// up; each takes a file descriptor.
    pub open_tables: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions {
            relaxed: false,
            restored: false,
            cache_bytes: 32 << 20,
            memtable_bytes: 16 << 20,
            open_tables: 256,
        }
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data directory {} is in use by another process; a directory has one writer", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// It was written by a later version.
    #[error("the data directory {} has format {found}, this version knows formats up to {known}", dir.display())]
    Newer {
        /// The data directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format this version knows.
        known: u32,
    },
    /// The journal is damaged where it matters.
    #[error("the data directory {} cannot be used", dir.display())]
    Damaged {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        #[source]
        damage: JournalDamage,
    },
    /// The file system refused.
    #[error("the data directory {} cannot be used", dir.display())]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What the file system said.
        #[source]
        cause: io::Error,
    },
    /// The embedded store refused.
    #[error("the data directory {} cannot be opened", dir.display())]
    Store {
        /// The data directory.
        dir: PathBuf,
        /// What the store said.
        #[source]
        cause: fjall::Error,
    },
    /// The embedded store gave up over what it found.
    #[error(
        "the data directory {} is damaged ({what}): restore it from a backup and start once with --restored, or move \
         it away and let the clients bring back what they hold",
        dir.display()
    )]
    Unreadable {
        /// The data directory.
        dir: PathBuf,
        /// What the store said.
        what: String,
    },
    /// A record does not read back.
    #[error("the data directory {} cannot be used", dir.display())]
    Record {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        #[source]
        cause: crate::log::LogError,
    },
}
