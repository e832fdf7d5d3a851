//! The rooms written to lately, so that an append needs no look into the store; no more than so many.

use std::collections::HashMap;

use hither_protocol::ids::{Epoch, RoomName};

use super::{
    layout::{Alive, Record},
    tables::Tables,
};
use crate::log::LogError;

/// Rooms in each half of the table: 2 × 4,096 × about 200 bytes is 1.6 MB.
pub(super) const RECENT_ROOMS: usize = 4096;

/// What the writer knows of a room, this commit's changes included.
pub(super) enum State {
    Absent,
    Dead(Epoch),
    Alive { log: Alive, head: u64 },
}

/// See the module. Two halves: when the young one is full it becomes the old one, and the old one is forgotten. A room in
/// use moves back to the young half.
#[derive(Default)]
pub(super) struct RecentRooms {
    young: HashMap<RoomName, State>,
    old: HashMap<RoomName, State>,
}

impl RecentRooms {
    pub(super) fn of(&mut self, room: &RoomName, tables: &Tables) -> Result<&mut State, LogError> {
        if !self.young.contains_key(room) {
            let state = match self.old.remove(room) {
                Some(state) => state,
                None => load(room, tables)?,
            };
            self.make_room();
            self.young.insert(room.clone(), state);
        }
        self.young.get_mut(room).ok_or(LogError::EpochChanged)
    }

    pub(super) fn set(&mut self, room: &RoomName, state: State) {
        self.old.remove(room);
        self.make_room();
        self.young.insert(room.clone(), state);
    }

    fn make_room(&mut self) {
        if self.young.len() >= RECENT_ROOMS {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

fn load(room: &RoomName, tables: &Tables) -> Result<State, LogError> {
    let view = tables.db.snapshot();
    Ok(match tables.record(&view, room)? {
        None => State::Absent,
        Some(Record::Dead(epoch)) => State::Dead(epoch),
        Some(Record::Alive(log)) => {
            let head = tables.last_seq(&view, &log)?;
            State::Alive { log, head }
        }
    })
}
