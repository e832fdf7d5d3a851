//! The platform of a tab: it does what the core wishes, brings it facts, and is the application that believes what
//! it is told. Receipts, patches and rows are checked here.

use crate::{
    bug::Bug,
    disk::{Asked, DiskRoom, Errand},
    reader::Reader,
    tab::{Fact, OpenRoom, Session},
    workload,
    world::{Event, World},
};
use hither_core::{
    Change, ChangeError, Client, Config, Event as Told, Hint, OpenOptions, RoomId, Wish,
    status::{Local, Server, Status},
    storage::{StorageError, StorageErrorKind, Stored, Write},
    time::Millis,
};
use hither_protocol::{contents::Contents, ids::RoomName, scan::scan};
use std::collections::{BTreeMap, BTreeSet};

impl World {
    // ---- lives

    pub(crate) fn start_tab(&mut self, tab: usize) {
        if self.tabs[tab].session.is_some() {
            return;
        }
        let fresh = self.rng.u64(..);
        let seed = if self.options.has_bug(Bug::ReusedWriter) { tab as u64 } else { fresh };
        let now = self.tabs[tab].now(self.now);
        let core = Client::new(Config { seed, now, ..Config::default() });
        self.tabs[tab].session = Some(Session {
            core,
            disk_life: self.disks[self.tabs[tab].disk].life,
            is_eviction_unheard: false,
            rooms: BTreeMap::new(),
            sockets: BTreeMap::new(),
            timer: 0,
            timer_at: None,
            rings: (0, 0),
        });
        self.count("tabs started");
        self.note(|| format!("tab {tab} starts"));
        self.settle(tab);
        let rooms = self.options.rooms;
        for index in 0..rooms {
            if !self.is_troubled() || rooms == 1 || self.rng.u8(0..3) > 0 {
                self.open(tab, &World::room_name(index));
            }
        }
    }

    /// The process dies: memory is gone, what the disk was doing is done or not.
    pub(crate) fn kill_tab(&mut self, tab: usize) {
        let Some(session) = self.tabs[tab].session.take() else { return };
        self.count("tabs killed");
        self.note(|| format!("tab {tab} is killed"));
        let disk = self.tabs[tab].disk;
        let asked = std::mem::take(&mut self.disks[disk].asked);
        // What was meant for a disk that was emptied since comes nowhere.
        let mut goes_on = session.disk_life == self.disks[disk].life;
        for asked in asked {
            if !self.tabs[tab].asks(tab, &asked) {
                self.disks[disk].asked.push_back(asked);
                continue;
            }
            let Errand::Store { writes, .. } = asked.errand else { continue };
            goes_on &= self.rng.bool();
            if goes_on {
                self.count("batches written and never answered");
                self.write(disk, &writes);
            } else {
                self.count("batches lost in a crash");
                if self.options.has_bug(Bug::TornBatch) {
                    let half: Vec<Write> = writes.iter().rev().take(writes.len() / 2).cloned().collect();
                    self.write(disk, &half);
                }
            }
        }
        for wire in session.sockets.into_values() {
            if self.chance(4) {
                // The device lost its power: nobody says goodbye.
                if let Some(wire) = self.wires.get_mut(&wire) {
                    wire.fall_silent();
                }
            }
            self.hang_up(wire);
        }
        let tab = &mut self.tabs[tab];
        tab.life += 1;
        tab.inbox.clear();
        tab.frozen_until = 0;
    }

    pub(crate) fn open(&mut self, tab: usize, name: &str) {
        let Some(session) = &self.tabs[tab].session else { return };
        if session.room_of(name).is_some() {
            return;
        }
        let is_seeded = (0..self.options.seeded_rooms).any(|index| World::room_name(index) == name);
        let initial = is_seeded.then(|| workload::initial(name));
        let options = OpenOptions { initial, ..OpenOptions::default() };
        let opened = self.call(tab, |core, now| core.open(now, name, options));
        match opened {
            Some(Ok(room)) => {
                self.note(|| format!("tab {tab} opens {name}"));
                self.count("rooms opened");
                if let Some(session) = &mut self.tabs[tab].session {
                    session.rooms.insert(room, OpenRoom::new(name));
                }
            }
            Some(Err(error)) => self.fail(format!("tab {tab} cannot open {name}: {error}")),
            None => {}
        }
        self.settle(tab);
    }

    pub(crate) fn close(&mut self, tab: usize, room: RoomId) {
        if let Some(open) = self.tabs[tab].session.as_mut().and_then(|session| session.rooms.get_mut(&room)) {
            open.is_closing = true;
            self.count("rooms closed");
            self.note(|| format!("tab {tab} closes {room:?}"));
            self.call(tab, |core, now| core.close(now, room));
            self.settle(tab);
        }
    }

    pub(crate) fn thaw(&mut self, tab: usize) {
        if self.tabs[tab].frozen_until > self.now {
            return;
        }
        while let Some(fact) = self.tabs[tab].inbox.pop_front() {
            self.hear(tab, fact);
        }
    }

    pub(crate) fn reconnect(&mut self, tab: usize, life: u64) {
        if self.tabs[tab].life == life {
            self.call(tab, |core, now| core.set_connect(now, true));
            self.settle(tab);
        }
    }

    // ---- people

    /// A person does something, and will again.
    pub(crate) fn work(&mut self, tab: usize) {
        if !self.is_troubled() {
            return;
        }
        let pause = self.rng.u64(1..=self.options.work_ms * 2);
        self.after(pause, Event::Work(tab));
        if self.tabs[tab].frozen_until > self.now {
            return;
        }
        let Some(session) = &self.tabs[tab].session else { return };
        let ready: Vec<(RoomId, String)> = session
            .rooms
            .iter()
            .filter(|(_, open)| open.reader.is_some() && !open.is_closing)
            .map(|(id, open)| (*id, open.name.clone()))
            .collect();
        let choice = self.rng.u8(0..100);
        if choice >= 96 {
            let hint = [Hint::Online, Hint::Offline, Hint::Visible, Hint::Hidden][self.rng.usize(0..4)];
            self.count("hints");
            self.hear(tab, Fact::Hint(hint));
            return;
        }
        if ready.is_empty() || choice >= 88 {
            let name = World::room_name(self.rng.usize(0..self.options.rooms));
            return self.open(tab, &name);
        }
        let (room, name) = ready[self.rng.usize(0..ready.len())].clone();
        match choice {
            0..70 => self.edit(tab, room),
            70..78 => self.show_presence(tab, room),
            78..81 => self.import(tab, room, &name),
            81..84 => {
                self.count("disconnects by the application");
                self.call(tab, |core, now| core.set_connect(now, false));
                self.settle(tab);
                let (pause, life) = (self.rng.u64(0..5_000), self.tabs[tab].life);
                self.after(pause, Event::Reconnect(tab, life));
            }
            _ => {
                self.close(tab, room);
                if self.rng.bool() {
                    self.open(tab, &name);
                }
            }
        }
    }

    fn edit(&mut self, tab: usize, room: RoomId) {
        self.call(tab, |core, now| core.plant(now, room));
        self.settle(tab);
        let rng = &mut self.rng;
        let Some(session) = &mut self.tabs[tab].session else { return };
        let Some(state) = session.core.state(room) else { return };
        let mut author = workload::Author { rng, has_long_texts: self.options.has_long_texts };
        let ops = workload::edit(&mut author, &state, |path| session.core.node(room, path));
        self.note(|| format!("tab {tab} edits {room:?}: {} ops {:.200}", ops.len(), format!("{ops:?}")));
        self.change(tab, room, None, |core, now| core.change(now, room, &ops));
    }

    fn import(&mut self, tab: usize, room: RoomId, name: &str) {
        // Somebody's whole document: by mail, so to speak.
        let other = self.rng.usize(0..self.tabs.len());
        let known =
            self.tabs[other].session.as_ref().and_then(|session| session.core.export(session.room_of(name)?));
        let update = match known.filter(|_| self.rng.bool()) {
            Some(known) => known,
            None => {
                let has_long_texts = self.options.has_long_texts;
                workload::foreign(&mut workload::Author { rng: &mut self.rng, has_long_texts })
            }
        };
        self.count("imports");
        let contents = scan(&update).map(|scan| Contents::of(&scan)).ok();
        self.change(tab, room, contents, |core, now| core.import(now, room, &update));
    }

    /// Makes an edit and finds out what it brought.
    fn change(
        &mut self,
        tab: usize,
        room: RoomId,
        brought: Option<Contents>,
        act: impl FnOnce(&mut Client, Millis) -> Result<Change, ChangeError>,
    ) {
        let Some(session) = &mut self.tabs[tab].session else { return };
        let before = session.contents(room);
        let made_before = session.core.edits(room).map_or(0, |edits| edits.made);
        let change = match self.call(tab, act) {
            Some(Ok(change)) => change,
            Some(Err(error)) => return self.fail(format!("tab {tab}: an edit was refused: {error}")),
            None => return,
        };
        let Some(session) = &mut self.tabs[tab].session else { return };
        let Some(open) = session.rooms.get_mut(&room) else { return };
        // The application has the patch before anything else is told.
        let applied = open.reader.as_mut().map_or(Ok(()), |reader| reader.apply(&change.patch));
        open.contents = None;
        let contents = match (applied, before, session.contents(room)) {
            (Err(what), ..) => return self.fail(format!("tab {tab}: the patch of its own edit: {what}")),
            (_, Ok(before), Ok(after)) => brought.unwrap_or_else(|| after.missing_from(&before)),
            (_, Err(what), _) | (_, _, Err(what)) => return self.fail(what),
        };
        let made = session.core.edits(room).map_or(0, |edits| edits.made);
        if change.edit > 0 {
            if change.edit != made || made == made_before {
                self.fail(format!("edit {} where {made} edits were made", change.edit));
            } else if let Some(open) = session.rooms.get_mut(&room) {
                open.note_edit(change.edit, contents);
                self.count("edits");
            }
        }
        self.settle(tab);
        self.compare(tab, room);
    }

    fn show_presence(&mut self, tab: usize, room: RoomId) {
        let state =
            if self.chance(4) { None } else { Some(format!("{{\"tab\":{tab},\"at\":{}}}", self.number())) };
        if let Some(open) = self.tabs[tab].session.as_mut().and_then(|session| session.rooms.get_mut(&room)) {
            open.own_presence = state.clone();
            self.count("presence changes");
            let set = self.call(tab, |core, now| core.set_presence(now, room, state));
            if let Some(Err(error)) = set {
                self.fail(format!("presence was refused: {error}"));
            }
            self.settle(tab);
        }
    }

    // ---- facts

    /// A fact on its way to a tab: it waits if the tab is frozen.
    pub(crate) fn bring(&mut self, tab: usize, life: u64, fact: Fact) {
        if self.tabs[tab].life != life || self.tabs[tab].session.is_none() {
            return;
        }
        if self.tabs[tab].frozen_until > self.now || !self.tabs[tab].inbox.is_empty() {
            self.tabs[tab].inbox.push_back(fact);
        } else {
            self.hear(tab, fact);
        }
    }

    fn hear(&mut self, tab: usize, fact: Fact) {
        let world = self.now;
        let now = self.tabs[tab].now(world);
        let Some(session) = &mut self.tabs[tab].session else { return };
        let core = &mut session.core;
        match fact {
            Fact::Connected(socket) => core.handle_connected(now, socket),
            Fact::Message(socket, message) => {
                session.rooms.values_mut().for_each(|open| open.contents = None);
                core.handle_message(now, socket, message);
            }
            Fact::Disconnected(socket, code, reason) => {
                session.sockets.remove(&socket);
                core.handle_disconnected(now, socket, code, &reason);
            }
            Fact::Hint(hint) => core.handle_hint(now, hint),
            Fact::Stored(batch, result) => {
                let is_corrupt = |error: &StorageError| error.kind == StorageErrorKind::Corrupt;
                session.is_eviction_unheard &= !result.as_ref().is_err_and(is_corrupt);
                core.handle_stored(now, batch, result);
            }
            Fact::Loaded(room, stored) => self.hear_loaded(tab, now, room, stored),
            Fact::Timer(number) => {
                if session.timer != number {
                    return;
                }
                session.timer_at = None;
                session.rings =
                    if session.rings.0 == world { (world, session.rings.1 + 1) } else { (world, 1) };
                if session.rings.1 > 20 {
                    let due = core.poll_timeout();
                    return self.fail(format!("tab {tab}: a timer rings in circles at {now:?}, due {due:?}"));
                }
                core.handle_timeout(now);
            }
        }
        self.settle(tab);
    }

    fn hear_loaded(&mut self, tab: usize, now: Millis, room: RoomId, stored: Result<Stored, StorageError>) {
        let Some(session) = &mut self.tabs[tab].session else { return };
        let rows: Vec<Option<Contents>> = stored.as_ref().map_or(Vec::new(), |stored| {
            stored.outbox.iter().map(|(_, row)| scan(row).ok().map(|scan| Contents::of(&scan))).collect()
        });
        let made_before = session.core.edits(room).map_or(0, |edits| edits.made);
        session.core.handle_loaded(now, room, stored);
        let made = session.core.edits(room).map_or(0, |edits| edits.made);
        let Some(open) = session.rooms.get_mut(&room) else { return };
        open.contents = None;
        // What was on disk becomes edits, in order; only then is it known which is which.
        if made - made_before == rows.len() as u64 {
            for (edit, contents) in (made_before + 1..).zip(rows) {
                if let Some(contents) = contents {
                    open.note_edit(edit, contents);
                }
            }
        }
    }

    /// Calls the core between two facts.
    pub(crate) fn call<T>(&mut self, tab: usize, act: impl FnOnce(&mut Client, Millis) -> T) -> Option<T> {
        let now = self.tabs[tab].now(self.now);
        Some(act(&mut self.tabs[tab].session.as_mut()?.core, now))
    }

    // ---- wishes

    /// After every fact: does what the core wishes and sets its timer.
    pub(crate) fn settle(&mut self, tab: usize) {
        let mut touched = BTreeSet::new();
        while let Some(wish) = self.tabs[tab].session.as_mut().and_then(|session| session.core.poll_wish()) {
            match wish {
                Wish::Load { room, name } => self.ask_disk(tab, Errand::Load { room, name }),
                Wish::Store { batch, writes } => {
                    if merges_outbox(&writes) {
                        self.count("outboxes merged on the disk");
                    }
                    self.ask_disk(tab, Errand::Store { batch, writes });
                }
                Wish::Connect { socket } => self.connect(tab, socket),
                Wish::Send { socket, message } => self.send(tab, socket, message),
                Wish::Disconnect { socket, code } => {
                    if (4400..4500).contains(&code) {
                        self.fail(format!("tab {tab} blames the relay: {code}"));
                    }
                    self.disconnect(tab, socket);
                }
                Wish::Event { room, event } => {
                    if matches!(event, Told::Ready { .. } | Told::Patch { .. }) {
                        touched.insert(room);
                    }
                    self.believe(tab, room, event);
                }
            }
        }
        self.set_timer(tab);
        for room in touched {
            self.compare(tab, room);
        }
    }

    fn set_timer(&mut self, tab: usize) {
        let now = self.tabs[tab].now(self.now);
        let Some(session) = &mut self.tabs[tab].session else { return };
        let due = session.core.poll_timeout();
        if due == session.timer_at {
            return;
        }
        session.timer_at = due;
        session.timer += 1;
        if let Some(due) = due {
            let (number, life) = (session.timer, self.tabs[tab].life);
            // Timers count time that passes, not what a wall clock shows.
            self.after(due.since(now), Event::Fact(tab, life, Fact::Timer(number)));
        }
    }

    /// What the application shows is what the document holds.
    fn compare(&mut self, tab: usize, room: RoomId) {
        let Some(session) = &self.tabs[tab].session else { return };
        let Some(reader) = session.rooms.get(&room).and_then(|open| open.reader.as_ref()) else { return };
        if let Some(state) = session.core.state(room)
            && !reader.shows(&state)
        {
            self.fail(format!("tab {tab} {room:?} shows {reader:?}, the document is {state:?}"));
        }
    }

    // ---- events

    fn believe(&mut self, tab: usize, room: RoomId, mut event: Told) {
        match &mut event {
            Told::Saved { edit } if self.options.has_bug(Bug::SavedTooEarly) => *edit += 1,
            Told::Acked { edit } if self.options.has_bug(Bug::AckedTooEarly) => *edit += 1,
            Told::Status(status) if self.options.has_bug(Bug::StatusSaysSaved) => {
                status.server = Server::Saved
            }
            Told::Patch { .. } if self.errs(Bug::LostPatch, 6) => return,
            _ => {}
        }
        self.note(|| format!("tab {tab} {room:?} hears {:.160}", format!("{event:?}")));
        let Some(session) = &mut self.tabs[tab].session else { return };
        let Some(open) = session.rooms.get_mut(&room) else {
            return self.fail(format!("tab {tab}: an event for {room:?}, which is closed: {event:?}"));
        };
        match event {
            Told::Ready { patch } => {
                let mut reader = Reader::new();
                let applied = reader.apply(&patch);
                open.reader = Some(reader);
                if let Err(what) = applied {
                    self.fail(format!("tab {tab}: the first patch: {what}"));
                }
            }
            Told::Patch { patch } => {
                let applied = match &mut open.reader {
                    Some(reader) => reader.apply(&patch),
                    None => Err("before it is ready".into()),
                };
                if let Err(what) = applied {
                    self.fail(format!("tab {tab}: a patch: {what}"));
                }
                self.count("patches");
            }
            Told::Saved { edit } => {
                self.check_saved(tab, room, edit);
                self.count("receipts from the disk");
            }
            Told::Acked { edit } => {
                self.check_acked(tab, room, edit);
                self.count("receipts from the relay");
            }
            Told::Status(status) => {
                open.status = Some(status.clone());
                self.check_status(tab, room, &status);
            }
            Told::Presence(presence) => {
                let own = presence.self_peer;
                if own.is_some_and(|own| presence.others.get(own).is_some()) {
                    self.fail(format!("tab {tab} sees itself among the others"));
                }
            }
            Told::Closed => {
                session.rooms.remove(&room);
            }
            Told::Error(error)
                if error.code == "storage-damaged" && self.disks[self.tabs[tab].disk].was_torn =>
            {
                self.count("torn rows found");
            }
            Told::Refused { .. } | Told::Error(_) => {
                self.fail(format!("tab {tab} {room:?}: {event:?}"));
            }
        }
    }

    fn check_saved(&mut self, tab: usize, room: RoomId, edit: u64) {
        let disk = self.tabs[tab].disk;
        let disk_life = self.disks[disk].life;
        let Some(session) = &mut self.tabs[tab].session else { return };
        if session.disk_life != disk_life || session.is_eviction_unheard {
            // It was true, and it has not heard yet that it is not any more.
            return;
        }
        // A room that is closed by now has no numbers any more.
        let made = session.core.edits(room).map_or(u64::MAX, |edits| edits.made);
        let Some(open) = session.rooms.get_mut(&room) else { return };
        let name = open.name.clone();
        let rows = self.disks[disk].rooms.get(&name).map(DiskRoom::contents).unwrap_or_default();
        let mut lies = (edit > made).then(|| format!("edit {edit} is saved and was never made"));
        for number in open.saved + 1..=edit.min(open.edits.len() as u64) {
            let Some(contents) = &open.edits[number as usize - 1] else { continue };
            if rows.covers(contents) {
                self.kept.entry((disk, name.clone())).or_default().merge(contents);
            } else {
                let lacks = contents.missing_from(&rows);
                lies = Some(format!("edit {number} is saved and not on disk: {lacks:?}"));
            }
        }
        open.saved = open.saved.max(edit);
        if let Some(lie) = lies {
            self.fail(format!("tab {tab} {name}: {lie}"));
        }
    }

    fn check_acked(&mut self, tab: usize, room: RoomId, edit: u64) {
        let Some(session) = &mut self.tabs[tab].session else { return };
        let made = session.core.edits(room).map_or(u64::MAX, |edits| edits.made);
        let Some(open) = session.rooms.get_mut(&room) else { return };
        let name = open.name.clone();
        // It may have been lost since with the store's disk: then it will be healed.
        let ever = RoomName::new(&name).map(|name| self.store.ever(&name)).unwrap_or_default();
        let mut lies = (edit > made).then(|| format!("edit {edit} is acknowledged and was never made"));
        for number in open.acked + 1..=edit.min(open.edits.len() as u64) {
            if let Some(contents) = &open.edits[number as usize - 1]
                && !ever.covers(contents)
            {
                let lacks = contents.missing_from(&ever);
                lies = Some(format!("edit {number} is acknowledged and was never durable: {lacks:?}"));
            }
        }
        open.acked = open.acked.max(edit);
        if let Some(lie) = lies {
            self.fail(format!("tab {tab} {name}: {lie}"));
        }
    }

    /// A light that says "saved" is believed like a receipt.
    fn check_status(&mut self, tab: usize, room: RoomId, status: &Status) {
        let made = self.tabs[tab].session.as_ref().and_then(|session| session.core.edits(room));
        let made = made.map_or(0, |edits| edits.made);
        if status.local == Local::Saved {
            self.check_saved(tab, room, made);
        }
        if status.server == Server::Saved {
            self.check_acked(tab, room, made);
        }
    }

    // ---- the disk

    fn ask_disk(&mut self, tab: usize, errand: Errand) {
        let (disk, life) = (self.tabs[tab].disk, self.tabs[tab].life);
        if let Errand::Store { batch, .. } = &errand
            && self.options.has_bug(Bug::DiskAcksBeforeWrite)
        {
            let fact = Fact::Stored(*batch, Ok(()));
            self.after(0, Event::Fact(tab, life, fact));
        }
        let id = self.number();
        let mut delay = self.rng.u64(0..=self.options.disk_ms);
        if self.disks[disk].slow_until > self.now {
            delay += self.rng.u64(0..3_000);
        }
        let disk_ref = &mut self.disks[disk];
        disk_ref.busy_until = disk_ref.busy_until.max(self.now) + delay;
        disk_ref.asked.push_back(Asked { id, tab, life, errand });
        let at = disk_ref.busy_until;
        self.at(at, Event::DiskWorks(disk, id));
    }

    pub(crate) fn disk_works(&mut self, disk: usize, id: u64) {
        let Some(index) = self.disks[disk].asked.iter().position(|asked| asked.id == id) else { return };
        let Some(asked) = self.disks[disk].asked.remove(index) else { return };
        let fails = self.disks[disk].fails_until > self.now && self.rng.u8(0..3) > 0;
        let kinds = [StorageErrorKind::Quota, StorageErrorKind::Closed, StorageErrorKind::Unavailable];
        let kind = kinds[self.rng.usize(0..kinds.len())];
        let error = |kind| StorageError { kind, cause: "simulated".into() };
        let is_full = self.disks[disk].full_until > self.now;
        let fact = match asked.errand {
            Errand::Store { batch, .. } if self.learns_of_eviction(asked.tab) => {
                self.count("batches for a disk that was emptied");
                Fact::Stored(batch, Err(error(StorageErrorKind::Corrupt)))
            }
            Errand::Store { batch, .. } if is_full => {
                self.count("batches refused by a full disk");
                Fact::Stored(batch, Err(error(StorageErrorKind::Quota)))
            }
            Errand::Load { room, name } => {
                if self.options.has_bug(Bug::LostOutboxRow)
                    && let Some(room) = self.disks[disk].rooms.get_mut(&name)
                {
                    room.outbox.pop_first();
                }
                let stored = if self.options.has_bug(Bug::RowsOfOneLife) {
                    self.disks[disk].load_as_of_one_life(&name)
                } else {
                    self.disks[disk].load(&name)
                };
                self.count(if fails { "failed loads" } else { "loads" });
                Fact::Loaded(room, if fails { Err(error(kind)) } else { Ok(stored) })
            }
            Errand::Store { batch, writes } => {
                // A handle that dies does not say whether the transaction happened.
                if !fails || self.chance(5) {
                    self.write(disk, &writes);
                } else if self.options.has_bug(Bug::TornBatch) {
                    let half: Vec<Write> = writes.iter().rev().take(writes.len() / 2).cloned().collect();
                    self.write(disk, &half);
                }
                self.count(if fails { "failed batches" } else { "batches" });
                let fails = fails && !self.options.has_bug(Bug::FailedBatchCountsAsWritten);
                Fact::Stored(batch, if fails { Err(error(kind)) } else { Ok(()) })
            }
        };
        let delay = self.rng.u64(0..=2);
        self.after(delay, Event::Fact(asked.tab, asked.life, fact));
    }

    /// Whether the disk was emptied since this tab wrote to it first; told once.
    fn learns_of_eviction(&mut self, tab: usize) -> bool {
        let life = self.disks[self.tabs[tab].disk].life;
        let Some(session) = &mut self.tabs[tab].session else { return false };
        session.is_eviction_unheard |= session.disk_life != life;
        std::mem::replace(&mut session.disk_life, life) != life
    }

    /// Writes a batch and checks that the disk knows no less than before, and no less than it claims.
    fn write(&mut self, disk: usize, writes: &[Write]) {
        let rooms: BTreeSet<&str> = writes.iter().map(Write::room).collect();
        let before: Vec<(String, Contents)> = rooms
            .iter()
            .map(|room| {
                let contents = self.disks[disk].rooms.get(*room).map(DiskRoom::contents).unwrap_or_default();
                ((*room).to_owned(), contents)
            })
            .collect();
        let (mut now, mut late) = (Vec::new(), Vec::new());
        for write in writes {
            let is_lost = match write {
                Write::DeleteOutbox { .. } => self.options.has_bug(Bug::LostDeleteOutbox),
                Write::PutUpdates { .. } => self.errs(Bug::LostUpdatesRow, 3),
                _ => false,
            };
            if self.options.has_bug(Bug::CursorBeforeData) && !matches!(write, Write::PutMeta { .. }) {
                late.push(write.clone());
            } else if !is_lost {
                now.push(write);
            }
        }
        self.disks[disk].write_batch(now);
        if !late.is_empty() {
            self.after(30, Event::DiskLate(disk, late));
        }
        for (name, before) in before {
            let Some(room) = self.disks[disk].rooms.get(&name) else { continue };
            let contents = room.contents();
            if !contents.covers(&before) {
                self.fail(format!("a batch took something of {name} from disk {disk}"));
                continue;
            }
            let Some(cursor) = room.cursor().filter(|_| !room.is_torn) else { continue };
            let Ok(room_name) = RoomName::new(&name) else { continue };
            let Some(log) = self.store.life(&room_name, cursor.epoch) else {
                // A room that was never written to has an epoch that no log ever had.
                if cursor.seq.0 > 0 {
                    self.fail(format!(
                        "disk {disk} has a cursor {cursor:?} of {name} in a life that never was"
                    ));
                }
                continue;
            };
            let prefix = log.prefix(cursor.seq.0);
            let lacks = room.lacks(&prefix);
            if cursor.seq.0 > log.head() || lacks.is_some() {
                self.fail(format!("disk {disk} claims {name} up to {cursor:?} and lacks {lacks:?}"));
            }
        }
    }
}

/// Whether a row takes the place of many others: it is as old as the oldest of them.
fn merges_outbox(writes: &[Write]) -> bool {
    let deleted = writes.iter().filter_map(|write| match write {
        Write::DeleteOutbox { key, .. } => Some(key.at),
        _ => None,
    });
    let is_put = |at| writes.iter().any(|w| matches!(w, Write::PutOutbox { key, .. } if key.at == at));
    deleted.clone().count() > 24 && deleted.min().is_some_and(is_put)
}
