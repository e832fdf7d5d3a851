//! When a room is compacted, and the steps of it: read, compact, put, all through [`RoomLog`].
//!
//! One room at a time; a room that asks meanwhile waits its turn, and when too many wait it is told to ask
//! again. Nothing is locked: appends go on, and the snapshot is put only if nobody else put one meanwhile.
//!
//! A room in the middle of its work is due when its tail weighs as much as its snapshot (or more than a minimum).
//! So each entry is decoded once from the tail, and the rewriting of snapshots costs no more than that again: the
//! total work grows with the log and not with its square. A room that fell quiet is due much sooner, because then
//! everybody who joins until the next edit reads one merged update; how often a room falls quiet is bounded by
//! time. A room that is not due is looked at again when it should be, one that failed when its tail has doubled.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};
use tokio::sync::Semaphore;

use super::{CompactionError, CompactionLimits, process::Worker};
use crate::log::{Head, LogError, RoomLog, Snapshot};

/// Tails are read in pages of this size.
const PAGE_BYTES: usize = 1 << 20;
/// Rooms whose next look is remembered, in each of two halves. A forgotten one is looked at once too often.
const REMEMBERED_ROOMS: usize = 10_000;

/// When and how rooms are compacted.
#[derive(Debug, Clone)]
pub struct CompactionPolicy {
    /// A tail lighter than this is left alone. Default 64 KiB. Less makes more and smaller snapshots.
    pub min_weight: u64,
    /// The part of what would make a busy room due at which a quiet one is. Default 16: a pause after a hundred
    /// keystrokes, or after as many as weigh a sixteenth of the snapshot.
    pub quiet_share: u64,
    /// What an entry weighs besides its bytes. Default 64: reading and applying a keystroke costs more than
    /// its 24 bytes say.
    pub entry_weight: u64,
    /// Entries kept below the snapshot, so that a client that was away for a while gets what it missed
    /// instead of everything. Default 10,000. They are dropped sooner where they weigh more than the snapshot
    /// (at least 64 KiB): then everything is cheaper.
    pub retain_entries: u64,
    /// Rooms that may wait for their turn. Default 1,000.
    pub waiting_rooms: usize,
    /// What one run may take.
    pub limits: CompactionLimits,
    /// Where it happens. Default: on a thread.
    pub worker: Worker,
}

impl Default for CompactionPolicy {
    fn default() -> Self {
        CompactionPolicy {
            min_weight: 64 << 10,
            quiet_share: 16,
            entry_weight: 64,
            retain_entries: 10_000,
            waiting_rooms: 1_000,
            limits: CompactionLimits::default(),
            worker: Worker::Thread,
        }
    }
}

/// When a room asks to be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While it is being written.
    Busy,
    /// Nobody has written for a while.
    Quiet,
}

/// How a compaction ended.
#[derive(Debug)]
pub enum Outcome {
    /// There is a new snapshot.
    Done {
        /// Its seq.
        snapshot: u64,
        /// Entries up to here are gone.
        floor: u64,
    },
    /// Not worth it before the log has this head.
    NotDue {
        /// The head to ask again at.
        not_before: u64,
    },
    /// Too many rooms wait. Ask again later.
    Busy,
    /// The log was deleted, or somebody else compacted it. Read the head again.
    Overtaken,
    /// The store did not answer. Ask again later.
    Unavailable(LogError),
    /// There is no sound snapshot; the raw log goes on. Not tried again before the log has this head.
    Failed {
        /// Why.
        cause: CompactionError,
        /// The head to ask again at.
        not_before: u64,
    },
}

/// Compacts rooms, one at a time.
pub struct Compactor {
    log: Arc<dyn RoomLog>,
    policy: CompactionPolicy,
    turn: Semaphore,
    waiting: AtomicUsize,
    marks: Mutex<Marks>,
}

impl Compactor {
    /// A compactor of this log.
    pub fn new(log: Arc<dyn RoomLog>, policy: CompactionPolicy) -> Compactor {
        Compactor {
            log,
            policy,
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            marks: Mutex::default(),
        }
    }

    /// Compacts the room if that is worth it; cheap when it is known not to be. `known` is where its log stands
    /// as far as the caller knows. Dropping the future before it ends leaves the log as it is or compacted.
    pub async fn compact(&self, room: &RoomName, known: &Head, moment: Moment) -> Outcome {
        let mark = self.marks().of(room, known.epoch);
        if let Some(Mark { not_before, .. }) = mark.filter(|mark| mark.forbids(known.head, moment)) {
            return Outcome::NotDue { not_before };
        }
        let Some(_place) = Place::take(&self.waiting, self.policy.waiting_rooms) else {
            return Outcome::Busy;
        };
        let Ok(_turn) = self.turn.acquire().await else { return Outcome::Busy };
        let outcome = match self.attempt(room, moment).await {
            Ok(outcome) => outcome,
            Err(LogError::EpochChanged | LogError::Superseded | LogError::Trimmed { .. }) => {
                Outcome::Overtaken
            }
            Err(error) => Outcome::Unavailable(error),
        };
        match &outcome {
            Outcome::Done { .. } | Outcome::Overtaken => self.marks().forget(room),
            Outcome::NotDue { not_before } if moment == Moment::Busy => {
                self.marks().set(room, known.epoch, *not_before, false);
            }
            Outcome::Failed { cause, not_before } => {
                tracing::warn!(%room, %cause, not_before, "a room could not be compacted, its raw log goes on");
                self.marks().set(room, known.epoch, *not_before, true);
            }
            Outcome::NotDue { .. } | Outcome::Busy | Outcome::Unavailable(_) => {}
        }
        outcome
    }

    async fn attempt(&self, room: &RoomName, moment: Moment) -> Result<Outcome, LogError> {
        let Some(head) = self.log.head(room).await? else { return Ok(Outcome::Overtaken) };
        let double = head.snapshot + 2 * (head.head - head.snapshot).max(1);
        let snapshot = self.log.snapshot(room, head.epoch).await?;
        let size = snapshot.as_ref().map_or(0, |snapshot| snapshot.update.len());
        let Tail { entries, weight } = self.tail(room, &head, size).await?;
        let Some(&(last, _)) = entries.last() else {
            return Ok(if head.head > head.snapshot {
                let limit = self.policy.limits.input_bytes;
                Outcome::Failed {
                    cause: CompactionError::TooLarge { bytes: size, limit },
                    not_before: double,
                }
            } else {
                Outcome::NotDue { not_before: double }
            });
        };
        let due = match moment {
            Moment::Busy => self.policy.min_weight.max(size as u64),
            Moment::Quiet => self.policy.min_weight.max(size as u64) / self.policy.quiet_share.max(1),
        };
        if weight < due {
            // Where it is due if the next entries are like these. Larger ones may come: look again before long.
            let tail = last - head.snapshot;
            let more = (due * tail).div_ceil(weight.max(1)).clamp(1, 8 * tail);
            return Ok(Outcome::NotDue { not_before: head.snapshot + more });
        }

        let (limits, worker) = (self.policy.limits, self.policy.worker.clone());
        let (entries, compacted) = tokio::task::spawn_blocking(move || {
            let updates = entries.iter().map(|(_, update)| &update[..]);
            let compacted = worker.compact(snapshot.as_ref().map(|it| &it.update[..]), updates, &limits);
            (entries, compacted)
        })
        .await
        .map_err(LogError::unavailable)?;
        let update = match compacted {
            Ok(update) => Bytes::from(update),
            Err(cause) => return Ok(Outcome::Failed { cause, not_before: double }),
        };

        let floor = self.floor(&head, &entries, update.len());
        let snapshot = Snapshot { seq: last, update };
        self.log.put_snapshot(room, head.epoch, head.snapshot, snapshot, floor).await?;
        Ok(Outcome::Done { snapshot: last, floor })
    }

    /// The entries after the snapshot, as many as the limits allow together with it.
    async fn tail(&self, room: &RoomName, head: &Head, size: usize) -> Result<Tail, LogError> {
        let mut tail = Tail { entries: Vec::new(), weight: 0 };
        let mut bytes = size;
        let mut after = head.snapshot;
        while after < head.head {
            let page = self.log.read(room, head.epoch, after, PAGE_BYTES).await?;
            if page.entries.is_empty() {
                break;
            }
            for (seq, update) in page.entries {
                bytes = bytes.saturating_add(update.len());
                if bytes > self.policy.limits.input_bytes {
                    return Ok(tail);
                }
                after = seq;
                tail.weight += update.len() as u64 + self.policy.entry_weight;
                tail.entries.push((seq, update));
            }
        }
        Ok(tail)
    }

    /// Where to trim: see [`CompactionPolicy::retain_entries`].
    fn floor(&self, head: &Head, tail: &[(u64, Bytes)], snapshot_bytes: usize) -> u64 {
        let last = tail.last().map_or(head.snapshot, |(seq, _)| *seq);
        let floor = last.saturating_sub(self.policy.retain_entries).max(head.floor);
        let mut left = snapshot_bytes.max(64 << 10);
        for (seq, update) in tail.iter().rev() {
            if *seq <= floor {
                break;
            }
            match left.checked_sub(update.len()) {
                Some(less) => left = less,
                None => return *seq,
            }
        }
        floor
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, Marks> {
        // A panic between two inserts leaves a mark too many or too few: harmless.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Tail {
    entries: Vec<(u64, Bytes)>,
    weight: u64,
}

/// A place among those who wait, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Place<'a>> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(waiting);
        // One of them is not waiting, it is being compacted.
        (before <= most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The heads before which rooms need not be looked at, for the rooms asked about lately. A mark counts for
/// one life of the room only.
#[derive(Default)]
struct Marks {
    young: HashMap<RoomName, Mark>,
    old: HashMap<RoomName, Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    epoch: Epoch,
    not_before: u64,
    /// Not only too early.
    has_failed: bool,
}

impl Mark {
    /// Whether it is known that nothing comes of it.
    fn forbids(&self, head: u64, moment: Moment) -> bool {
        head < self.not_before && (self.has_failed || moment == Moment::Busy)
    }
}

impl Marks {
    fn of(&self, room: &RoomName, epoch: Epoch) -> Option<Mark> {
        let mark = self.young.get(room).or_else(|| self.old.get(room))?;
        Some(*mark).filter(|mark| mark.epoch == epoch)
    }

    fn set(&mut self, room: &RoomName, epoch: Epoch, not_before: u64, has_failed: bool) {
        if self.young.len() >= REMEMBERED_ROOMS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(room.clone(), Mark { epoch, not_before, has_failed });
    }

    fn forget(&mut self, room: &RoomName) {
        self.young.remove(room);
        self.old.remove(room);
    }
}
