//! The world: everything there is, and a queue of what will happen, ordered by time and by who asked first.

use crate::{
    Counts, Options, Report,
    bug::Bug,
    disk::Disk,
    network::Wire,
    node::{Answer, Node},
    store::Store,
    tab::{Fact, Tab},
};
use bytes::Bytes;
use fastrand::Rng;
use hither_protocol::{
    contents::Contents,
    ids::{Epoch, RoomName},
};
use hither_relay::{log::Snapshot, room};
use std::collections::BTreeMap;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A tab's person does something.
    Work(usize),
    /// Something breaks.
    Trouble,
    /// The trouble is over.
    Heal,
    /// Is everything quiet?
    Look,
    /// A tab begins a life.
    TabStarts(usize),
    /// A frozen tab wakes, if nobody froze it again.
    Thaw(usize),
    /// The application connects again.
    Reconnect(usize, u64),
    /// A fact on its way to this life of a tab.
    Fact(usize, u64, Fact),
    /// The first errand in a disk's line is due.
    DiskWorks(usize, u64),
    /// A planted mistake: these come late.
    DiskLate(usize, Vec<hither_core::storage::Write>),
    /// A connection attempt reaches the relay.
    WireArrives(u64),
    /// A connection attempt succeeds.
    WireOpens(u64),
    ToRelay(u64, Bytes),
    ToRelayClosed(u64),
    ToTab(u64, Bytes),
    ToTabClosed(u64, Option<u16>, String),
    /// A narrow wire takes the next message.
    Pump(u64),
    RelayStarts,
    /// The relay's next timer, if it is still the next.
    RelayTimer(u64),
    /// What a store was asked becomes true.
    StoreWorks(u64),
    /// The store answers.
    StoreAnswers(u64),
    /// Somebody tells the node that a room's log changed.
    StoreHint(RoomName),
}

/// Something that the relay asked its store.
#[derive(Debug)]
pub(crate) struct StoreTask {
    pub(crate) generation: u64,
    pub(crate) cell: u64,
    pub(crate) room: RoomName,
    pub(crate) wish: room::Wish,
    pub(crate) staged: Option<(Epoch, u64, Snapshot)>,
    pub(crate) answer: Option<Answer>,
}

/// See the module.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Event>,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) wires: BTreeMap<u64, Wire>,
    pub(crate) node: Option<Node>,
    /// Counts lives of the relay.
    pub(crate) generation: u64,
    pub(crate) relay_timer: (u64, Option<u64>),
    pub(crate) store: Store,
    pub(crate) store_tasks: BTreeMap<u64, StoreTask>,
    /// How many entries rooms that were given up have appended late: as many may stand in the log twice.
    pub(crate) repeats: BTreeMap<RoomName, usize>,
    /// What disks said that they have; none of it may be missing in the end.
    pub(crate) kept: BTreeMap<(usize, String), Contents>,
    pub(crate) stage: Stage,
    pub(crate) quiet_since: Option<u64>,
    counts: Counts,
    events: u64,
    failure: Option<String>,
    trace: Vec<String>,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// People work and things break.
    Trouble,
    /// Nothing breaks any more; everybody comes to agree.
    Healing { since: u64 },
    /// Somebody who was never here comes in.
    Newcomer { since: u64 },
    /// It leaves again.
    Farewell { since: u64 },
    /// All is well.
    Done,
}

impl World {
    pub(crate) fn new(options: Options) -> World {
        let rng = Rng::with_seed(options.seed);
        let tabs = (0..options.tabs).map(|index| Tab::new(index % options.disks)).collect();
        let disks = (0..options.disks).map(|_| Disk::default()).collect();
        let mut world = World {
            rng,
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            tabs,
            disks,
            wires: BTreeMap::new(),
            node: None,
            generation: 0,
            relay_timer: (0, None),
            store: Store::default(),
            store_tasks: BTreeMap::new(),
            repeats: BTreeMap::new(),
            kept: BTreeMap::new(),
            stage: Stage::Trouble,
            quiet_since: None,
            counts: Counts::new(),
            events: 0,
            failure: None,
            trace: Vec::new(),
            options,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for tab in 0..self.tabs.len() {
            // Minutes apart: nobody's clock is right.
            self.tabs[tab].clock += self.rng.i64(-600_000..600_000);
            let at = self.rng.u64(0..2_000);
            self.at(at, Event::TabStarts(tab));
            self.at(at + 1, Event::Work(tab));
        }
        let relay = if self.rng.u8(0..4) == 0 { self.rng.u64(0..5_000) } else { 0 };
        self.at(relay, Event::RelayStarts);
        let first = self.rng.u64(0..=self.options.fault_ms * 2);
        self.at(first, Event::Trouble);
        self.at(self.options.trouble_ms, Event::Heal);
    }

    /// Lets everything happen; what went wrong, if anything did.
    pub(crate) fn run(&mut self) -> Option<String> {
        while self.failure.is_none() && self.stage != Stage::Done {
            let Some(((at, _), event)) = self.queue.pop_first() else {
                self.fail("nothing will ever happen again");
                break;
            };
            self.now = at;
            self.events += 1;
            if self.events > 2_000_000 {
                self.fail("more events than any run needs: something runs in circles");
            }
            self.happen(event);
            self.look_after_relay();
        }
        self.failure.take()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Work(tab) => self.work(tab),
            Event::Trouble => self.trouble(),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
            Event::TabStarts(tab) => self.start_tab(tab),
            Event::Thaw(tab) => self.thaw(tab),
            Event::Reconnect(tab, life) => self.reconnect(tab, life),
            Event::Fact(tab, life, fact) => self.bring(tab, life, fact),
            Event::DiskWorks(disk, id) => self.disk_works(disk, id),
            Event::DiskLate(disk, writes) => {
                writes.iter().for_each(|write| self.disks[disk].write(write));
            }
            Event::WireArrives(wire) => self.wire_arrives(wire),
            Event::WireOpens(wire) => self.wire_opens(wire),
            Event::ToRelay(wire, message) => self.send_to_relay(wire, message),
            Event::ToRelayClosed(wire) => self.close_to_relay(wire),
            Event::ToTab(wire, message) => self.send_to_tab(wire, message),
            Event::ToTabClosed(wire, code, reason) => self.close_to_tab(wire, code, reason),
            Event::Pump(wire) => self.pump_again(wire),
            Event::RelayStarts => self.start_relay(),
            Event::RelayTimer(number) => self.relay_timer_rings(number),
            Event::StoreWorks(task) => self.store_works(task),
            Event::StoreAnswers(task) => self.store_answers(task),
            Event::StoreHint(room) => self.hint(&room),
        }
    }

    // ---- for everybody

    /// Lets something happen at a time.
    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), event);
    }

    /// Lets something happen in a while.
    pub(crate) fn after(&mut self, ms: u64, event: Event) {
        self.at(self.now + ms, event);
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// One time in `times`.
    pub(crate) fn chance(&mut self, times: u32) -> bool {
        self.rng.u32(0..times) == 0
    }

    /// Whether to make a planted mistake now: one time in `times`, in runs that have it.
    pub(crate) fn errs(&mut self, bug: Bug, times: u32) -> bool {
        self.options.has_bug(bug) && self.rng.u32(0..times) == 0
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.stage == Stage::Trouble
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        self.count_many(what, 1);
    }

    pub(crate) fn count_many(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    /// A promise is broken. The first one counts.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failure.get_or_insert(what.into());
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.options.is_traced {
            let line = format!("{:>7} {}", self.now, what());
            self.trace.push(line);
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    pub(crate) fn report(&self) -> Report {
        Report { counts: self.counts.clone(), ended_at: self.now, events: self.events }
    }

    pub(crate) fn room_name(index: usize) -> String {
        format!("room-{index}")
    }
}
