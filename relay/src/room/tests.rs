//! Stories of a room, told over a log in memory whose appends succeed, wait or fail when the story says so.

mod compaction;
mod people;
mod unread;

use super::*;
use crate::log::{LogError, MemoryLog, RoomLog, Snapshot};
use futures_util::FutureExt;
use hither_protocol::{
    deframe::Deframer,
    frames::{Mode, RelayFrame},
    ids::Seq,
    scan::scan,
};

const ALICE: MemberId = MemberId(1);
const BOB: MemberId = MemberId(2);
const CAROL: MemberId = MemberId(3);
const YJS: MemberId = MemberId(9);
const FRESH: Epoch = Epoch([7; 16]);

/// What a member heard, told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Joined(Mode, u64),
    Snapshot(u64),
    Update(u64),
    Ack(u64, u64),
    Nack(u64, u64),
    Presence(u64, String),
    /// What a stock client hears: the numbers of the message, and an update or state vector.
    Yjs(u8, u8, Bytes),
    Closed(CloseCode),
}
use Heard::{Ack, Closed, Joined, Nack, Snapshot as Snap, Update};

/// A room, its log, and everybody's ears.
struct Hall {
    room: Room,
    log: MemoryLog,
    heard: BTreeMap<MemberId, Vec<Heard>>,
    pushed: BTreeMap<MemberId, u64>,
    settled: BTreeMap<MemberId, usize>,
    /// Members whose queues do not drain by themselves.
    stuck: BTreeSet<MemberId>,
    watched: BTreeSet<MemberId>,
    /// The append that waits for the story.
    appending: Option<(Epoch, Vec<Bytes>)>,
    holds_appends: bool,
    reads: usize,
    compactions: Vec<Moment>,
    now: Millis,
}

impl Hall {
    fn open(log: MemoryLog) -> Hall {
        Hall::with(log, RoomLimits::default())
    }

    fn with(log: MemoryLog, limits: RoomLimits) -> Hall {
        let name = RoomName::new("hall").unwrap();
        let mut hall = Hall {
            room: Room::new(name, Channel(5), FRESH, limits),
            log,
            heard: BTreeMap::new(),
            pushed: BTreeMap::new(),
            settled: BTreeMap::new(),
            stuck: BTreeSet::new(),
            watched: BTreeSet::new(),
            appending: None,
            holds_appends: false,
            reads: 0,
            compactions: Vec::new(),
            now: Millis(1_000),
        };
        hall.run();
        hall
    }

    fn empty() -> Hall {
        Hall::open(MemoryLog::new())
    }

    fn run(&mut self) {
        let name = self.room.name().clone();
        let log = self.log.clone();
        while let Some(wish) = self.room.poll_wish().or_else(|| self.room.poll_append()) {
            match wish {
                Wish::ReadHead => {
                    let head = log.head(&name).now_or_never().unwrap();
                    self.room.handle_head(head);
                }
                Wish::ReadSnapshot { epoch } => {
                    let snapshot = log.snapshot(&name, epoch).now_or_never().unwrap();
                    self.room.handle_snapshot(snapshot);
                }
                Wish::Read { epoch, after, max_bytes } => {
                    self.reads += 1;
                    let page = log.read(&name, epoch, after, max_bytes).now_or_never().unwrap();
                    self.room.handle_page(after, page);
                }
                Wish::Append { epoch, entries } => {
                    assert!(self.appending.is_none(), "one append in flight");
                    self.appending = Some((epoch, entries));
                    if !self.holds_appends {
                        self.append_ends(true);
                    }
                }
                Wish::Send { member, chunk } => self.hear(member, chunk),
                Wish::Watch { member } if self.stuck.contains(&member) => {
                    self.watched.insert(member);
                }
                Wish::Watch { member } => self.room.handle_drained(member),
                Wish::Settled { member, bytes } => *self.settled.entry(member).or_default() += bytes,
                Wish::Close { member, code, .. } => self.heard.entry(member).or_default().push(Closed(code)),
                Wish::Compact { moment, .. } => self.compactions.push(moment),
            }
        }
    }

    /// The append in flight succeeds, or fails without a trace.
    fn append_ends(&mut self, well: bool) {
        let (epoch, entries) = self.appending.take().expect("an append is in flight");
        if well {
            match self.log.append(self.room.name(), epoch, entries).now_or_never().unwrap() {
                Ok(first) => self.room.handle_appended(first, self.now),
                Err(error) => self.room.handle_append_failed(&error),
            }
        } else {
            self.room.handle_append_failed(&LogError::unavailable("the disk is full"));
        }
        self.run();
    }

    fn hear(&mut self, member: MemberId, chunk: Bytes) {
        let ears = self.heard.entry(member).or_default();
        let mut deframer = Deframer::new(usize::MAX);
        for body in deframer.read(chunk) {
            let body = body.unwrap();
            if member >= YJS {
                let payload = if body.len() > 2 { body.slice(3..) } else { Bytes::new() };
                ears.push(Heard::Yjs(body[0], body[1], payload));
                continue;
            }
            ears.push(match RelayFrame::decode(body).unwrap() {
                RelayFrame::Joined(joined) => Joined(joined.mode, joined.head.0),
                RelayFrame::Snapshot { seq, .. } => Snap(seq.0),
                RelayFrame::Update { seq, .. } => Update(seq.0),
                RelayFrame::Ack { n, seq, .. } => Ack(n, seq.0),
                RelayFrame::Nack { n, code, .. } => Nack(n, code),
                RelayFrame::Presence { peer, state, .. } => {
                    Heard::Presence(peer.0, String::from_utf8(state.to_vec()).unwrap())
                }
                other => panic!("{other:?}"),
            });
        }
    }

    /// What a member heard since the last time it was asked.
    fn ears(&mut self, member: MemberId) -> Vec<Heard> {
        self.heard.remove(&member).unwrap_or_default()
    }

    fn join(&mut self, member: MemberId, cursor: Option<Cursor>, access: Access) {
        let kind = if member >= YJS { Kind::Yjs } else { Kind::Sync };
        let peer = Peer(1_000 + member.0);
        self.room.handle_join(Join { member, peer, kind, access, cursor }, self.now);
        self.run();
    }

    fn joins(&mut self, member: MemberId) {
        self.join(member, None, Access::ReadWrite);
    }

    fn joins_at(&mut self, member: MemberId, seq: u64) {
        let epoch = self.room.head().unwrap().epoch;
        self.join(member, Some(Cursor { epoch, seq: Seq(seq) }), Access::ReadWrite);
    }

    fn pushes(&mut self, member: MemberId, update: Bytes) {
        let n = self.pushed.entry(member).or_default();
        *n += 1;
        let scan = scan(&update).unwrap();
        self.room.handle_push(member, *n, update, scan);
        self.run();
    }

    /// Types one more character, as a client of its own id.
    fn types(&mut self, member: MemberId) {
        let clock = self.pushed.get(&member).copied().unwrap_or(0) as u8;
        self.pushes(member, letter(member.0 as u8, clock));
    }

    fn asks(&mut self, member: MemberId, vector: &[(u64, u32)]) {
        self.room.handle_step1(member, vector.iter().copied().collect());
        self.run();
    }

    fn shows(&mut self, member: MemberId, state: &'static str) {
        self.room.handle_presence(member, &Bytes::from_static(state.as_bytes()), self.now);
        self.run();
    }

    fn leaves(&mut self, member: MemberId) {
        self.room.handle_leave(member);
        self.run();
    }

    fn drains(&mut self, member: MemberId) {
        self.stuck.remove(&member);
        if self.watched.remove(&member) {
            self.room.handle_drained(member);
        }
        self.run();
    }

    fn waits(&mut self, ms: u64) {
        self.now.0 += ms;
        while self.room.poll_timeout().is_some_and(|at| at <= self.now) {
            self.room.handle_timeout(self.now);
            self.run();
        }
    }

    fn stored(&self) -> u64 {
        let head = self.log.head(self.room.name()).now_or_never().unwrap().unwrap();
        head.map_or(0, |head| head.head)
    }
}

/// Client `client` writes one letter at its own clock, each time into the root text "t".
fn letter(client: u8, clock: u8) -> Bytes {
    Bytes::from(vec![1, 1, client, clock, 4, 1, 1, b't', 1, b'x', 0])
}

/// Deletes the letter of `client` at `clock`.
fn delete(client: u8, clock: u8) -> Bytes {
    Bytes::from(vec![0, 1, client, 1, clock, 1])
}

fn log_of(letters: u8) -> MemoryLog {
    let log = MemoryLog::new();
    let entries = (0..letters).map(|clock| letter(50, clock)).collect();
    log.append(&RoomName::new("hall").unwrap(), FRESH, entries).now_or_never().unwrap().unwrap();
    log
}

/// [P4]
#[test]
fn nobody_hears_an_entry_before_it_is_durable() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    assert_eq!(hall.ears(BOB), [Joined(Mode::Resumed, 0)]);
    hall.holds_appends = true;
    hall.types(ALICE);
    assert_eq!(hall.ears(BOB), []);
    hall.append_ends(true);
    assert_eq!(hall.ears(BOB), [Update(1)]);
    assert_eq!(hall.ears(ALICE), [Joined(Mode::Resumed, 0), Ack(1, 1)]);
    assert_eq!(hall.settled[&ALICE], letter(1, 0).len());
}

/// A socket that leaves a room with a push under way goes on in others, with the budget that it had.
#[test]
fn who_has_left_gets_back_the_budget_of_what_it_pushed() {
    let mut hall = Hall::empty();
    hall.holds_appends = true;
    for ends_well in [true, false] {
        hall.joins(ALICE);
        hall.joins(BOB);
        hall.pushed.clear();
        hall.settled.clear();
        let in_flight = letter(1, u8::from(ends_well));
        hall.pushes(ALICE, in_flight.clone());
        let ready = letter(1, 2 + u8::from(ends_well));
        hall.pushes(ALICE, ready.clone());
        hall.leaves(ALICE);
        assert!(hall.room.knows(ALICE) && hall.settled.is_empty());
        hall.joins(YJS);
        hall.asks(YJS, &[]);
        hall.leaves(YJS);
        assert!(!hall.room.knows(YJS), "it waits in the line to be asked, and has pushed nothing");
        hall.append_ends(ends_well);
        if ends_well {
            assert_eq!(hall.settled[&ALICE], in_flight.len());
            hall.append_ends(true);
        }
        assert_eq!(hall.settled[&ALICE], in_flight.len() + ready.len());
        assert!(!hall.room.knows(ALICE));
    }
}

#[test]
fn what_is_pushed_during_an_append_makes_the_next_one() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.holds_appends = true;
    hall.types(ALICE);
    (0..3).for_each(|_| hall.types(BOB));
    hall.append_ends(true);
    assert_eq!(hall.appending.as_ref().map(|(_, entries)| entries.len()), Some(3));
    hall.append_ends(true);
    assert_eq!(hall.ears(ALICE)[1..], [Ack(1, 1), Update(2), Update(3), Update(4)]);
    assert_eq!(hall.ears(BOB)[1..], [Update(1), Ack(3, 4)], "its own entries share an ack");
}

/// [P3] [P5]
#[test]
fn an_author_hears_its_acks_in_the_places_of_its_entries() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.holds_appends = true;
    hall.types(ALICE);
    for author in [ALICE, ALICE, BOB, ALICE, BOB, BOB] {
        hall.types(author);
    }
    hall.append_ends(true);
    hall.ears(ALICE);
    hall.ears(BOB);
    hall.append_ends(true);
    assert_eq!(hall.ears(ALICE), [Ack(3, 3), Update(4), Ack(4, 5), Update(6), Update(7)]);
    assert_eq!(hall.ears(BOB), [Update(2), Update(3), Ack(1, 4), Update(5), Ack(3, 7)]);
}

/// [P6]
#[test]
fn a_push_that_adds_nothing_is_acknowledged_in_its_place_and_not_stored() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.ears(ALICE);
    hall.ears(BOB);
    hall.holds_appends = true;
    hall.pushes(ALICE, letter(1, 0));
    hall.pushes(BOB, letter(1, 0));
    assert_eq!(hall.ears(BOB), [], "its ids are only in the append in flight");
    hall.append_ends(true);
    assert_eq!(hall.ears(BOB), [Update(1), Ack(1, 1)]);
    hall.pushes(BOB, letter(1, 0));
    assert_eq!(hall.ears(BOB), [Ack(2, 1)], "nothing to wait for");
    hall.pushes(BOB, delete(1, 0));
    hall.append_ends(true);
    hall.pushes(ALICE, delete(1, 0));
    assert_eq!(hall.ears(ALICE), [Ack(1, 1), Update(2), Ack(2, 2)]);
    assert_eq!(hall.stored(), 2);
}

/// [P6] An append of a room that was given up may still happen when the next room of the name has read the head.
#[test]
fn entries_that_somebody_else_appended_are_known_when_they_turn_up() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.types(ALICE);
    let late = vec![letter(50, 0), letter(50, 1)];
    hall.log.append(&RoomName::new("hall").unwrap(), FRESH, late).now_or_never().unwrap().unwrap();
    hall.types(ALICE);
    assert_eq!(hall.ears(BOB), [Joined(Mode::Resumed, 0), Update(1), Update(2), Update(3), Update(4)]);
    hall.pushes(BOB, letter(50, 1));
    assert_eq!(hall.ears(BOB), [Ack(1, 4)]);
    assert_eq!(hall.stored(), 4);
}

#[test]
fn a_head_that_was_read_before_the_last_append_changes_nothing() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    (0..2).for_each(|_| hall.types(ALICE));
    hall.room.handle_head(Ok(Some(Head { epoch: FRESH, head: 1, floor: 0, snapshot: 0 })));
    hall.types(ALICE);
    assert_eq!(hall.ears(ALICE), [Joined(Mode::Resumed, 0), Ack(1, 1), Ack(2, 2), Ack(3, 3)]);
}

#[test]
fn a_room_that_was_opened_again_still_knows_what_its_log_holds() {
    let mut hall = Hall::with(log_of(100), RoomLimits { page_bytes: 200, ..RoomLimits::default() });
    hall.joins_at(ALICE, 100);
    assert_eq!(hall.reads, 0, "nobody has pushed yet");
    hall.pushes(ALICE, letter(50, 99));
    assert!(hall.reads > 3);
    assert_eq!(hall.ears(ALICE), [Joined(Mode::Resumed, 100), Ack(1, 100)]);
    assert_eq!(hall.stored(), 100);
}

/// [P7]
#[test]
fn after_a_failed_append_its_authors_and_all_behind_are_closed_and_nothing_behind_is_stored() {
    let mut hall = Hall::empty();
    for member in [ALICE, BOB, CAROL] {
        hall.joins(member);
        hall.ears(member);
    }
    hall.holds_appends = true;
    hall.types(ALICE);
    hall.types(BOB);
    hall.append_ends(false);
    assert_eq!(hall.ears(ALICE), [Closed(CloseCode::StoreFailed)]);
    assert_eq!(hall.ears(BOB), [Closed(CloseCode::StoreFailed)]);
    assert_eq!(hall.ears(CAROL), []);
    assert_eq!((hall.stored(), hall.appending.is_none()), (0, true));
    hall.types(CAROL);
    hall.append_ends(true);
    assert_eq!(hall.ears(CAROL), [Ack(1, 1)]);
    hall.joins(MemberId(4));
    hall.pushes(MemberId(4), letter(1, 0));
    hall.append_ends(true);
    assert_eq!(hall.ears(CAROL), [Update(2)], "what was lost is not mistaken for known");
}

#[test]
fn an_append_that_failed_and_happened_all_the_same_is_told_from_the_log() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.ears(BOB);
    hall.holds_appends = true;
    hall.types(ALICE);
    let (epoch, entries) = hall.appending.clone().unwrap();
    hall.log.append(hall.room.name(), epoch, entries).now_or_never().unwrap().unwrap();
    hall.append_ends(false);
    assert_eq!(hall.ears(BOB), [Update(1)]);
    hall.joins(MemberId(4));
    hall.pushes(MemberId(4), letter(1, 0));
    assert_eq!(hall.stored(), 1, "pushed again, it adds nothing");
}

#[test]
fn a_joiner_reads_the_log_in_pages_and_then_hears_everybody_live() {
    let mut hall = Hall::with(log_of(20), RoomLimits { page_bytes: 60, ..RoomLimits::default() });
    hall.joins(BOB);
    hall.ears(BOB);
    hall.stuck.insert(ALICE);
    hall.joins(ALICE);
    hall.types(BOB);
    while hall.watched.contains(&ALICE) {
        hall.drains(ALICE);
        hall.stuck.insert(ALICE);
    }
    hall.types(BOB);
    let expected: Vec<Heard> = [Joined(Mode::Reset, 20)].into_iter().chain((1..=22).map(Update)).collect();
    assert_eq!(hall.ears(ALICE), expected);
}

/// [D3]
#[test]
fn a_slow_peer_falls_back_to_the_log_and_nothing_is_skipped_or_doubled() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.types(BOB);
    hall.stuck.insert(ALICE);
    hall.room.handle_slow(ALICE);
    hall.run();
    (0..5).for_each(|_| hall.types(BOB));
    hall.types(ALICE);
    assert_eq!(hall.ears(ALICE), [Joined(Mode::Resumed, 0), Update(1)]);
    hall.drains(ALICE);
    let caught_up: Vec<Heard> = (2..=7).map(Update).chain([Ack(1, 7)]).collect();
    assert_eq!(hall.ears(ALICE), caught_up, "its own entry comes from the log, and its ack behind it");
    hall.types(BOB);
    assert_eq!(hall.ears(ALICE), [Update(8)]);
}

/// [J3] [J4]
#[test]
fn a_cursor_is_resumed_at_the_floor_and_reset_one_below_it() {
    let log = log_of(10);
    let name = RoomName::new("hall").unwrap();
    let snapshot = Snapshot { seq: 6, update: letter(50, 0) };
    log.put_snapshot(&name, FRESH, 0, snapshot, 4).now_or_never().unwrap().unwrap();
    let mut hall = Hall::open(log);
    hall.joins_at(ALICE, 4);
    let tail: Vec<Heard> = (5..=10).map(Update).collect();
    assert_eq!(hall.ears(ALICE), [&[Joined(Mode::Resumed, 10)][..], &tail].concat());
    hall.joins_at(BOB, 3);
    assert_eq!(hall.ears(BOB), [&[Joined(Mode::Reset, 10), Snap(6)][..], &tail[2..]].concat());
    hall.joins_at(CAROL, 11);
    assert_eq!(hall.ears(CAROL)[..2], [Joined(Mode::Reset, 10), Snap(6)], "a cursor ahead of the log");
    let other = Cursor { epoch: Epoch([1; 16]), seq: Seq(10) };
    hall.join(MemberId(4), Some(other), Access::ReadWrite);
    assert_eq!(hall.ears(MemberId(4))[0], Joined(Mode::Reset, 10));
}

/// [J7]
#[test]
fn a_room_without_a_log_resumes_newcomers_and_resets_those_who_knew_another() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.join(BOB, Some(Cursor { epoch: Epoch([1; 16]), seq: Seq(3) }), Access::ReadWrite);
    assert_eq!(hall.ears(ALICE), [Joined(Mode::Resumed, 0)]);
    assert_eq!(hall.ears(BOB), [Joined(Mode::Reset, 0)]);
}

/// [P2]
#[test]
fn a_refused_push_is_nacked_once_and_everything_behind_it_is_dropped() {
    let mut hall = Hall::empty();
    hall.join(ALICE, None, Access::ReadOnly);
    hall.types(ALICE);
    hall.types(ALICE);
    assert_eq!(hall.ears(ALICE), [Joined(Mode::Resumed, 0), Nack(1, 4403)]);
    hall.joins(BOB);
    hall.types(BOB);
    hall.room.handle_bad_push(BOB, 2, 5, CloseCode::Malformed, "no update");
    hall.run();
    hall.types(BOB);
    assert_eq!(hall.ears(BOB), [Joined(Mode::Resumed, 0), Ack(1, 1), Nack(2, 4400)]);
    assert_eq!(hall.stored(), 1);
    assert_eq!(hall.settled[&BOB], 2 * letter(2, 0).len() + 5, "and its budget is given back");
}

/// [P1]
#[test]
fn pushes_out_of_order_close_the_connection() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    let update = letter(1, 0);
    hall.room.handle_push(ALICE, 2, update.clone(), scan(&update).unwrap());
    hall.run();
    assert_eq!(hall.ears(ALICE)[1..], [Closed(CloseCode::OutOfOrder)]);
}

#[test]
fn what_a_member_pushed_before_it_left_is_stored() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.holds_appends = true;
    hall.types(ALICE);
    hall.types(ALICE);
    hall.leaves(ALICE);
    hall.append_ends(true);
    hall.append_ends(true);
    assert_eq!(hall.ears(BOB)[1..], [Update(1), Update(2)]);
}

#[test]
fn a_log_that_was_deleted_ends_the_room() {
    let log = log_of(3);
    let mut hall = Hall::open(log.clone());
    hall.joins(ALICE);
    hall.ears(ALICE);
    log.delete(hall.room.name()).now_or_never().unwrap().unwrap();
    hall.types(ALICE);
    assert_eq!(hall.ears(ALICE), [Closed(CloseCode::Restarting)]);
    assert!(hall.room.is_gone());
    assert_eq!(hall.stored(), 0, "nothing brings it back");
}

/// [Y1]
#[test]
fn a_stock_client_has_everything_before_it_counts_as_synced_and_is_asked_for_the_rest() {
    let mut hall = Hall::open(log_of(3));
    hall.joins(YJS);
    assert_eq!(hall.ears(YJS), [], "it asks first");
    hall.asks(YJS, &[]);
    let heard = hall.ears(YJS);
    let kinds: Vec<(u8, u8)> =
        heard.iter().map(|heard| if let Heard::Yjs(a, b, _) = heard { (*a, *b) } else { panic!() }).collect();
    assert_eq!(kinds, [(0, 2), (0, 2), (0, 2), (0, 1), (0, 0)], "updates, step 2, step 1");
    assert_eq!(heard[4], Heard::Yjs(0, 0, Bytes::from_static(&[1, 50, 3])), "never an empty state vector");
}

#[test]
fn a_stock_client_that_has_the_content_gets_only_deletions() {
    let mut hall = Hall::open(log_of(3));
    hall.joins(ALICE);
    hall.pushes(ALICE, delete(50, 1));
    hall.joins(YJS);
    hall.asks(YJS, &[(50, 3)]);
    assert_eq!(hall.ears(YJS)[0], Heard::Yjs(0, 1, delete(50, 1)));
}

/// [Y2]
#[test]
fn of_a_stock_clients_deletions_only_new_ones_are_stored() {
    let mut hall = Hall::open(log_of(3));
    hall.joins(ALICE);
    hall.pushes(ALICE, delete(50, 1));
    hall.joins(YJS);
    hall.asks(YJS, &[(50, 3)]);
    hall.ears(ALICE);
    hall.ears(YJS);
    hall.pushes(YJS, delete(50, 1));
    assert_eq!((hall.ears(YJS), hall.stored()), (vec![], 4), "it adds nothing");
    // One letter of its own, and both deletions.
    hall.pushes(YJS, Bytes::from_static(&[1, 1, 60, 0, 4, 1, 1, b't', 1, b'x', 1, 50, 1, 1, 2]));
    let stored = Bytes::from_static(&[1, 1, 60, 0, 4, 1, 1, b't', 1, b'x', 1, 50, 1, 2, 1]);
    assert_eq!(hall.ears(YJS), [Heard::Yjs(0, 2, stored)], "echoed as it is in the log");
    assert_eq!(hall.ears(ALICE), [Update(5)]);
}

#[test]
fn a_state_vector_claims_only_what_is_durable() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.holds_appends = true;
    hall.types(ALICE);
    hall.joins(YJS);
    hall.asks(YJS, &[]);
    let before = hall.ears(YJS);
    assert!(before.iter().all(|heard| !matches!(heard, Heard::Yjs(0, 0, _))), "{before:?}");
    hall.append_ends(true);
    let after = hall.ears(YJS);
    assert_eq!(after.last(), Some(&Heard::Yjs(0, 0, Bytes::from_static(&[1, 1, 1]))));
}

/// [E1] [E2] [E3]
#[test]
fn presence_reaches_all_but_its_owner_and_newcomers_and_ends_with_the_connection() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.shows(ALICE, "\"a\"");
    hall.joins(CAROL);
    assert_eq!(hall.ears(ALICE)[1..], []);
    for listener in [BOB, CAROL] {
        assert_eq!(hall.ears(listener)[1..], [Heard::Presence(1_001, "\"a\"".into())]);
    }
    hall.leaves(ALICE);
    assert_eq!(hall.ears(BOB), [Heard::Presence(1_001, String::new())]);
    assert_eq!(hall.ears(CAROL), [Heard::Presence(1_001, String::new())]);
}

/// [E4]
#[test]
fn presence_that_changes_too_often_is_told_at_intervals_and_its_last_state_arrives() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.ears(BOB);
    for state in ["1", "2", "3"] {
        hall.shows(ALICE, state);
    }
    assert_eq!(hall.ears(BOB), [Heard::Presence(1_001, "1".into())]);
    hall.waits(33);
    assert_eq!(hall.ears(BOB), [Heard::Presence(1_001, "3".into())]);
    hall.waits(1_000);
    assert_eq!(hall.ears(BOB), []);
    assert_eq!(hall.room.poll_timeout(), None, "an idle room has no alarm");
}

#[test]
fn a_slow_peer_is_told_the_presence_that_it_missed() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(BOB);
    hall.joins(CAROL);
    hall.shows(CAROL, "\"c\"");
    hall.stuck.insert(ALICE);
    hall.room.handle_slow(ALICE);
    hall.run();
    hall.shows(BOB, "\"b\"");
    hall.leaves(CAROL);
    hall.ears(ALICE);
    hall.drains(ALICE);
    assert_eq!(
        hall.ears(ALICE),
        [Heard::Presence(1_002, "\"b\"".into()), Heard::Presence(1_003, String::new())]
    );
}

#[test]
fn stock_clients_hear_of_hither_members_again_before_they_forget_them() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.shows(ALICE, "{}");
    hall.joins(YJS);
    assert!(matches!(hall.ears(YJS)[..], [Heard::Yjs(1, ..)]));
    let mut heard = Vec::new();
    for _ in 0..4 {
        hall.waits(15_000);
        heard.extend(hall.ears(YJS));
    }
    assert!(heard.len() >= 4 && heard.iter().all(|heard| matches!(heard, Heard::Yjs(1, ..))), "{heard:?}");
    assert_eq!(hall.ears(ALICE).len(), 1, "only Joined");
    hall.leaves(ALICE);
    hall.ears(YJS);
    hall.waits(15_000);
    assert_eq!(hall.ears(YJS), [Heard::Yjs(1, 1, Bytes::new())], "and hear something even if nobody is here");
}

#[test]
fn a_room_is_idle_when_nobody_is_in_it_and_nothing_is_under_way() {
    let mut hall = Hall::empty();
    assert!(hall.room.is_idle());
    hall.joins(ALICE);
    assert!(!hall.room.is_idle());
    hall.holds_appends = true;
    hall.types(ALICE);
    hall.leaves(ALICE);
    assert!(!hall.room.is_idle());
    hall.append_ends(true);
    assert!(hall.room.is_idle());
}
