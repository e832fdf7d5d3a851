//! A log on one machine's disk: the default store.
//!
//! ```text
//!  append, put_snapshot, delete          head, read, snapshot, rooms
//!        │ bounded by bytes                     │ blocking threads
//!        ▼                                      ▼
//!   writer thread ── one commit, one fsync ──► fjall (journal + tables)
//!        │           for everybody waiting
//!        └──► answers
//! ```
//!
//! One thread writes. While a commit syncs, the next requests collect; when it is done, all of them go
//! into the next commit. So a lone append waits for one fsync and nothing else, and under load the cost of
//! an fsync is shared by hundreds. Whoever asks [`RoomLog::gather_until`] first gets more into one (`pace`).
//! A request waits for room in the queue when `QUEUE_BYTES` are on their way.
//!
//! After a commit failed, what the disk holds of it is unknown, and a sync that succeeds afterwards proves
//! nothing about it. So the store is then closed for writing: every waiting and every later change fails
//! with [`LogError::Unavailable`], reads go on and show what was acknowledged, [`FileLog::health`] says
//! what happened. Opening the directory anew (a restart) recovers. Where what was acknowledged may be gone, opening gives
//! every room a new epoch (`renewal`).
//!
//! A process has one store for all rooms and no memory per room, except for a bounded table of recently
//! written ones.

mod journal;
mod layout;
mod options;
mod pace;
mod recent;
mod renewal;
mod tables;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Sender},
    },
    thread::JoinHandle,
    time::Instant,
};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};

use self::{
    pace::Pace,
    tables::Tables,
    writer::{Change, Health, Job, PutSnapshot, Writer},
};
use super::{Head, LogError, LogFuture, Page, RoomLog, Snapshot};

pub use options::{FileOptions, JournalDamage, OpenError};

/// What may wait for the writer. 64 MiB are a few hundred milliseconds of a slow disk's work; the rest
/// waits at the sockets, where it belongs.
const QUEUE_BYTES: usize = 64 << 20;
/// The most that a snapshot takes of it. It is on its way until its last part is stored, which takes seconds: whatever its
/// size, three quarters are left to those who append. There is one compaction at a time.
const SNAPSHOT_WEIGHT: usize = QUEUE_BYTES / 4;
/// What a request weighs besides its updates.
const REQUEST_BYTES: usize = 256;
/// What an entry weighs besides its bytes: a one-byte update is not free.
const ENTRY_BYTES: usize = 64;

/// [`RoomLog`] in a directory.
///
/// Needs a tokio runtime when it is used. Dropping it waits for the appends under way; a snapshot of which parts are
/// still to be stored is given up.
pub struct FileLog {
    tables: Arc<Tables>,
    health: Arc<Health>,
    pace: Arc<Pace>,
    room_in_queue: Arc<Semaphore>,
    /// `None` when it is closed.
    jobs: Mutex<Option<Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl FileLog {
    /// Opens or creates the store in `dir`. Blocks; a directory with 100,000 rooms opens in a fraction of
    /// a second, and takes half a second more when all of them get new epochs.
    pub fn open(dir: impl AsRef<Path>, options: &FileOptions) -> Result<FileLog, OpenError> {
        let dir = dir.as_ref();
        let tables = Arc::new(Tables::open(dir, options)?);
        let health = Arc::new(Health::default());
        let pace = Arc::new(Pace::new());
        let (jobs, queue) = mpsc::channel();
        let writer = Writer::new(tables.clone(), queue, health.clone(), pace.clone(), options)
            .map_err(|cause| OpenError::Record { dir: dir.to_owned(), cause })?;
        let writer = std::thread::Builder::new()
            .name("hither-log".into())
            .spawn(move || writer.run())
            .map_err(|cause| OpenError::Io { dir: dir.to_owned(), cause })?;
        Ok(FileLog {
            tables,
            health,
            pace,
            room_in_queue: Arc::new(Semaphore::new(QUEUE_BYTES)),
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Lets the next commit fail as if the disk had refused it.
    #[cfg(any(test, feature = "testing"))]
    pub fn break_next_commit(&self) {
        self.health.break_next_commit();
    }

    /// Lets the writer panic in the next commit.
    #[cfg(any(test, feature = "testing"))]
    pub fn panic_in_next_commit(&self) {
        self.health.panic_in_next_commit();
    }

    async fn change<T>(
        &self,
        bytes: usize,
        change: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Change,
    ) -> Result<T, LogError> {
        self.health()?;
        let weight = u32::try_from(bytes.saturating_add(REQUEST_BYTES).min(QUEUE_BYTES)).unwrap_or(u32::MAX);
        let permit = self.room_in_queue.clone().acquire_many_owned(weight).await;
        let (reply, answer) = oneshot::channel();
        let gone = || LogError::unavailable("the log's writer has ended");
        let permit = permit.map_err(|_| gone())?;
        let job = Job { change: change(reply), runtime: Handle::current(), _weight: permit };
        lock(&self.jobs).as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn look<'a, T: Send + 'static>(
        &'a self,
        look: impl FnOnce(&Tables) -> Result<T, LogError> + Send + 'static,
    ) -> LogFuture<'a, T> {
        let tables = self.tables.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || look(&tables)).await.map_err(LogError::unavailable)?
        })
    }
}

impl RoomLog for FileLog {
    fn head<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, Option<Head>> {
        let room = room.clone();
        self.look(move |tables| tables.head(&room))
    }

    fn append<'a>(&'a self, room: &'a RoomName, epoch: Epoch, entries: Vec<Bytes>) -> LogFuture<'a, u64> {
        Box::pin(async move {
            let bytes = entries.iter().map(|entry| entry.len() + ENTRY_BYTES).sum();
            self.pace.count(entries.len());
            let appended = self
                .change(bytes, |reply| Change::Append { room: room.clone(), epoch, entries, reply })
                .await;
            self.pace.end(Instant::now());
            appended
        })
    }

    fn read<'a>(
        &'a self,
        room: &'a RoomName,
        epoch: Epoch,
        after: u64,
        max_bytes: usize,
    ) -> LogFuture<'a, Page> {
        let room = room.clone();
        self.look(move |tables| tables.read(&room, epoch, after, max_bytes))
    }

    fn snapshot<'a>(&'a self, room: &'a RoomName, epoch: Epoch) -> LogFuture<'a, Option<Snapshot>> {
        let room = room.clone();
        self.look(move |tables| tables.snapshot(&room, epoch))
    }

    fn put_snapshot<'a>(
        &'a self,
        room: &'a RoomName,
        epoch: Epoch,
        replaces: u64,
        snapshot: Snapshot,
        floor: u64,
    ) -> LogFuture<'a, ()> {
        Box::pin(async move {
            let bytes = snapshot.update.len().min(SNAPSHOT_WEIGHT);
            let room = room.clone();
            let put = |reply| PutSnapshot { room, epoch, replaces, snapshot, floor, reply };
            self.change(bytes, |reply| Change::Snapshot(put(reply))).await
        })
    }

    fn delete<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, bool> {
        Box::pin(async move { self.change(0, |reply| Change::Delete { room: room.clone(), reply }).await })
    }

    fn rooms<'a>(&'a self, after: Option<&'a RoomName>, max: usize) -> LogFuture<'a, Vec<RoomName>> {
        let after = after.cloned();
        self.look(move |tables| tables.rooms(after.as_ref(), max))
    }

    fn gather_until(&self) -> Option<Instant> {
        self.pace.gather_until(Instant::now())
    }

    fn health(&self) -> Result<(), LogError> {
        self.health.check()
    }

    fn close(&self) {
        // The writer ends when nobody can send to it any more.
        drop(lock(&self.jobs).take());
        let Some(writer) = lock(&self.writer).take() else { return };
        // A writer that panicked has said so, and failed everybody who waited.
        let has_ended_well = writer.join().is_ok() && self.health.check().is_ok();
        if has_ended_well && let Err(error) = self.tables.end_well() {
            tracing::error!(%error, "what was acknowledged may not be on the disk");
        }
    }
}

impl Drop for FileLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// Nothing under these locks panics half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
