//! Sequences of updates that the scanner accepted, as a log holds them, in the two places that decode: the CRDT of
//! compaction, and a client.

use crate::pieces;
use crate::scan::PATIENCE;
use bytes::Bytes;
use hither_core::edit::{Node, Op, Step};
use hither_core::storage::Stored;
use hither_core::time::Millis;
use hither_core::value::Value;
use hither_core::{Client, Config, OpenOptions, RoomId, SocketId, Wish};
use hither_protocol::VERSION;
use hither_protocol::contents::Contents;
use hither_protocol::frames::{Access, Joined, Mode, RelayFrame, Welcome};
use hither_protocol::ids::{Channel, Epoch, Peer, RoomName, Seq};
use hither_protocol::scan::{Scan, scan};
use std::time::Instant;
use yrs::updates::decoder::Decode;
use yrs::{Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update};

/// So many containers of one root are edited.
const CONTAINERS: usize = 12;

/// What the relay would hold of an input: accepted by the scanner, news, and ready when it came.
fn log(input: &[u8]) -> (Vec<(&[u8], Scan)>, Contents) {
    let (mut log, mut contents) = (Vec::new(), Contents::new());
    for update in pieces(input) {
        let Ok(scan) = scan(update) else { continue };
        if contents.is_ready_for(&scan) && !contents.adds_nothing(&scan) {
            contents.absorb(&scan);
            log.push((update, scan));
        }
    }
    (log, contents)
}

/// Updates that are ready are applied, in order, to one document; it is encoded and applied to another.
pub fn all(input: &[u8]) {
    let (log, contents) = log(input);
    let began = Instant::now();
    let doc = document();
    let mut refused = false;
    for (update, _) in &log {
        // An error is fine: whether a parent is a container is for the document to know.
        refused |= doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).is_err();
    }
    let state = doc.transact().encode_state_as_update_v1(&StateVector::default());
    assert!(began.elapsed() < PATIENCE, "{} bytes took {:?}", input.len(), began.elapsed());
    assert!(state.len() <= 64 * (input.len() + 64), "{} bytes became {}", input.len(), state.len());
    if refused {
        return;
    }
    let found = scan(&state).unwrap_or_else(|error| panic!("yrs writes what the scanner refuses: {error}"));
    assert_eq!(found.inserts, contents.inserts, "the document holds other ids than the log");
    let again = document();
    again.transact_mut().apply_update(Update::decode_v1(&state).unwrap()).unwrap();
    assert_eq!(again.transact().state_vector(), doc.transact().state_vector());
}

/// The same updates come to a client, from a relay that keeps its frames in order and nothing else: also those that the
/// scanner refuses or that are not ready. Then its application edits whatever it is shown.
pub fn client(input: &[u8]) {
    let began = Instant::now();
    let mut reader = Reader::joins();
    for (update, seq) in pieces(input).into_iter().zip(1..) {
        reader.hears(RelayFrame::Update {
            channel: CHANNEL,
            seq: Seq(seq),
            update: Bytes::copy_from_slice(update),
        });
        if reader.socket.is_none() {
            break;
        }
    }
    reader.edits();
    let state = reader.client.state(reader.room).unwrap().to_json();
    let exported = reader.client.export(reader.room).unwrap();
    scan(&exported)
        .unwrap_or_else(|error| panic!("a client exports what a scanner refuses: {error}; {state}"));
    assert!(began.elapsed() < PATIENCE, "{} bytes took {:?}", input.len(), began.elapsed());
}

fn document() -> Doc {
    Doc::with_options(Options {
        offset_kind: OffsetKind::Utf16,
        skip_gc: false,
        cleanup_formatting: false,
        ..Options::default()
    })
}

const CHANNEL: Channel = Channel(1);

/// A client of one room, connected and joined, whose disk is quick.
struct Reader {
    client: Client,
    room: RoomId,
    /// `None` when the client has hung up.
    socket: Option<SocketId>,
    now: Millis,
}

impl Reader {
    fn joins() -> Reader {
        let mut client = Client::new(Config { seed: 7, ..Config::default() });
        let room = client.open(Millis(0), "room", OpenOptions::default()).unwrap();
        let mut reader = Reader { client, room, socket: None, now: Millis(1) };
        reader.settles();
        let socket = reader.socket.unwrap();
        reader.client.handle_connected(reader.now, socket);
        reader.hears(RelayFrame::Welcome(Welcome {
            version: VERSION,
            ping_interval_ms: 15_000,
            max_update: 8 << 20,
            max_presence: 4 << 10,
            max_rooms: 100,
        }));
        reader.hears(RelayFrame::Joined(Joined {
            channel: CHANNEL,
            room: RoomName::new("room").unwrap(),
            peer: Peer(1),
            access: Access::ReadWrite,
            epoch: Epoch([1; 16]),
            head: Seq(0),
            mode: Mode::Resumed,
        }));
        reader
    }

    fn hears(&mut self, frame: RelayFrame) {
        let Some(socket) = self.socket else { return };
        let mut message = Vec::new();
        frame.encode(&mut message);
        self.now = Millis(self.now.0 + 300);
        self.client.handle_message(self.now, socket, message.into());
        self.client.handle_timeout(self.now);
        self.settles();
    }

    /// Changes something in everything that shows, then assigns and deletes all of it.
    fn edits(&mut self) {
        let Value::Map(state) = self.client.state(self.room).unwrap() else { return };
        for (name, value) in &state {
            let mut found = Vec::new();
            containers(vec![Step::Key(name)], value, &mut found);
            for (path, value) in found {
                let Some(node) = self.client.node(self.room, &path) else { continue };
                small_edits(node, value).into_iter().for_each(|op| self.changes(op));
            }
        }
        for (key, value) in state {
            self.changes(Op::MapSet { node: Node::ROOT, key: key.clone(), value: anew(&value) });
            self.changes(Op::MapDelete { node: Node::ROOT, key });
        }
    }

    /// A refusal is fine.
    fn changes(&mut self, op: Op) {
        self.now = Millis(self.now.0 + 300);
        let _ = self.client.change(self.now, self.room, &[op]);
        self.settles();
    }

    fn settles(&mut self) {
        while let Some(wish) = self.client.poll_wish() {
            match wish {
                Wish::Load { room, .. } => self.client.handle_loaded(self.now, room, Ok(Stored::default())),
                Wish::Store { batch, .. } => self.client.handle_stored(self.now, batch, Ok(())),
                Wish::Connect { socket } => self.socket = Some(socket),
                Wish::Disconnect { .. } => self.socket = None,
                Wish::Send { .. } | Wish::Event { .. } => {}
            }
        }
    }
}

/// What a page could edit below a value, some of it.
fn containers<'a>(path: Vec<Step<'a>>, value: &'a Value, found: &mut Vec<(Vec<Step<'a>>, &'a Value)>) {
    if found.len() == CONTAINERS || !value.is_container() {
        return;
    }
    found.push((path.clone(), value));
    let below = |step| path.iter().copied().chain([step]).collect();
    match value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                containers(below(Step::Index(index)), item, found);
            }
        }
        Value::Map(entries) => {
            for (key, entry) in entries {
                containers(below(Step::Key(key)), entry, found);
            }
        }
        _ => {}
    }
}

/// As a page makes them that shows this: inside, at the end, all but a bit.
fn small_edits(node: Node, shown: &Value) -> Vec<Op> {
    match shown {
        Value::Text(text) => {
            let length = text.encode_utf16().count() as u32;
            let first = text.chars().next().map_or(0, |first| first.len_utf16() as u32);
            let splice =
                |index, deleted, text: &str| Op::TextSplice { node, index, deleted, text: text.to_owned() };
            vec![splice(first, 0, "in"), splice(0, first, "first"), splice(first, length - first, "")]
        }
        Value::List(items) => {
            let length = items.len() as u32;
            let splice = |index, deleted, values| Op::ListSplice { node, index, deleted, values };
            let values = || vec![Value::Null, Value::List(vec!["new".into()])];
            vec![
                splice(length / 2, 0, values()),
                splice(length + 2, 0, values()),
                splice(length / 2, 1, Vec::new()),
                splice(1, length + 2, Vec::new()),
            ]
        }
        Value::Map(entries) => {
            let mut ops: Vec<Op> = entries
                .keys()
                .take(3)
                .map(|key| Op::MapSet { node, key: key.clone(), value: Value::Text("new".into()) })
                .collect();
            ops.extend(entries.keys().take(2).map(|key| Op::MapDelete { node, key: key.clone() }));
            ops
        }
        _ => Vec::new(),
    }
}

/// Another value of the same kind.
fn anew(value: &Value) -> Value {
    match value {
        Value::Map(_) => Value::Map([("new".to_owned(), Value::Null)].into()),
        Value::List(_) => Value::List(vec!["new".into()]),
        Value::Text(_) => Value::Text("new".into()),
        _ => "new".into(),
    }
}
