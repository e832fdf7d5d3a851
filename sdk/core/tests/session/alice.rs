//! A client with its shell, and the words of a relay.

use bytes::Bytes;
use hither_core::edit::{Node, Op};
use hither_core::status::{Connection, Server};
use hither_core::storage::{RowKey, StorageError, StorageErrorKind, Stored, Write};
use hither_core::time::Millis;
use hither_core::value::Value;
use hither_core::{Client, Config, Event, OpenOptions, RoomId, SocketId, Wish};
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::{Access, ClientFrame, Joined, Mode, RelayFrame, Welcome};
use hither_protocol::ids::{Channel, Cursor, Epoch, Peer, RoomName, Seq};
use hither_protocol::limits::{MAX_CLIENT_FRAME_BYTES, MAX_UPDATE_BYTES};
use std::collections::{BTreeMap, VecDeque};

pub(crate) const EPOCH: Epoch = Epoch([7; 16]);
pub(crate) const CHANNEL: Channel = Channel(40);

/// A client with its shell: a disk that remembers, and lists of what it wished.
pub(crate) struct Alice {
    pub(crate) client: Client,
    pub(crate) now: Millis,
    pub(crate) room: RoomId,
    pub(crate) socket: Option<SocketId>,
    pub(crate) said: VecDeque<ClientFrame>,
    pub(crate) closed: Vec<u16>,
    pub(crate) connects: usize,
    pub(crate) events: Vec<Event>,
    pub(crate) disk: Disk,
    pub(crate) disk_fails: Option<StorageErrorKind>,
    /// What it was asked to write.
    pub(crate) batches: usize,
    pub(crate) deframer: Deframer,
}

#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) meta: Option<Vec<u8>>,
    pub(crate) updates: BTreeMap<RowKey, Vec<u8>>,
    pub(crate) outbox: BTreeMap<RowKey, Vec<u8>>,
}

impl Alice {
    pub(crate) fn opens(disk: Disk, seed: u64, initial: Option<Value>) -> Alice {
        Alice::begins(disk, seed, initial, None)
    }

    /// With a disk that answers like this from the start.
    pub(crate) fn begins(
        disk: Disk,
        seed: u64,
        initial: Option<Value>,
        disk_fails: Option<StorageErrorKind>,
    ) -> Alice {
        let client = Client::new(Config { seed, now: Millis(1_000), ..Config::default() });
        let mut alice = Alice {
            client,
            now: Millis(1_000),
            room: RoomId(0),
            socket: None,
            said: VecDeque::new(),
            closed: Vec::new(),
            connects: 0,
            events: Vec::new(),
            disk,
            disk_fails,
            batches: 0,
            deframer: Deframer::new(MAX_CLIENT_FRAME_BYTES),
        };
        let options = OpenOptions { initial, token: Vec::new() };
        alice.room = alice.client.open(alice.now, "board", options).unwrap();
        alice.settles();
        alice
    }

    pub(crate) fn new() -> Alice {
        Alice::opens(Disk::default(), 1, None)
    }

    /// Does what the core wishes until it wishes nothing.
    pub(crate) fn settles(&mut self) {
        while let Some(wish) = self.client.poll_wish() {
            match wish {
                Wish::Load { room, .. } => {
                    let stored = Stored {
                        meta: self.disk.meta.clone(),
                        updates: self.disk.updates.clone().into_iter().collect(),
                        outbox: self.disk.outbox.clone().into_iter().collect(),
                    };
                    let answer = match self.disk_fails {
                        Some(kind @ StorageErrorKind::Absent) => {
                            Err(StorageError { kind, cause: "none".into() })
                        }
                        _ => Ok(stored),
                    };
                    self.client.handle_loaded(self.now, room, answer);
                }
                Wish::Store { batch, writes } => {
                    self.batches += 1;
                    let result = if let Some(kind) = self.disk_fails {
                        Err(StorageError { kind, cause: "full".into() })
                    } else {
                        writes.into_iter().for_each(|write| self.disk.write(write));
                        Ok(())
                    };
                    self.client.handle_stored(self.now, batch, result);
                }
                Wish::Connect { socket } => {
                    self.connects += 1;
                    self.socket = Some(socket);
                }
                Wish::Send { message, .. } => {
                    for body in self.deframer.read(message) {
                        self.said.push_back(ClientFrame::decode(body.unwrap()).unwrap());
                    }
                }
                Wish::Disconnect { code, .. } => {
                    self.closed.push(code);
                    self.socket = None;
                }
                Wish::Event { event, .. } => self.events.push(event),
            }
        }
    }

    pub(crate) fn waits(&mut self, milliseconds: u64) {
        let until = self.now + milliseconds;
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            self.settles();
        }
        self.now = until;
    }

    pub(crate) fn hears(&mut self, frames: &[RelayFrame]) {
        let mut message = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut message));
        self.client.handle_message(self.now, self.socket.unwrap(), message.into());
        self.settles();
    }

    pub(crate) fn connects(&mut self) {
        self.client.handle_connected(self.now, self.socket.unwrap());
        self.settles();
        assert!(matches!(self.said.pop_front(), Some(ClientFrame::Hello { version: 1, .. })));
        // Behind it, in the same message, nothing but Joins: what else there is to say waits for their answers.
        assert!(self.said.iter().all(|frame| matches!(frame, ClientFrame::Join { .. })));
        self.hears(&[RelayFrame::Welcome(Welcome {
            version: 1,
            ping_interval_ms: 10_000,
            max_update: MAX_UPDATE_BYTES as u64,
            max_presence: 4_096,
            max_rooms: 1_000,
        })]);
    }

    /// Connects and joins an empty log.
    pub(crate) fn joins_empty(&mut self) {
        self.connects();
        assert_eq!(self.joins_with(), None);
        self.hears(&[joined(0, Mode::Resumed)]);
    }

    /// The cursor of the Join that was just said.
    pub(crate) fn joins_with(&mut self) -> Option<Cursor> {
        match self.said.pop_front() {
            Some(ClientFrame::Join { room, cursor, .. }) => {
                assert_eq!(room, RoomName::new("board").unwrap());
                cursor
            }
            other => panic!("expected a Join, got {other:?}"),
        }
    }

    pub(crate) fn loses_its_socket(&mut self) {
        let socket = self.socket.take().unwrap();
        self.client.handle_disconnected(self.now, socket, None, "");
        self.settles();
    }

    pub(crate) fn comes_back(&mut self) {
        self.waits(30_000);
        self.connects();
    }

    pub(crate) fn sets(&mut self, key: &str, value: f64) -> u64 {
        let op = Op::MapSet { node: Node::ROOT, key: key.into(), value: Value::Number(value) };
        let edit = self.client.change(self.now, self.room, &[op]).unwrap().edit;
        self.settles();
        edit
    }

    pub(crate) fn pushes(&mut self) -> Vec<(u64, Bytes)> {
        self.said
            .drain(..)
            .map(|frame| match frame {
                ClientFrame::Push { channel: CHANNEL, n, update } => (n, update),
                other => panic!("expected pushes, got {other:?}"),
            })
            .collect()
    }

    pub(crate) fn shows(&self) -> String {
        self.client.state(self.room).unwrap().to_json().to_string()
    }

    pub(crate) fn connection(&self) -> Connection {
        self.client.connection()
    }

    pub(crate) fn server(&self) -> Server {
        self.client.status(self.room).unwrap().server
    }

    pub(crate) fn acked(&self) -> u64 {
        self.client.edits(self.room).unwrap().acked
    }

    pub(crate) fn stored_cursor(&self) -> Option<Cursor> {
        let meta = self.disk.meta.as_ref()?;
        let epoch: [u8; 16] = meta.get(1..17)?.try_into().unwrap();
        let (seq, _) = hither_protocol::varint::peek(&meta[17..]).unwrap();
        Some(Cursor { epoch: Epoch(epoch), seq: Seq(seq) })
    }
}

impl Disk {
    pub(crate) fn write(&mut self, write: Write) {
        match write {
            Write::PutUpdates { key, pack, .. } => drop(self.updates.insert(key, pack)),
            Write::DeleteUpdates { key, .. } => drop(self.updates.remove(&key)),
            Write::PutOutbox { key, update, .. } => drop(self.outbox.insert(key, update)),
            Write::DeleteOutbox { key, .. } => drop(self.outbox.remove(&key)),
            Write::PutMeta { meta, .. } => self.meta = Some(meta),
        }
    }
}

pub(crate) fn joined(head: u64, mode: Mode) -> RelayFrame {
    joined_to(EPOCH, head, mode)
}

pub(crate) fn joined_to(epoch: Epoch, head: u64, mode: Mode) -> RelayFrame {
    let room = RoomName::new("board").unwrap();
    let access = Access::ReadWrite;
    let head = Seq(head);
    RelayFrame::Joined(Joined { room, channel: CHANNEL, peer: Peer(5), access, epoch, head, mode })
}

pub(crate) fn update(seq: u64, update: &Bytes) -> RelayFrame {
    RelayFrame::Update { channel: CHANNEL, seq: Seq(seq), update: update.clone() }
}

pub(crate) fn ack(n: u64, seq: u64) -> RelayFrame {
    RelayFrame::Ack { channel: CHANNEL, n, seq: Seq(seq) }
}

/// Updates as another client of the same room makes them.
pub(crate) fn bobs_updates(keys: &[&str]) -> Vec<Bytes> {
    updates_of(2, keys)
}

pub(crate) fn updates_of(seed: u64, keys: &[&str]) -> Vec<Bytes> {
    let mut bob = Alice::opens(Disk::default(), seed, None);
    bob.joins_empty();
    keys.iter()
        .map(|key| {
            bob.sets(key, 1.0);
            bob.pushes().remove(0).1
        })
        .collect()
}

pub(crate) fn text_room() -> Value {
    Value::Map(BTreeMap::from([("note".to_owned(), Value::Text(String::new()))]))
}
