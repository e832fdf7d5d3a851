//! Stories of members whose queues are long.

use super::*;
use crate::yprotocol::AwarenessEntry;

fn presence_messages(heard: &[Heard]) -> usize {
    heard.iter().filter(|heard| matches!(heard, Heard::Yjs(1, ..))).count()
}

/// [D3]
#[test]
fn nothing_is_read_for_a_member_whose_queue_is_long() {
    let mut hall = Hall::open(log_of(3));
    hall.stuck.insert(BOB);
    hall.joins(BOB);
    assert_eq!(hall.ears(BOB), [Joined(Mode::Reset, 3)]);
    assert_eq!(hall.reads, 0);
    assert!(!hall.room.is_reading(BOB));
    hall.drains(BOB);
    assert_eq!(hall.ears(BOB), [Update(1), Update(2), Update(3)]);
}

#[test]
fn a_stock_client_that_reads_nothing_is_told_of_nobody_until_it_does() {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(YJS);
    hall.shows(ALICE, "1");
    assert_eq!(presence_messages(&hall.ears(YJS)), 1);
    hall.stuck.insert(YJS);
    hall.room.handle_slow(YJS);
    hall.run();
    for state in ["2", "3", "4"] {
        hall.waits(40);
        hall.shows(ALICE, state);
    }
    for _ in 0..100 {
        hall.room.handle_query_awareness(YJS);
        hall.run();
    }
    assert_eq!(hall.ears(YJS), []);
    hall.drains(YJS);
    assert_eq!(presence_messages(&hall.ears(YJS)), 1, "the last state, once");
    // It has said nothing of the log yet, and is still told of everybody.
    hall.waits(40);
    hall.shows(ALICE, "5");
    assert_eq!(presence_messages(&hall.ears(YJS)), 1);
    let entry = AwarenessEntry { client: 7, clock: 1, state: Some(Bytes::from_static(b"{}")) };
    hall.room.handle_awareness(YJS, &[entry], hall.now);
    hall.run();
    assert_eq!(presence_messages(&hall.ears(YJS)), 1);
}

#[test]
fn a_stock_client_that_is_slow_while_it_reads_the_log_is_told_of_people_when_it_has_read_it() {
    let mut hall = Hall::open(log_of(3));
    hall.joins(ALICE);
    hall.joins(YJS);
    hall.stuck.insert(YJS);
    hall.asks(YJS, &[]);
    hall.room.handle_slow(YJS);
    hall.shows(ALICE, "1");
    assert_eq!(hall.ears(YJS), []);
    hall.drains(YJS);
    let heard = hall.ears(YJS);
    assert_eq!(presence_messages(&heard), 1, "{heard:?}");
    assert!(matches!(heard[0], Heard::Yjs(0, 2, _)), "the log comes first: {heard:?}");
}
