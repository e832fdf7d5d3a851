//! The one thread that changes the store: collects what waits, commits it in one go, answers.
//!
//! Changes are decided one after another against the state that they themselves produce, in order of
//! arrival; nobody hears of it before the commit is synced. If that fails, everybody in it hears of the
//! failure and the store takes no more changes.
//!
//! Work that nobody waits for is done in slices, one with each commit: parts of a large snapshot are
//! written, and what is no longer referenced is removed.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
};

use bytes::Bytes;
use fjall::{Guard, OwnedWriteBatch, PersistMode};
use hither_protocol::ids::{Epoch, RoomName};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, oneshot},
};

use super::{
    ENTRY_BYTES,
    layout::{Alive, CHUNK_BYTES, Chore, NEXT_ID_KEY, Record, StoredSnapshot, chunk_key, entry_key},
    options::FileOptions,
    pace::Pace,
    recent::{RECENT_ROOMS, RecentRooms, State},
    tables::{Tables, failed},
};
use crate::{
    log::{LogError, Snapshot},
    panicked,
};

/// A commit takes no further change when it holds this much. 4 MiB sync in a few milliseconds; more would
/// only make everybody in it wait longer.
const COMMIT_BYTES: usize = 4 << 20;
/// And no more than this many changes: fewer than [`RECENT_ROOMS`], so that no room changed by a commit is
/// forgotten (and read anew from the store, where the change is not yet) before the commit is done.
const COMMIT_CHANGES: usize = 2048;
const _: () = assert!(COMMIT_CHANGES < RECENT_ROOMS);
/// Unreferenced keys removed along with one commit: half a millisecond of work.
const SWEEP_KEYS: usize = 512;

type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// A change that somebody asked for.
pub(super) enum Change {
    Append { room: RoomName, epoch: Epoch, entries: Vec<Bytes>, reply: Reply<u64> },
    Snapshot(PutSnapshot),
    Delete { room: RoomName, reply: Reply<bool> },
}

pub(super) struct PutSnapshot {
    pub(super) room: RoomName,
    pub(super) epoch: Epoch,
    pub(super) replaces: u64,
    pub(super) snapshot: Snapshot,
    pub(super) floor: u64,
    pub(super) reply: Reply<()>,
}

pub(super) struct Job {
    pub(super) change: Change,
    /// Where whoever asked waits for the answer.
    pub(super) runtime: Handle,
    /// Its share of the queue, given back when it is answered.
    pub(super) _weight: OwnedSemaphorePermit,
}

/// Whether the store takes changes; shared with everybody who asks.
#[derive(Default)]
pub(super) struct Health {
    failure: OnceLock<LogError>,
    break_next: AtomicBool,
    #[cfg(any(test, feature = "testing"))]
    panic_next: AtomicBool,
}

impl Health {
    pub(super) fn check(&self) -> Result<(), LogError> {
        self.failure.get().cloned().map_or(Ok(()), Err)
    }

    /// The first failure is what counts.
    fn fail(&self, failure: LogError) -> LogError {
        self.failure.get_or_init(|| failure).clone()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn break_next_commit(&self) {
        self.break_next.store(true, Ordering::Relaxed);
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn panic_in_next_commit(&self) {
        self.panic_next.store(true, Ordering::Relaxed);
    }
}

pub(super) struct Writer {
    tables: Arc<Tables>,
    queue: Receiver<Job>,
    health: Arc<Health>,
    pace: Arc<Pace>,
    durability: PersistMode,
    next_id: u64,
    rooms: RecentRooms,
    /// Snapshots of which parts are still to be written.
    staging: VecDeque<Staging>,
    /// What is to be removed.
    sweeps: VecDeque<Sweep>,
}

/// A chore under way. It remembers how far it has come: what was removed lies in the way of whoever looks for it
/// again.
struct Sweep {
    chore: Chore,
    /// Keys before this one are gone.
    from: Vec<u8>,
}

impl Sweep {
    fn new(chore: Chore) -> Sweep {
        Sweep { chore, from: chore.first_key() }
    }
}

struct Staging {
    put: PutSnapshot,
    _weight: OwnedSemaphorePermit,
    id: u64,
    written: usize,
}

/// One commit in the making. The store takes no two values for one key in one commit: what may change
/// more than once is collected here first.
struct Commit {
    batch: OwnedWriteBatch,
    bytes: usize,
    records: BTreeMap<RoomName, Record>,
    /// Keys of the table `meta`; `None` removes.
    meta: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What nothing refers to once this is committed.
    discarded: Vec<Sweep>,
    answers: Vec<Answer>,
    runtime: Option<Handle>,
    weights: Vec<OwnedSemaphorePermit>,
}

enum Answer {
    Append(Reply<u64>, Result<u64, LogError>),
    Snapshot(Reply<()>, Result<(), LogError>),
    Delete(Reply<bool>, Result<bool, LogError>),
}

impl Answer {
    /// Tells the outcome of the commit. Whoever stopped listening does not mind.
    fn give(self, outcome: &Result<(), LogError>) {
        fn settle<T>(reply: Reply<T>, answer: Result<T, LogError>, outcome: &Result<(), LogError>) {
            let _ = reply.send(outcome.clone().and(answer));
        }
        match self {
            Answer::Append(reply, answer) => settle(reply, answer, outcome),
            Answer::Snapshot(reply, answer) => settle(reply, answer, outcome),
            Answer::Delete(reply, answer) => settle(reply, answer, outcome),
        }
    }
}

/// Tells everybody the outcome. From this thread each of them would be woken by a call to the system, and where there is
/// one processor each would run before the next is told: several are told by a task of the runtime that they wait in.
fn give_all(answers: Vec<Answer>, outcome: Result<(), LogError>, runtime: Option<Handle>) {
    let give = move |answers: Vec<Answer>| answers.into_iter().for_each(|answer| answer.give(&outcome));
    match runtime {
        Some(runtime) if answers.len() > 1 => {
            runtime.spawn(async move { give(answers) });
        }
        _ => give(answers),
    }
}

impl Writer {
    pub(super) fn new(
        tables: Arc<Tables>,
        queue: Receiver<Job>,
        health: Arc<Health>,
        pace: Arc<Pace>,
        options: &FileOptions,
    ) -> Result<Writer, LogError> {
        let sweeps = tables.chores()?.into_iter().map(Sweep::new).collect();
        let next_id = tables.next_id()?;
        // What it takes to read the batch again, size and blocks included; the time of the last change would be one more
        // write to the disk.
        let durability = if options.relaxed { PersistMode::Buffer } else { PersistMode::SyncData };
        Ok(Writer {
            tables,
            queue,
            health,
            pace,
            durability,
            next_id,
            rooms: RecentRooms::default(),
            staging: VecDeque::new(),
            sweeps,
        })
    }

    /// Works until nobody can send any more. If it panics, nobody would write any more: the store has failed.
    pub(super) fn run(self) {
        let health = self.health.clone();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work())) {
            let what = format!("the log's writer panicked: {}", panicked::message(&*panic));
            tracing::error!(what, "the store takes no more changes until it is reopened");
            health.fail(LogError::unavailable(what));
        }
    }

    fn work(mut self) {
        loop {
            let idle = self.staging.is_empty() && self.sweeps.is_empty();
            let first = if idle {
                match self.queue.recv() {
                    Ok(job) => Some(job),
                    Err(_) => return,
                }
            } else {
                match self.queue.try_recv() {
                    Ok(job) => Some(job),
                    Err(TryRecvError::Empty) => None,
                    // What is left to remove is noted in the store, and so are parts of a snapshot that nobody
                    // waits for any more: to store all of it would hold up the end of the process.
                    Err(TryRecvError::Disconnected) => return,
                }
            };
            if first.is_some()
                && let Some(while_they_come) = self.pace.stragglers()
            {
                thread::sleep(while_they_come);
            }
            self.commit_what_waits(first);
        }
    }

    fn commit_what_waits(&mut self, first: Option<Job>) {
        let mut commit = Commit {
            batch: self.tables.db.batch(),
            bytes: 0,
            records: BTreeMap::new(),
            meta: BTreeMap::new(),
            discarded: Vec::new(),
            answers: Vec::new(),
            runtime: None,
            weights: Vec::new(),
        };
        let mut next = first;
        let mut changes = 0;
        while let Some(job) = next {
            self.take(job, &mut commit);
            changes += 1;
            let more = commit.bytes < COMMIT_BYTES && changes < COMMIT_CHANGES;
            next = if more { self.queue.try_recv().ok() } else { None };
        }
        self.stage(&mut commit);
        self.sweep(&mut commit);

        for (room, record) in &commit.records {
            commit.batch.insert(&self.tables.rooms, room.as_str(), record.encode());
        }
        for (key, value) in commit.meta {
            match value {
                Some(value) => commit.batch.insert(&self.tables.meta, key, value),
                None => commit.batch.remove(&self.tables.meta, key),
            }
        }
        let outcome = self.commit(commit.batch);
        if outcome.is_ok() {
            self.sweeps.extend(commit.discarded);
        }
        give_all(commit.answers, outcome, commit.runtime);
        // Only now, so that what is being committed counts as waiting.
        drop(commit.weights);
    }

    fn commit(&mut self, batch: OwnedWriteBatch) -> Result<(), LogError> {
        if batch.is_empty() {
            return self.health.check();
        }
        #[cfg(any(test, feature = "testing"))]
        assert!(!self.health.panic_next.swap(false, Ordering::Relaxed), "as a test asked");
        let done = if self.health.break_next.swap(false, Ordering::Relaxed) {
            Err(fjall::Error::Io(io::Error::other("the disk refused (as a test asked)")))
        } else {
            // Also what nobody waits for: a power cut may tear only the last batch, or a start could not tell a torn
            // batch from damage.
            batch.durability(Some(self.durability)).commit()
        };
        done.map_err(|cause| {
            tracing::error!(%cause, "a commit failed: the store takes no more changes until it is reopened");
            // What is in the table of recent rooms may not be on the disk.
            self.rooms = RecentRooms::default();
            self.staging.clear();
            self.sweeps.clear();
            self.health.fail(LogError::unavailable(cause))
        })
    }

    fn take(&mut self, job: Job, commit: &mut Commit) {
        let Job { change, runtime, _weight: weight } = job;
        commit.runtime = Some(runtime);
        let open = self.health.check();
        match change {
            Change::Append { room, epoch, entries, reply } => {
                let answer = open.and_then(|()| self.append(&room, epoch, &entries, commit));
                commit.answers.push(Answer::Append(reply, answer));
                commit.weights.push(weight);
            }
            Change::Delete { room, reply } => {
                let answer = open.and_then(|()| self.delete(&room, commit));
                commit.answers.push(Answer::Delete(reply, answer));
                commit.weights.push(weight);
            }
            Change::Snapshot(put) => {
                // Looked at now to spare the work, and again when it is referred to.
                match open.and_then(|()| self.snapshot_allowed(&put)) {
                    Ok(_) => {
                        let id = self.new_id(commit);
                        // Until a record refers to them, the parts are something to remove.
                        commit.note(Chore::Chunks(id));
                        self.staging.push_back(Staging { put, _weight: weight, id, written: 0 });
                    }
                    Err(refused) => commit.answers.push(Answer::Snapshot(put.reply, Err(refused))),
                }
            }
        }
    }

    fn append(
        &mut self,
        room: &RoomName,
        epoch: Epoch,
        entries: &[Bytes],
        commit: &mut Commit,
    ) -> Result<u64, LogError> {
        let exists = match self.rooms.of(room, &self.tables)? {
            State::Alive { log, .. } if log.epoch == epoch => true,
            State::Alive { .. } => return Err(LogError::EpochChanged),
            State::Dead(last) if *last == epoch => return Err(LogError::EpochChanged),
            State::Dead(_) | State::Absent => false,
        };
        if !exists {
            if entries.is_empty() {
                return Ok(1);
            }
            let log = Alive { epoch, id: self.new_id(commit), floor: 0, snapshot: None };
            commit.record(room, Record::Alive(log.clone()));
            self.rooms.set(room, State::Alive { log, head: 0 });
        }
        let State::Alive { log, head } = self.rooms.of(room, &self.tables)? else {
            return Err(LogError::EpochChanged);
        };
        let first = *head + 1;
        for entry in entries {
            *head += 1;
            commit.batch.insert(&self.tables.entries, entry_key(log.id, *head), &entry[..]);
            commit.bytes += entry.len() + ENTRY_BYTES;
        }
        Ok(first)
    }

    fn delete(&mut self, room: &RoomName, commit: &mut Commit) -> Result<bool, LogError> {
        let State::Alive { log, .. } = self.rooms.of(room, &self.tables)? else { return Ok(false) };
        let log = log.clone();
        commit.record(room, Record::Dead(log.epoch));
        self.rooms.set(room, State::Dead(log.epoch));
        commit.discard(Sweep::new(Chore::Log(log.id)));
        if let Some(snapshot) = log.snapshot {
            commit.discard(Sweep::new(Chore::Chunks(snapshot.id)));
        }
        Ok(true)
    }

    /// Whether this snapshot may be put now: the log as it stands, and its head.
    fn snapshot_allowed(&mut self, put: &PutSnapshot) -> Result<(Alive, u64), LogError> {
        match self.rooms.of(&put.room, &self.tables)? {
            State::Alive { log, head } if log.epoch == put.epoch => {
                let present = log.snapshot.map_or(0, |stored| stored.seq);
                let seq = put.snapshot.seq;
                if present != put.replaces || seq < put.replaces || seq > *head {
                    return Err(LogError::Superseded);
                }
                Ok((log.clone(), *head))
            }
            State::Alive { .. } | State::Dead(_) | State::Absent => Err(LogError::EpochChanged),
        }
    }

    /// Writes the next part of the oldest snapshot on its way, or, when all are there, its record.
    fn stage(&mut self, commit: &mut Commit) {
        let Some(staging) = self.staging.front_mut() else { return };
        let update = &staging.put.snapshot.update;
        if staging.written < update.len() {
            let index = u32::try_from(staging.written / CHUNK_BYTES).unwrap_or(u32::MAX);
            let end = (staging.written + CHUNK_BYTES).min(update.len());
            let part = &update[staging.written..end];
            commit.batch.insert(&self.tables.chunks, chunk_key(staging.id, index), part);
            commit.bytes += part.len();
            staging.written = end;
            return;
        }
        let Some(Staging { put, _weight: weight, id, .. }) = self.staging.pop_front() else { return };
        let answer = self.refer_to(&put, id, commit);
        if answer.is_err() {
            commit.discard(Sweep::new(Chore::Chunks(id)));
        }
        commit.answers.push(Answer::Snapshot(put.reply, answer));
        commit.weights.push(weight);
    }

    fn refer_to(&mut self, put: &PutSnapshot, id: u64, commit: &mut Commit) -> Result<(), LogError> {
        let (old, head) = self.snapshot_allowed(put)?;
        let floor = put.floor.clamp(old.floor, put.snapshot.seq.max(old.floor));
        let snapshot = StoredSnapshot { seq: put.snapshot.seq, id, bytes: put.snapshot.update.len() as u64 };
        let log = Alive { floor, snapshot: Some(snapshot), ..old };
        commit.record(&put.room, Record::Alive(log.clone()));
        commit.meta.insert(Chore::Chunks(id).key(), None);
        if let Some(replaced) = old.snapshot {
            commit.discard(Sweep::new(Chore::Chunks(replaced.id)));
        }
        if floor > old.floor {
            let chore = Chore::Trim { log: log.id, floor };
            // Another sweep sees to what is below the old floor.
            commit.discard(Sweep { chore, from: entry_key(log.id, old.floor + 1).into() });
        }
        self.rooms.set(&put.room, State::Alive { log, head });
        Ok(())
    }

    /// Removes the next few keys that nothing refers to since an earlier commit; they are all in committed
    /// state by now, so a look into the store finds them.
    fn sweep(&mut self, commit: &mut Commit) {
        let Some(sweep) = self.sweeps.front_mut() else { return };
        let chore = sweep.chore;
        let table = match chore {
            Chore::Log(_) | Chore::Trim { .. } => &self.tables.entries,
            Chore::Chunks(_) => &self.tables.chunks,
        };
        let keys = table.range(sweep.from.clone()..=chore.last_key());
        match keys.take(SWEEP_KEYS).map(Guard::key).collect::<Result<Vec<_>, _>>() {
            Ok(keys) => {
                match keys.last() {
                    // A zero byte behind a key is the very next one in byte order.
                    Some(last) if keys.len() == SWEEP_KEYS => sweep.from = [last, &[0][..]].concat(),
                    _ => {
                        commit.meta.insert(chore.key(), None);
                        self.sweeps.pop_front();
                    }
                }
                for key in keys {
                    commit.batch.remove(table, key);
                }
            }
            Err(cause) => {
                // The note stays in the store, the next start tries again.
                tracing::warn!(?chore, cause = %failed(cause), "could not remove what is no longer used");
                self.sweeps.pop_front();
            }
        }
    }

    fn new_id(&mut self, commit: &mut Commit) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        commit.meta.insert(NEXT_ID_KEY.to_vec(), Some(self.next_id.to_be_bytes().to_vec()));
        id
    }
}

impl Commit {
    fn record(&mut self, room: &RoomName, record: Record) {
        self.records.insert(room.clone(), record);
        self.bytes += 128;
    }

    fn note(&mut self, chore: Chore) {
        self.meta.insert(chore.key(), Some(Vec::new()));
    }

    /// Notes, in this commit, what nothing refers to from it on.
    fn discard(&mut self, sweep: Sweep) {
        self.note(sweep.chore);
        self.discarded.push(sweep);
    }
}
