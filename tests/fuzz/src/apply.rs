//! Sequences of updates that the scanner accepted, as a log holds them, in the two places that decode: the CRDT of
//! compaction, and a client.

use crate::pieces;
use crate::scan::PATIENCE;
use bytes::Bytes;
use hither_core::storage::Stored;
use hither_core::time::Millis;
use hither_core::{Client, Config, OpenOptions, RoomId, SocketId, Wish};
use hither_protocol::VERSION;
use hither_protocol::contents::Contents;
use hither_protocol::frames::{Access, Joined, Mode, RelayFrame, Welcome};
use hither_protocol::ids::{Channel, Epoch, Peer, RoomName, Seq};
use hither_protocol::scan::{Scan, scan};
use std::time::Instant;
use yrs::updates::decoder::Decode;
use yrs::{Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update};

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
/// scanner refuses or that are not ready.
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
