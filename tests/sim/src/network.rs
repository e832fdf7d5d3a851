//! Wires: connections with a latency, in order in each direction, until something cuts them or they fall silent.

use crate::{
    tab::Fact,
    wiretap::{Noticed, Wiretap},
    world::{Event, World},
};
use bytes::Bytes;
use hither_core::SocketId;
use hither_protocol::{
    frames::{ClientFrame, Joined, RelayFrame},
    scan::scan,
};

/// Bytes that vanish into a dead peer's direction before its kernel takes no more.
const KERNEL_BYTES: usize = 4_096;

/// One connection, or the attempt.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) tab: usize,
    pub(crate) life: u64,
    pub(crate) socket: SocketId,
    pub(crate) has_tab: bool,
    pub(crate) has_relay: bool,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    latency_ms: u64,
    /// Bytes per millisecond to the tab, if they are few.
    pub(crate) narrow: Option<u64>,
    /// Bytes that a narrow wire is busy with.
    writing: Option<usize>,
    swallowed: usize,
    pub(crate) tap: Wiretap,
    /// For a planted mistake.
    pub(crate) last_update: Option<Bytes>,
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// Nothing arrives any more.
    pub(crate) is_lost: bool,
    /// When the last message arrives.
    last: u64,
}

impl Wire {
    /// Nothing arrives any more, and nobody is told.
    pub(crate) fn fall_silent(&mut self) {
        self.up.is_lost = true;
        self.down.is_lost = true;
    }
}

impl World {
    pub(crate) fn connect(&mut self, tab: usize, socket: SocketId) {
        let life = self.tabs[tab].life;
        if self.tabs[tab].offline_until > self.now || self.node.is_none() {
            self.count("failed connection attempts");
            if !self.chance(4) {
                let delay = self.rng.u64(0..200);
                let fact = Fact::Disconnected(socket, None, "no route".into());
                self.after(delay, Event::Fact(tab, life, fact));
            }
            // Else nobody ever answers.
            return;
        }
        let id = self.number();
        let latency_ms = self.rng.u64(0..=self.options.latency_ms);
        let wire = Wire {
            tab,
            life,
            socket,
            has_tab: true,
            has_relay: false,
            up: Pipe::default(),
            down: Pipe::default(),
            latency_ms,
            narrow: None,
            writing: None,
            swallowed: 0,
            tap: Wiretap::new(),
            last_update: None,
        };
        self.wires.insert(id, wire);
        if let Some(session) = &mut self.tabs[tab].session {
            session.sockets.insert(socket, id);
        }
        self.after(latency_ms, Event::WireArrives(id));
    }

    pub(crate) fn wire_arrives(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let (tab, life, socket, latency_ms) = (wire.tab, wire.life, wire.socket, wire.latency_ms);
        match &mut self.node {
            Some(node) => {
                wire.has_relay = true;
                node.accept(id, self.now);
                self.after(latency_ms, Event::WireOpens(id));
            }
            None => {
                wire.has_tab = false;
                let fact = Fact::Disconnected(socket, None, "connection refused".into());
                self.after(latency_ms, Event::Fact(tab, life, fact));
            }
        }
    }

    pub(crate) fn wire_opens(&mut self, id: u64) {
        let Some(wire) = self.wires.get(&id) else { return };
        let (tab, life, socket) = (wire.tab, wire.life, wire.socket);
        if wire.has_tab && !wire.down.is_lost {
            self.count("connections");
            self.bring(tab, life, Fact::Connected(socket));
        }
    }

    /// When something sent now arrives; things keep their order.
    fn arrival(&mut self, id: u64, is_up: bool) -> u64 {
        let jitter = self.rng.u64(0..=self.options.latency_ms / 4);
        let Some(wire) = self.wires.get_mut(&id) else { return self.now };
        let at = self.now + wire.latency_ms + jitter;
        let pipe = if is_up { &mut wire.up } else { &mut wire.down };
        pipe.last = pipe.last.max(at);
        pipe.last
    }

    pub(crate) fn send(&mut self, tab: usize, socket: SocketId, message: Bytes) {
        let wire = self.tabs[tab].session.as_ref().and_then(|session| session.sockets.get(&socket).copied());
        if let Some(id) = wire {
            let at = self.arrival(id, true);
            self.at(at, Event::ToRelay(id, message));
        }
    }

    pub(crate) fn send_to_relay(&mut self, id: u64, message: Bytes) {
        let Some(wire) = self.wires.get(&id) else { return };
        if wire.up.is_lost || !wire.has_relay {
            self.count("messages lost");
            return;
        }
        let Some(message) = self.tamper_up(message) else { return };
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let frames = match wire.tap.hear_client(&message) {
            Ok(frames) => frames,
            Err(what) => return self.fail(format!("wire {id}: {what}")),
        };
        let tab = wire.tab;
        self.note(|| format!("tab {tab} → relay {}", frames.iter().map(show_client).collect::<String>()));
        let is_full = |frame: &ClientFrame| matches!(frame, ClientFrame::Push { update, .. } if update.len() > self.options.max_update * 3 / 4);
        if frames.iter().any(is_full) {
            self.count("pushes as large as the relay takes");
        }
        if let Some(node) = &mut self.node {
            node.handle_message(id, message, self.now);
        }
    }

    /// The tab forgets the socket.
    pub(crate) fn disconnect(&mut self, tab: usize, socket: SocketId) {
        let wire = self.tabs[tab].session.as_mut().and_then(|session| session.sockets.remove(&socket));
        if let Some(id) = wire {
            self.hang_up(id);
        }
    }

    /// The tab's end is gone; the relay hears of it unless the wire is silent.
    pub(crate) fn hang_up(&mut self, id: u64) {
        let at = self.arrival(id, true);
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.has_tab = false;
            self.at(at, Event::ToRelayClosed(id));
        }
    }

    pub(crate) fn close_to_relay(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id).filter(|wire| !wire.up.is_lost) else { return };
        wire.has_relay = false;
        if let Some(node) = &mut self.node {
            node.handle_gone(id, self.now);
        }
        self.forget_wire(id);
    }

    /// Writes what the relay has queued, as fast as the wire takes it.
    pub(crate) fn pump(&mut self, id: u64) {
        while let Some(wire) = self.wires.get_mut(&id) {
            if wire.writing.is_some()
                || !wire.has_relay
                || (wire.down.is_lost && wire.swallowed > KERNEL_BYTES)
            {
                return;
            }
            let Some(message) = self.node.as_mut().and_then(|node| node.take_message(id)) else {
                return;
            };
            let bytes = message.len();
            let (is_lost, narrow) = (wire.down.is_lost, wire.narrow);
            if is_lost {
                wire.swallowed += bytes;
            }
            self.relay_says(id, message);
            if let Some(rate) = narrow {
                if let Some(wire) = self.wires.get_mut(&id) {
                    wire.writing = Some(bytes);
                }
                self.count("messages through narrow wires");
                // It has left when all of it has.
                return self.after(1 + bytes as u64 / rate, Event::Pump(id));
            }
            if let Some(node) = &mut self.node {
                node.handle_written(id, bytes, self.now);
            }
        }
    }

    pub(crate) fn pump_again(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let written = wire.writing.take();
        if let (Some(bytes), Some(node)) = (written, &mut self.node) {
            node.handle_written(id, bytes, self.now);
        }
        self.pump(id);
    }

    fn relay_says(&mut self, id: u64, message: Bytes) {
        let Some(message) = self.tamper_down(id, message) else { return };
        let mut noticed = Noticed::default();
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let tab = wire.tab;
        match wire.tap.hear_relay(&message, &self.store, &mut noticed) {
            Ok(frames) => {
                self.note(|| {
                    format!("relay → tab {tab} {}", frames.iter().map(show_relay).collect::<String>())
                });
            }
            Err(what) => {
                let wire = self.wires.get(&id).map_or(0, |wire| wire.life);
                return self.fail(format!("to tab {tab} in its life {wire}: {what}"));
            }
        }
        noticed.0.into_iter().for_each(|what| self.count(what));
        let at = self.arrival(id, false);
        self.at(at, Event::ToTab(id, message));
    }

    pub(crate) fn send_to_tab(&mut self, id: u64, message: Bytes) {
        let Some(wire) = self.wires.get(&id) else { return };
        if wire.down.is_lost || !wire.has_tab {
            self.count("messages lost");
            return;
        }
        self.bring(wire.tab, wire.life, Fact::Message(wire.socket, message));
    }

    /// The relay's end is gone; the tab hears of it behind everything else.
    pub(crate) fn relay_hangs_up(&mut self, id: u64, code: Option<u16>, reason: String) {
        let at = self.arrival(id, false);
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.has_relay = false;
            self.at(at, Event::ToTabClosed(id, code, reason));
        }
    }

    pub(crate) fn close_to_tab(&mut self, id: u64, code: Option<u16>, reason: String) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        if wire.down.is_lost {
            return;
        }
        let (tab, life, socket, had_tab) = (wire.tab, wire.life, wire.socket, wire.has_tab);
        wire.has_tab = false;
        self.forget_wire(id);
        if had_tab {
            self.bring(tab, life, Fact::Disconnected(socket, code, reason));
        }
    }

    /// Cuts a wire: what is under way is lost, and both ends hear of it soon.
    pub(crate) fn cut(&mut self, id: u64) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.fall_silent();
        let (tab, life, socket) = (wire.tab, wire.life, wire.socket);
        let (had_tab, had_relay) = (wire.has_tab, wire.has_relay);
        self.wires.remove(&id);
        if had_relay && let Some(node) = &mut self.node {
            node.handle_gone(id, self.now);
        }
        if had_tab {
            let delay = self.rng.u64(0..=self.options.latency_ms);
            let fact = Fact::Disconnected(socket, None, "connection reset".into());
            self.after(delay, Event::Fact(tab, life, fact));
        }
    }

    fn forget_wire(&mut self, id: u64) {
        if self.wires.get(&id).is_some_and(|wire| !wire.has_tab && !wire.has_relay) {
            self.wires.remove(&id);
        }
    }

    /// Some living connection.
    pub(crate) fn some_wire(&mut self) -> Option<u64> {
        let living: Vec<u64> =
            self.wires.iter().filter(|(_, wire)| wire.has_tab && wire.has_relay).map(|(id, _)| *id).collect();
        (!living.is_empty()).then(|| living[self.rng.usize(0..living.len())])
    }
}

fn show_client(frame: &ClientFrame) -> String {
    match frame {
        ClientFrame::Push { channel, n, update } => {
            let held = scan(update).map(|scan| (scan.inserts, scan.deletes));
            format!("[Push {channel} n {n}, {} bytes {held:?}] ", update.len())
        }
        ClientFrame::Join { room, cursor, .. } => format!(
            "[Join {room} {}] ",
            match cursor {
                Some(cursor) => format!("at {} of {:.4}", cursor.seq, cursor.epoch.to_string()),
                None => "anew".to_owned(),
            }
        ),
        other => format!("[{other:?}] "),
    }
}

fn show_relay(frame: &RelayFrame) -> String {
    match frame {
        RelayFrame::Update { channel, seq, update } => {
            format!("[Update {channel} {seq}, {} bytes] ", update.len())
        }
        RelayFrame::Snapshot { channel, seq, update } => {
            format!("[Snapshot {channel} {seq}, {} bytes] ", update.len())
        }
        RelayFrame::Joined(Joined { room, channel, peer, epoch, head, mode, .. }) => {
            format!("[Joined {room} {channel} peer {peer} {:.4} head {head} {mode:?}] ", epoch.to_string())
        }
        other => format!("[{other:?}] "),
    }
}
