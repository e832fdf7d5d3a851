//! A log in memory, for tests, the simulator and rooms that need not survive.
//!
//! Clones share one content, so a test can crash a node and hand the same log to the next. All calls
//! answer at the first poll: a simulator may drive it without a runtime.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hither_protocol::ids::{Epoch, RoomName};

use super::{Head, LogError, LogFuture, Page, RoomLog, Snapshot};

/// [`RoomLog`] in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    rooms: Arc<Mutex<BTreeMap<RoomName, Life>>>,
}

/// What is known of a room.
#[derive(Debug)]
enum Life {
    Alive(Log),
    /// Deleted; the last epoch stays refused.
    Dead(Epoch),
}

#[derive(Debug)]
struct Log {
    epoch: Epoch,
    /// Entries `floor + 1 ..= head`.
    entries: VecDeque<Bytes>,
    floor: u64,
    snapshot: Option<Snapshot>,
}

impl Log {
    fn new(epoch: Epoch) -> Log {
        Log { epoch, entries: VecDeque::new(), floor: 0, snapshot: None }
    }

    fn head(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    fn snapshot_seq(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.seq)
    }
}

impl MemoryLog {
    /// An empty store.
    pub fn new() -> MemoryLog {
        MemoryLog::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoomName, Life>> {
        // Nothing below can panic halfway through a change, so a poisoned lock guards a sound map.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` on the room's log if it is of this epoch.
    fn with<T>(
        &self,
        room: &RoomName,
        epoch: Epoch,
        act: impl FnOnce(&mut Log) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        match self.lock().get_mut(room) {
            Some(Life::Alive(log)) if log.epoch == epoch => act(log),
            _ => Err(LogError::EpochChanged),
        }
    }
}

impl RoomLog for MemoryLog {
    fn head<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, Option<Head>> {
        Box::pin(async move {
            Ok(match self.lock().get(room) {
                Some(Life::Alive(log)) => Some(Head {
                    epoch: log.epoch,
                    head: log.head(),
                    floor: log.floor,
                    snapshot: log.snapshot_seq(),
                }),
                Some(Life::Dead(_)) | None => None,
            })
        })
    }

    fn append<'a>(&'a self, room: &'a RoomName, epoch: Epoch, entries: Vec<Bytes>) -> LogFuture<'a, u64> {
        Box::pin(async move {
            let mut rooms = self.lock();
            match rooms.get_mut(room) {
                Some(Life::Alive(log)) if log.epoch == epoch => {
                    let first = log.head() + 1;
                    log.entries.extend(entries);
                    Ok(first)
                }
                Some(Life::Alive(_)) => Err(LogError::EpochChanged),
                Some(Life::Dead(last)) if *last == epoch => Err(LogError::EpochChanged),
                Some(Life::Dead(_)) | None => {
                    if !entries.is_empty() {
                        let mut log = Log::new(epoch);
                        log.entries.extend(entries);
                        rooms.insert(room.clone(), Life::Alive(log));
                    }
                    Ok(1)
                }
            }
        })
    }

    fn read<'a>(
        &'a self,
        room: &'a RoomName,
        epoch: Epoch,
        after: u64,
        max_bytes: usize,
    ) -> LogFuture<'a, Page> {
        Box::pin(async move {
            self.with(room, epoch, |log| {
                if after < log.floor {
                    return Err(LogError::Trimmed { floor: log.floor });
                }
                let mut entries = Vec::new();
                let mut bytes = 0usize;
                let skip = usize::try_from(after - log.floor).unwrap_or(usize::MAX);
                for (entry, seq) in log.entries.iter().skip(skip).zip(after.saturating_add(1)..) {
                    bytes = bytes.saturating_add(entry.len());
                    if bytes > max_bytes && !entries.is_empty() {
                        break;
                    }
                    entries.push((seq, entry.clone()));
                }
                Ok(Page { entries })
            })
        })
    }

    fn snapshot<'a>(&'a self, room: &'a RoomName, epoch: Epoch) -> LogFuture<'a, Option<Snapshot>> {
        Box::pin(async move { self.with(room, epoch, |log| Ok(log.snapshot.clone())) })
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
            self.with(room, epoch, |log| {
                if log.snapshot_seq() != replaces || snapshot.seq < replaces || snapshot.seq > log.head() {
                    return Err(LogError::Superseded);
                }
                let floor = floor.clamp(log.floor, snapshot.seq.max(log.floor));
                let gone = usize::try_from(floor - log.floor).unwrap_or(usize::MAX);
                log.entries.drain(..gone.min(log.entries.len()));
                log.floor = floor;
                log.snapshot = Some(snapshot);
                Ok(())
            })
        })
    }

    fn delete<'a>(&'a self, room: &'a RoomName) -> LogFuture<'a, bool> {
        Box::pin(async move {
            let mut rooms = self.lock();
            let Some(Life::Alive(log)) = rooms.get(room) else { return Ok(false) };
            let epoch = log.epoch;
            rooms.insert(room.clone(), Life::Dead(epoch));
            Ok(true)
        })
    }

    fn rooms<'a>(&'a self, after: Option<&'a RoomName>, max: usize) -> LogFuture<'a, Vec<RoomName>> {
        Box::pin(async move {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            Ok(self
                .lock()
                .range::<RoomName, _>((start, Bound::Unbounded))
                .filter(|(_, life)| matches!(life, Life::Alive(_)))
                .take(max)
                .map(|(room, _)| room.clone())
                .collect())
        })
    }
}

#[cfg(test)]
mod tests {
    crate::room_log_contract!(async { (super::MemoryLog::new(), ()) });
}
