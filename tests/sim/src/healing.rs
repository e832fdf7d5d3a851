//! The second half of a run: nothing breaks any more, and within minutes everybody must agree on everything.

use crate::{
    disk::{Disk, unpack},
    network::Wire,
    node::Node,
    tab::Tab,
    workload::SEEDED,
    world::{Event, Stage, World},
};
use bytes::Bytes;
use hither_core::{
    presence::Presence,
    status::{Connection, Local, Server},
    value::Value,
};
use hither_protocol::contents::Contents;
use hither_protocol::ids::RoomName;
use hither_protocol::scan::{Scan, scan};

/// How long everybody may take to agree: half-open wires are given up within 25 s, backoff takes at most 30 s, a
/// disk that failed often is tried again within a minute, a frozen tab is thawed at once.
const PATIENCE_MS: u64 = 180_000;

/// How long it must stay quiet: everything that is gathered, throttled or linked to a moment of quiet has
/// happened then.
const QUIET_MS: u64 = 4_000;

/// How often to look.
const LOOK_MS: u64 = 250;

/// See [`World::stranded`]: updates and the disk whose outbox has them, if one has.
struct Stranded(Vec<(Option<usize>, Scan)>);

impl Stranded {
    /// How many are in the outbox of a disk.
    fn rows(&self, disk: usize) -> usize {
        self.0.iter().filter(|(of, _)| *of == Some(disk)).count()
    }

    fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        self.0.iter().for_each(|(_, scan)| contents.absorb(scan));
        contents
    }
}

impl World {
    pub(crate) fn heal(&mut self) {
        self.note(|| "---- everything heals".to_owned());
        self.stage = Stage::Healing { since: self.now };
        self.store.fails_until = 0;
        self.store.full_until = 0;
        self.store.slow_until = 0;
        for disk in &mut self.disks {
            disk.fails_until = 0;
            disk.full_until = 0;
            disk.slow_until = 0;
        }
        self.start_relay();
        for (_, room) in self.node.as_ref().map(Node::cells).unwrap_or_default() {
            self.hint(&room);
        }
        for wire in self.wires.values_mut() {
            wire.narrow = None;
        }
        for tab in 0..self.tabs.len() {
            self.tabs[tab].offline_until = 0;
            self.tabs[tab].frozen_until = 0;
            self.thaw(tab);
            self.start_tab(tab);
            let life = self.tabs[tab].life;
            self.reconnect(tab, life);
        }
        self.after(LOOK_MS, Event::Look);
    }

    pub(crate) fn look(&mut self) {
        for tab in 0..self.tabs.len() {
            self.open_everything(tab);
        }
        let since = match self.stage {
            Stage::Healing { since } | Stage::Newcomer { since } | Stage::Farewell { since } => since,
            Stage::Trouble | Stage::Done => return,
        };
        match self.unrest() {
            Some(why) => {
                self.quiet_since = None;
                if self.now > since + PATIENCE_MS {
                    return self.fail(format!("{:?} and still: {why}", self.stage));
                }
            }
            None => {
                let quiet = *self.quiet_since.get_or_insert(self.now);
                if self.now >= quiet + QUIET_MS {
                    self.quiet_since = None;
                    self.agree();
                    self.next_stage();
                }
            }
        }
        self.after(LOOK_MS, Event::Look);
    }

    fn open_everything(&mut self, tab: usize) {
        let is_leaving = matches!(self.stage, Stage::Farewell { .. }) && tab + 1 == self.tabs.len();
        if self.tabs[tab].session.is_some() && !is_leaving {
            for index in 0..self.options.rooms {
                self.open(tab, &World::room_name(index));
            }
        }
    }

    fn next_stage(&mut self) {
        let since = self.now;
        match self.stage {
            Stage::Healing { .. } => {
                self.note(|| "---- a newcomer".to_owned());
                self.stage = Stage::Newcomer { since };
                self.disks.push(Disk::default());
                self.tabs.push(Tab::new(self.disks.len() - 1));
                let newcomer = self.tabs.len() - 1;
                self.start_tab(newcomer);
                let rooms = self.tabs[newcomer].session.as_ref().map(|session| session.rooms.keys().copied());
                for room in rooms.into_iter().flatten().collect::<Vec<_>>() {
                    let state = Some("{\"newcomer\":true}".to_owned());
                    if let Some(session) = &mut self.tabs[newcomer].session
                        && let Some(open) = session.rooms.get_mut(&room)
                    {
                        open.own_presence = state.clone();
                    }
                    self.call(newcomer, |core, now| core.set_presence(now, room, state));
                }
                self.settle(newcomer);
            }
            Stage::Newcomer { .. } => {
                self.note(|| "---- it leaves".to_owned());
                self.stage = Stage::Farewell { since };
                let newcomer = self.tabs.len() - 1;
                let rooms = self.tabs[newcomer].session.as_ref().map(|session| session.rooms.keys().copied());
                for room in rooms.into_iter().flatten().collect::<Vec<_>>() {
                    self.close(newcomer, room);
                }
            }
            Stage::Farewell { .. } => self.stage = Stage::Done,
            Stage::Trouble | Stage::Done => {}
        }
    }

    /// What is still under way, if anything.
    fn unrest(&self) -> Option<String> {
        for (index, tab) in self.tabs.iter().enumerate() {
            let Some(session) = &tab.session else { return Some(format!("tab {index} is not running")) };
            if session.core.is_storing() {
                return Some(format!("tab {index} has rows for its disk"));
            }
            for (room, open) in &session.rooms {
                let Some(status) = session.core.status(*room) else { continue };
                let is_well = open.reader.is_some()
                    && status.connection == Connection::Online
                    && status.local == Local::Saved
                    && match status.server {
                        Server::Saved => true,
                        // What was on a disk that was emptied is in the tab's memory only, until it writes again.
                        Server::Pending { count, .. } => {
                            session.disk_life != self.disks[tab.disk].life
                                || count <= self.stranded(&open.name).rows(tab.disk) as u64
                        }
                        Server::Refused { .. } => false,
                    };
                if !is_well {
                    return Some(format!("tab {index} {}: {status:?}", open.name));
                }
                if open.status.as_ref() != Some(&status) {
                    return Some(format!(
                        "tab {index} {} was told {:?}, it is {status:?}",
                        open.name, open.status
                    ));
                }
            }
        }
        if let Some(disk) = self.disks.iter().position(|disk| !disk.asked.is_empty()) {
            return Some(format!("disk {disk} is at work"));
        }
        // A batch that failed often is tried again after a minute, and holds up what came later.
        for name in (0..self.options.rooms).map(World::room_name) {
            if let Err(what) = self.disks_have(&name) {
                return Some(what);
            }
        }
        if !self.store_tasks.is_empty() {
            return Some("the store is at work".to_owned());
        }
        let is_dead = |wire: &&Wire| wire.has_tab && (wire.up.is_lost || wire.down.is_lost);
        if let Some(wire) = self.wires.values().find(is_dead) {
            return Some(format!("tab {} has not missed its dead connection yet", wire.tab));
        }
        // A connection that fell silent takes its person along only after a while.
        (0..self.options.rooms).find_map(|index| self.ghost(&World::room_name(index)))
    }

    /// Somebody who sees others than there are.
    fn ghost(&self, name: &str) -> Option<String> {
        let there: Vec<(usize, Option<&String>, Option<&Presence>)> = self
            .tabs
            .iter()
            .enumerate()
            .filter_map(|(index, tab)| {
                let session = tab.session.as_ref()?;
                let room = session.room_of(name)?;
                let own = session.rooms.get(&room)?.own_presence.as_ref();
                Some((index, own, session.core.presence(room)))
            })
            .collect();
        for (index, _, seen) in &there {
            let mut seen: Vec<&String> = seen.iter().flat_map(|seen| seen.others.values()).collect();
            let mut others: Vec<&String> =
                there.iter().filter(|(other, ..)| other != index).filter_map(|(_, own, _)| *own).collect();
            seen.sort();
            others.sort();
            if seen != others {
                return Some(format!("tab {index} sees {seen:?} in {name}, there are {others:?}"));
            }
        }
        None
    }

    /// Whether every disk that has a room has all of it, and nothing left to do for it.
    fn disks_have(&self, name: &str) -> Result<(), String> {
        let log = RoomName::new(name).ok().and_then(|name| self.store.log(&name));
        let log = log.map(|log| log.written()).unwrap_or_default();
        for (index, disk) in self.disks.iter().enumerate() {
            let Some(room) = disk.rooms.get(name) else { continue };
            if !room.outbox.is_empty() && room.outbox.len() > self.stranded(name).rows(index) {
                return Err(format!("disk {index} still has {} rows in its outbox", room.outbox.len()));
            }
            if let Some(lacks) = room.lacks(&log) {
                return Err(format!("disk {index} lacks {lacks:?}"));
            }
        }
        Ok(())
    }

    /// What cannot be merged any more, because what it stands on is nowhere: on no disk and in no log.
    fn stranded(&self, name: &str) -> Stranded {
        let log = RoomName::new(name).ok().and_then(|name| self.store.log(&name));
        let mut reachable = log.map(|log| log.written()).unwrap_or_default();
        let rooms =
            self.disks.iter().enumerate().filter_map(|(index, disk)| Some((index, disk.rooms.get(name)?)));
        let mut left: Vec<(Option<usize>, Bytes)> = Vec::new();
        for (disk, room) in rooms {
            left.extend(room.outbox.values().map(|row| (Some(disk), Bytes::copy_from_slice(&row.bytes))));
            left.extend(
                room.updates.values().flat_map(|row| unpack(&row.bytes)).map(|update| (None, update)),
            );
        }
        let mut scans: Vec<(Option<usize>, Scan)> =
            left.iter().filter_map(|(disk, update)| Some((*disk, scan(update).ok()?))).collect();
        let mut before = usize::MAX;
        while scans.len() < before {
            before = scans.len();
            scans.retain(|(_, scan)| {
                let is_ready = reachable.is_ready_for(scan);
                if is_ready {
                    reachable.absorb(scan);
                }
                !is_ready
            });
        }
        Stranded(scans)
    }

    /// Everything is quiet: everybody must have everything, and nobody anything else.
    fn agree(&mut self) {
        for index in 0..self.options.rooms {
            let name = World::room_name(index);
            if let Err(what) = self.agree_on(&name) {
                self.fail(format!("{:?}, all is quiet, but {name}: {what}", self.stage));
            }
        }
        self.count("rooms agreed on");
    }

    fn agree_on(&mut self, name: &str) -> Result<(), String> {
        let room_name = RoomName::new(name).map_err(|error| error.to_string())?;
        let log = self.store.log(&room_name);
        let durable = log.map(|log| log.total()).unwrap_or_default();
        let log = log.map(|log| log.written()).unwrap_or_default();
        let stranded = self.stranded(name);
        let lost = stranded.contents();
        if !lost.is_empty() {
            self.count("rooms with edits that stand on what is lost");
        }
        let mut agreed: Option<Value> = None;
        for (index, tab) in self.tabs.iter_mut().enumerate() {
            let Some(session) = &mut tab.session else { continue };
            let Some(room) = session.room_of(name) else { continue };
            let contents = session.contents(room)?;
            let (more, less) = (contents.missing_from(&log), log.missing_from(&contents));
            if !lost.inserts.covers(&more.inserts) || !less.is_empty() {
                return Err(format!("tab {index} has {more:?} that the log lacks, and lacks {less:?}"));
            }
            // A deletion may be in no log and follow from it: what lies in something deleted is deleted with it.
            for ((disk, _), kept) in self.kept.iter().filter(|((_, room), _)| room == name) {
                let gone = kept.missing_from(&durable).missing_from(&contents);
                if !lost.covers(&gone) {
                    return Err(format!("disk {disk} had {gone:?}, which tab {index} has not, nor the log"));
                }
            }
            let state = session.core.state(room).ok_or("no state")?;
            match &agreed {
                None => agreed = Some(state),
                Some(agreed) if *agreed != state => {
                    return Err(format!("tab {index} has\n{state:?}\nand the first has\n{agreed:?}"));
                }
                Some(_) => {}
            }
        }
        if let Some(Value::Map(entries)) = &agreed
            && let Some(Value::List(seeded)) = entries.get(SEEDED)
            && seeded.len() > 2
        {
            return Err(format!("the initial content is there {} times", seeded.len() / 2));
        }
        self.disks_have(name)
    }
}
