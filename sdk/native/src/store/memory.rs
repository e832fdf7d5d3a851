//! Rooms in memory: for tests, load generators and programs whose relay is their only disk. "Saved here" then
//! means until the client is gone.

use super::Store;
use hither_core::storage::{RowKey, StorageError, Stored, Write};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
pub(crate) struct MemoryStore {
    rooms: Mutex<BTreeMap<String, Rows>>,
}

#[derive(Default, Clone)]
struct Rows {
    meta: Option<Vec<u8>>,
    updates: BTreeMap<RowKey, Vec<u8>>,
    outbox: BTreeMap<RowKey, Vec<u8>>,
}

impl Store for MemoryStore {
    fn load(&self, room: &str) -> Result<Stored, StorageError> {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rows) = rooms.get(room).cloned() else { return Ok(Stored::default()) };
        Ok(Stored {
            meta: rows.meta,
            updates: rows.updates.into_iter().collect(),
            outbox: rows.outbox.into_iter().collect(),
        })
    }

    fn write(&self, writes: &[Write]) -> Result<(), StorageError> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            match write {
                Write::PutUpdates { room, key, pack } => {
                    rows(&mut rooms, room).updates.insert(*key, pack.clone());
                }
                Write::DeleteUpdates { room, key } => {
                    rows(&mut rooms, room).updates.remove(key);
                }
                Write::PutOutbox { room, key, update } => {
                    rows(&mut rooms, room).outbox.insert(*key, update.clone());
                }
                Write::DeleteOutbox { room, key } => {
                    rows(&mut rooms, room).outbox.remove(key);
                }
                Write::PutMeta { room, meta } => rows(&mut rooms, room).meta = Some(meta.clone()),
            }
        }
        Ok(())
    }
}

fn rows<'a>(rooms: &'a mut BTreeMap<String, Rows>, room: &str) -> &'a mut Rows {
    rooms.entry(room.to_owned()).or_default()
}
