//! What breaks, and when.

use crate::{
    bug::Bug,
    disk::DiskRoom,
    options::Fault,
    world::{Event, World},
};
use hither_protocol::ids::Epoch;

impl Fault {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Fault::TabKilled => "fault: a tab is killed",
            Fault::DiskLost => "fault: a disk is lost",
            Fault::DiskFails => "fault: a disk fails",
            Fault::DiskSlow => "fault: a disk is slow",
            Fault::DiskFull => "fault: a disk is full",
            Fault::DiskTailLost => "fault: a disk loses what was written last",
            Fault::DiskTorn => "fault: a row of a disk is torn",
            Fault::DiskEvicted => "fault: a disk is emptied under living tabs",
            Fault::RelayKilled => "fault: the relay is killed",
            Fault::StoreFails => "fault: the store fails",
            Fault::StoreSlow => "fault: the store is slow",
            Fault::StoreFull => "fault: the store is full",
            Fault::StoreLost => "fault: the store is lost",
            Fault::StoreRestored => "fault: the store is restored",
            Fault::RoomDeleted => "fault: a room is deleted",
            Fault::Cut => "fault: a connection is cut",
            Fault::HalfOpen => "fault: a connection is half-open",
            Fault::Narrow => "fault: a connection is narrow",
            Fault::Offline => "fault: a device is offline",
            Fault::Partition => "fault: the network is parted",
            Fault::ClockJump => "fault: a clock jumps",
            Fault::Frozen => "fault: a tab is frozen",
        }
    }
}

impl World {
    /// Something breaks, and something will again.
    pub(crate) fn trouble(&mut self) {
        if !self.is_troubled() {
            return;
        }
        let pause = self.rng.u64(1..=self.options.fault_ms * 2);
        self.after(pause, Event::Trouble);
        if let Some(fault) = self.options.draw(&mut self.rng)
            && self.strike(fault)
        {
            self.note(|| fault.name().to_owned());
            self.count(fault.name());
        }
    }

    /// Whether it could happen.
    fn strike(&mut self, fault: Fault) -> bool {
        let tab = self.rng.usize(0..self.tabs.len());
        let disk = self.tabs[tab].disk;
        let until = self.now + self.rng.u64(200..8_000);
        match fault {
            Fault::TabKilled => return self.strike_tab(tab, 5_000),
            Fault::DiskLost => {
                self.strike_device(disk);
                self.disks[disk].lose();
                self.forget_kept(disk);
            }
            Fault::DiskTailLost => {
                self.strike_device(disk);
                let batches = self.rng.usize(1..=6);
                if !self.disks[disk].roll_back(batches) {
                    return false;
                }
                self.forget_kept(disk);
            }
            Fault::DiskTorn => {
                self.strike_device(disk);
                let choice = self.rng.usize(..);
                if !self.disks[disk].tear(choice) {
                    return false;
                }
                self.forget_kept(disk);
            }
            Fault::DiskEvicted => {
                self.disks[disk].lose();
                self.disks[disk].life += 1;
                self.forget_kept(disk);
            }
            Fault::DiskFull => self.disks[disk].full_until = until,
            Fault::DiskFails => self.disks[disk].fails_until = until,
            Fault::DiskSlow => self.disks[disk].slow_until = until,
            Fault::RelayKilled => return self.strike_relay(|_| {}),
            Fault::StoreFails => self.store.fails_until = self.now + self.rng.u64(100..3_000),
            Fault::StoreSlow => self.store.slow_until = until,
            Fault::StoreFull => self.store.full_until = until,
            Fault::StoreLost => return self.strike_relay(|world| world.store.lose()),
            Fault::StoreRestored => return self.strike_relay(World::restore),
            Fault::RoomDeleted => {
                let rooms = self.store.rooms();
                if rooms.is_empty() {
                    return false;
                }
                let room = rooms[self.rng.usize(0..rooms.len())].clone();
                self.note(|| format!("{room} is deleted"));
                self.store.delete(&room);
                if self.rng.bool() {
                    let delay = self.rng.u64(0..500);
                    self.after(delay, Event::StoreHint(room));
                }
            }
            Fault::Cut => match self.some_wire() {
                Some(wire) => self.cut(wire),
                None => return false,
            },
            Fault::HalfOpen => {
                let Some(wire) = self.some_wire() else { return false };
                let which = self.rng.u8(0..3);
                if let Some(wire) = self.wires.get_mut(&wire) {
                    wire.up.is_lost |= which != 0;
                    wire.down.is_lost |= which != 1;
                }
            }
            Fault::Narrow => {
                let Some(wire) = self.some_wire() else { return false };
                let rate = self.rng.u64(1..=20);
                if let Some(wire) = self.wires.get_mut(&wire) {
                    wire.narrow = Some(rate);
                }
            }
            Fault::Offline => {
                let is_silent = self.rng.bool();
                self.part(tab, until, is_silent);
            }
            Fault::Partition => {
                for tab in 0..self.tabs.len() {
                    if self.rng.bool() {
                        self.part(tab, until, true);
                    }
                }
            }
            Fault::ClockJump => {
                let jump = self.rng.i64(-3_600_000..3_600_000) / if self.rng.bool() { 1 } else { 1_000 };
                for tab in self.tabs.iter_mut().filter(|tab| tab.disk == disk) {
                    tab.clock += jump;
                }
            }
            Fault::Frozen => {
                if self.tabs[tab].session.is_none() || self.tabs[tab].frozen_until > self.now {
                    return false;
                }
                let most = if self.chance(4) { 60_000 } else { 6_000 };
                let until = self.now + self.rng.u64(500..=most);
                self.tabs[tab].frozen_until = until;
                self.at(until, Event::Thaw(tab));
            }
        }
        true
    }

    /// A tab has no way to the relay for a while.
    fn part(&mut self, tab: usize, until: u64, is_silent: bool) {
        self.tabs[tab].offline_until = until;
        let wires: Vec<u64> =
            self.wires.iter().filter(|(_, wire)| wire.tab == tab).map(|(id, _)| *id).collect();
        for id in wires {
            match self.wires.get_mut(&id) {
                Some(wire) if is_silent => {
                    wire.fall_silent();
                }
                _ => self.cut(id),
            }
        }
    }

    /// All tabs of a device die.
    fn strike_device(&mut self, disk: usize) {
        for tab in (0..self.tabs.len()).filter(|&tab| self.tabs[tab].disk == disk).collect::<Vec<_>>() {
            self.strike_tab(tab, 3_000);
        }
        self.disks[disk].asked.clear();
    }

    /// What a disk has lost is nobody's promise any more; what it still has is.
    fn forget_kept(&mut self, disk: usize) {
        let rooms = &self.disks[disk].rooms;
        for ((_, room), kept) in self.kept.iter_mut().filter(|((of, _), _)| *of == disk) {
            *kept = rooms.get(room).map(DiskRoom::contents).unwrap_or_default();
        }
    }

    fn strike_tab(&mut self, tab: usize, within_ms: u64) -> bool {
        if self.tabs[tab].session.is_none() {
            return false;
        }
        self.kill_tab(tab);
        let pause = self.rng.u64(0..within_ms);
        self.after(pause, Event::TabStarts(tab));
        true
    }

    fn strike_relay(&mut self, meanwhile: impl FnOnce(&mut World)) -> bool {
        if self.node.is_none() {
            return false;
        }
        self.kill_relay();
        meanwhile(self);
        let pause = self.rng.u64(20..4_000);
        self.after(pause, Event::RelayStarts);
        true
    }

    /// Some rooms come back as they were a while ago.
    fn restore(&mut self) {
        for room in self.store.rooms() {
            let head = self.store.head(&room).map_or(0, |head| head.head);
            let (keeps, mut epoch) = (self.rng.u64(0..=head), [0; 16]);
            epoch.fill_with(|| self.rng.u8(..));
            let mut epoch = Epoch(epoch);
            if self.options.has_bug(Bug::RestoredUnderTheSameEpoch) {
                epoch = self.store.head(&room).map_or(epoch, |head| head.epoch);
            }
            if keeps < head && keeps > 0 {
                self.note(|| format!("{room} is restored up to {keeps} of {head}"));
                self.store.restore(&room, keeps, epoch);
            }
        }
    }
}
