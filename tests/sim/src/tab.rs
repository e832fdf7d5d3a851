//! A tab: the real client, its clock, and what its application has seen and was promised.

use crate::{disk::Asked, reader::Reader};
use bytes::Bytes;
use hither_core::{
    BatchId, Client, Hint, RoomId, SocketId,
    status::Status,
    storage::{StorageError, Stored},
    time::Millis,
};
use hither_protocol::{contents::Contents, scan::scan};
use std::collections::{BTreeMap, VecDeque};

/// A tab before, between and after its lives.
#[derive(Debug)]
pub(crate) struct Tab {
    pub(crate) disk: usize,
    /// What the wall clock of the device shows at the world's time 0, in milliseconds.
    pub(crate) clock: i64,
    /// Counts lives: what was meant for an earlier one is not delivered.
    pub(crate) life: u64,
    pub(crate) session: Option<Session>,
    pub(crate) frozen_until: u64,
    /// What came while it was frozen.
    pub(crate) inbox: VecDeque<Fact>,
    pub(crate) offline_until: u64,
}

/// What a tab hears from its platform.
#[derive(Debug)]
pub(crate) enum Fact {
    Connected(SocketId),
    Message(SocketId, Bytes),
    Disconnected(SocketId, Option<u16>, String),
    Loaded(RoomId, Result<Stored, StorageError>),
    Stored(BatchId, Result<(), StorageError>),
    Timer(u64),
    Hint(Hint),
}

/// One life.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) core: Client,
    /// The life of the disk that this one writes to.
    pub(crate) disk_life: u64,
    /// The disk has answered that it was emptied, and the tab has not heard it yet.
    pub(crate) is_eviction_unheard: bool,
    pub(crate) rooms: BTreeMap<RoomId, OpenRoom>,
    pub(crate) sockets: BTreeMap<SocketId, u64>,
    /// Counts timers: only the last one set rings.
    pub(crate) timer: u64,
    pub(crate) timer_at: Option<Millis>,
    /// Rings in a row at one moment.
    pub(crate) rings: (u64, u32),
}

/// A room as its application sees it.
#[derive(Debug)]
pub(crate) struct OpenRoom {
    pub(crate) name: String,
    /// There once the room is ready.
    pub(crate) reader: Option<Reader>,
    pub(crate) is_closing: bool,
    /// What each edit brought; `None` where the world cannot know it.
    pub(crate) edits: Vec<Option<Contents>>,
    /// Edits whose receipt for the disk was checked.
    pub(crate) saved: u64,
    /// Edits whose receipt from the relay was checked.
    pub(crate) acked: u64,
    pub(crate) status: Option<Status>,
    pub(crate) own_presence: Option<String>,
    /// What the document holds, if nothing happened since it was asked.
    pub(crate) contents: Option<Contents>,
}

impl Tab {
    /// A tab that has not lived yet.
    pub(crate) fn new(disk: usize) -> Tab {
        Tab {
            disk,
            clock: 1_700_000_000_000,
            life: 0,
            session: None,
            frozen_until: 0,
            inbox: VecDeque::new(),
            offline_until: 0,
        }
    }

    pub(crate) fn now(&self, world: u64) -> Millis {
        Millis((self.clock + world as i64) as u64)
    }

    pub(crate) fn asks(&self, index: usize, asked: &Asked) -> bool {
        asked.tab == index && asked.life == self.life
    }
}

impl Session {
    pub(crate) fn room_of(&self, name: &str) -> Option<RoomId> {
        self.rooms.iter().find(|(_, open)| open.name == name && !open.is_closing).map(|(id, _)| *id)
    }

    /// What a room's document holds now.
    pub(crate) fn contents(&mut self, room: RoomId) -> Result<Contents, String> {
        let Some(open) = self.rooms.get_mut(&room) else { return Ok(Contents::new()) };
        if let Some(contents) = &open.contents {
            return Ok(contents.clone());
        }
        let update = self.core.export(room).unwrap_or_else(|| vec![0, 0]);
        let scan =
            scan(&update).map_err(|error| format!("the export of {} does not scan: {error}", open.name))?;
        let contents = Contents::of(&scan);
        open.contents = Some(contents.clone());
        Ok(contents)
    }
}

impl OpenRoom {
    pub(crate) fn new(name: &str) -> OpenRoom {
        OpenRoom {
            name: name.to_owned(),
            reader: None,
            is_closing: false,
            edits: Vec::new(),
            saved: 0,
            acked: 0,
            status: None,
            own_presence: None,
            contents: None,
        }
    }

    /// Notes what edit number `edit` brought.
    pub(crate) fn note_edit(&mut self, edit: u64, contents: Contents) {
        let index = edit as usize - 1;
        if self.edits.len() <= index {
            self.edits.resize(index + 1, None);
        }
        self.edits[index] = Some(contents);
    }
}
