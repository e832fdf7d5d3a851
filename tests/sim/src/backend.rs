//! The relay at work: what a node wants of the world, and a store that takes its time, fails, and knows the
//! difference between asked and durable.

use crate::{
    bug::Bug,
    node::{Answer, Effect, Node},
    world::{Event, StoreTask, World},
};
use bytes::Bytes;
use fastrand::Rng;
use hither_protocol::{
    contents::Contents,
    id_set::IdSet,
    ids::{Epoch, RoomName},
    scan::{scan, with_deletes},
};
use hither_relay::{
    log::LogError,
    room::{Compacted, Wish},
};

impl World {
    pub(crate) fn start_relay(&mut self) {
        if self.node.is_none() {
            self.generation += 1;
            let rng = Rng::with_seed(self.rng.u64(..));
            let mut node = Node::new(&self.options, rng, self.now);
            node.skips_on_join = self.options.has_bug(Bug::JoinSkipsAnEntry);
            self.node = Some(node);
            self.relay_timer.1 = None;
            self.note(|| "the relay starts".to_owned());
        }
    }

    /// The process dies. What the store had been asked and had not done is done or not, nobody will know.
    pub(crate) fn kill_relay(&mut self) {
        if self.node.take().is_none() {
            return;
        }
        self.count("relay kills");
        self.note(|| "the relay is killed".to_owned());
        for (id, mut task) in std::mem::take(&mut self.store_tasks) {
            let is_open = task.answer.is_none() && matches!(task.wish, Wish::Append { .. });
            if is_open && self.rng.bool() {
                self.count("appends that happened and were never answered");
                if let Wish::Append { entries, .. } = &mut task.wish
                    && entries.len() > 1
                    && self.rng.bool()
                {
                    entries.truncate(self.rng.usize(1..entries.len()));
                    self.count("appends that happened in part");
                }
                self.store_tasks.insert(id, task);
                self.store_works(id);
                self.store_tasks.clear();
            }
        }
        let wires: Vec<u64> = self.wires.keys().copied().collect();
        for id in wires {
            let is_silent = self.chance(5);
            let Some(wire) = self.wires.get_mut(&id).filter(|wire| wire.has_relay) else { continue };
            if is_silent {
                // The whole machine went: nobody is left to say so.
                wire.fall_silent();
                wire.has_relay = false;
            } else {
                self.relay_hangs_up(id, None, "connection reset".into());
            }
        }
    }

    /// After every event: what the node wants, and its next timer.
    pub(crate) fn look_after_relay(&mut self) {
        while let Some(effect) = self.node.as_mut().and_then(Node::poll_effect) {
            match effect {
                Effect::Ask { cell, room, wish } => self.ask_store(cell, room, wish),
                Effect::Writable { wire } => self.pump(wire),
                Effect::Close { wire, code, reason } => {
                    self.note(|| format!("the relay closes wire {wire}: {code:?} {reason}"));
                    if !code.is_retry() {
                        self.fail(format!("the relay blames a client: {code:?} {reason}"));
                    }
                    self.count("connections closed by the relay");
                    // What was queued for it went before.
                    self.relay_hangs_up(wire, Some(code.number()), reason);
                }
            }
        }
        let Some(due) = self.node.as_ref().and_then(Node::poll_timeout) else { return };
        let due = due.max(self.now + 1);
        if self.relay_timer.1.is_none_or(|at| due < at) {
            self.relay_timer = (self.relay_timer.0 + 1, Some(due));
            self.at(due, Event::RelayTimer(self.relay_timer.0));
        }
    }

    pub(crate) fn relay_timer_rings(&mut self, number: u64) {
        if self.relay_timer.0 == number {
            self.relay_timer.1 = None;
            if let Some(node) = &mut self.node {
                node.handle_timeout(self.now);
            }
        }
    }

    /// Tells the node that a room's log is not what it was.
    pub(crate) fn hint(&mut self, room: &RoomName) {
        let cells = self.node.as_ref().map(Node::cells).unwrap_or_default();
        for (cell, name) in cells.into_iter().filter(|(_, name)| name == room) {
            self.ask_store(cell, name, Wish::ReadHead);
        }
    }

    fn ask_store(&mut self, cell: u64, room: RoomName, wish: Wish) {
        let id = self.number();
        if let Wish::Append { .. } = wish
            && self.errs(Bug::AckBeforeDurable, 8)
        {
            let first = self.store.head(&room).map_or(1, |head| head.head + 1);
            let late = StoreTask { generation: 0, cell, room, wish, staged: None, answer: None };
            self.store_tasks.insert(id, late);
            self.after(20, Event::StoreWorks(id));
            if let Some(node) = &mut self.node {
                node.handle_answer(cell, Answer::Appended(Ok(first)), self.now);
            }
            return;
        }
        let mut due = self.now + self.store_delay();
        if let Wish::Append { .. } = wish {
            // One writer takes them in the order in which they were asked for; reads overtake them.
            due = due.max(self.store.appends_until);
            self.store.appends_until = due;
        }
        let generation = self.generation;
        self.store_tasks.insert(id, StoreTask { generation, cell, room, wish, staged: None, answer: None });
        self.at(due, Event::StoreWorks(id));
    }

    fn store_delay(&mut self) -> u64 {
        let delay = self.rng.u64(0..=self.options.store_ms);
        if self.store.slow_until > self.now { delay + self.rng.u64(0..3_000) } else { delay }
    }

    pub(crate) fn store_works(&mut self, id: u64) {
        let Some(mut task) = self.store_tasks.remove(&id) else { return };
        let fails = self.store.fails_until > self.now && self.rng.u8(0..3) > 0;
        let unavailable = || LogError::unavailable("simulated");
        let room = task.room.clone();
        let answer = match &task.wish {
            _ if fails && !matches!(task.wish, Wish::Append { .. } | Wish::Compact { .. }) => {
                self.count("reads that the store refused");
                match &task.wish {
                    Wish::ReadHead => Answer::Head(Err(unavailable())),
                    Wish::Read { after, .. } => Answer::Page(*after, Err(unavailable())),
                    _ => Answer::Snapshot(Err(unavailable())),
                }
            }
            Wish::ReadHead => {
                let mut head = self.store.head(&room);
                if self.errs(Bug::StaleHead, 2)
                    && let Some(head) = &mut head
                {
                    head.head -= u64::from(head.head > head.snapshot);
                }
                Answer::Head(Ok(head))
            }
            Wish::ReadSnapshot { epoch } => Answer::Snapshot(self.store.snapshot(&room, *epoch)),
            Wish::Read { epoch, after, max_bytes } => {
                Answer::Page(*after, self.store.read(&room, *epoch, *after, *max_bytes))
            }
            Wish::Append { epoch, entries } => {
                let (epoch, entries) = (*epoch, entries.clone());
                let cells = self.node.as_ref().map(Node::cells).unwrap_or_default();
                if task.generation != self.generation || !cells.contains(&(task.cell, room.clone())) {
                    // Whoever came after may have read the log before this, and may store the same once more.
                    self.count("appends of a room that was given up");
                    *self.repeats.entry(room.clone()).or_default() += entries.len();
                }
                Answer::Appended(self.append(&room, epoch, entries, fails))
            }
            Wish::Compact { .. } => match task.staged.take() {
                None if fails => Answer::Compacted(Compacted::Later),
                None => {
                    let skipped = self.errs(Bug::SnapshotLacksAnEntry, 1).then(|| self.store.head(&room));
                    let skipped = skipped.flatten().map(|head| head.head);
                    match self.store.compaction(&room, skipped) {
                        Some(staged) => {
                            // Reading and computing took a while; meanwhile the log goes on.
                            task.staged = Some(staged);
                            self.store_tasks.insert(id, task);
                            let delay = self.store_delay();
                            return self.after(delay, Event::StoreWorks(id));
                        }
                        None => {
                            self.count("compactions refused");
                            Answer::Compacted(Compacted::Later)
                        }
                    }
                }
                Some((epoch, replaces, snapshot)) => {
                    Answer::Compacted(self.compact(&room, epoch, replaces, snapshot))
                }
            },
            other => unreachable!("{other:?} is not for the store"),
        };
        task.answer = Some(answer);
        self.store_tasks.insert(id, task);
        let delay = self.rng.u64(0..=2);
        self.after(delay, Event::StoreAnswers(id));
    }

    fn append(
        &mut self,
        room: &RoomName,
        epoch: Epoch,
        mut entries: Vec<Bytes>,
        fails: bool,
    ) -> Result<u64, LogError> {
        let is_full = self.store.full_until > self.now;
        if is_full {
            self.count("appends refused by a full store");
            return Err(LogError::unavailable("simulated: full"));
        }
        let happens = !fails || self.chance(2);
        if fails && happens && entries.len() > 1 && self.rng.bool() {
            entries.truncate(self.rng.usize(1..entries.len()));
            self.count("appends that happened in part");
        }
        if self.errs(Bug::LostEntry, 8) {
            entries.pop();
        }
        if self.errs(Bug::LostDeletions, 2) {
            for entry in &mut entries {
                if let Ok(scan) = scan(entry) {
                    *entry = with_deletes(entry, &scan, &IdSet::new()).into();
                }
            }
        }
        let first = self.store.head(room).map_or(1, |head| head.head + 1);
        if happens {
            let count = entries.len() as u64;
            let appended = self.store.append(room, epoch, &entries)?;
            self.count_many("entries appended", count);
            self.count_many("entries that overlap", appended.overlapping);
            self.note(|| format!("the store has {room} {}..{}", appended.first, appended.first + count));
            if let Some(seq) = appended.empty.first() {
                let repeats = self.repeats.entry(room.clone()).or_default();
                match repeats.checked_sub(appended.empty.len()) {
                    Some(left) => *repeats = left,
                    None => self.fail(format!("entry {seq} of {room} adds nothing to the log")),
                }
            }
            if let Some(seq) = appended.unfounded {
                self.fail(format!("entry {seq} of {room} stands on ids that the log does not hold"));
            }
            if self.errs(Bug::RepeatedAppend, 8) {
                let again = self.store.append(room, epoch, &entries)?;
                if let Some(seq) = again.empty.first() {
                    self.fail(format!("entry {seq} of {room} adds nothing to the log"));
                }
            }
        }
        if fails {
            self.count(if happens { "failed appends that happened" } else { "failed appends" });
            if !self.options.has_bug(Bug::FailedAppendCountsAsDone) {
                return Err(LogError::unavailable("simulated"));
            }
        }
        Ok(first)
    }

    fn compact(
        &mut self,
        room: &RoomName,
        epoch: Epoch,
        replaces: u64,
        snapshot: hither_relay::log::Snapshot,
    ) -> Compacted {
        let held = scan(&snapshot.update).map(|scan| Contents::of(&scan)).unwrap_or_default();
        let floor = snapshot.seq.saturating_sub(self.options.keep_entries);
        let seq = snapshot.seq;
        match self.store.put_snapshot(room, epoch, replaces, snapshot, floor) {
            Ok((snapshot, floor)) => {
                self.count("compactions");
                self.note(|| format!("{room} is compacted up to {snapshot}, floor {floor}"));
                let prefix = self.store.life(room, epoch).map(|log| log.prefix(seq)).unwrap_or_default();
                if !held.covers(&prefix) {
                    self.fail(format!("the snapshot of {room} at {seq} lacks something"));
                }
                Compacted::Done { snapshot, floor }
            }
            Err(_) => {
                self.count("compactions overtaken");
                Compacted::Overtaken
            }
        }
    }

    pub(crate) fn store_answers(&mut self, id: u64) {
        let Some(task) = self.store_tasks.remove(&id) else { return };
        if task.generation == self.generation
            && let (Some(answer), Some(node)) = (task.answer, &mut self.node)
        {
            node.handle_answer(task.cell, answer, self.now);
        }
    }
}
