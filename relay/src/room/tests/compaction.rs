//! When a room asks to be compacted.

use super::*;

#[test]
fn a_long_tail_is_compacted_once_at_a_time() {
    let limits = RoomLimits { compact_entries: 5, ..RoomLimits::default() };
    let mut hall = Hall::with(MemoryLog::new(), limits);
    hall.joins(ALICE);
    (0..4).for_each(|_| hall.types(ALICE));
    assert!(hall.compactions.is_empty());
    (0..3).for_each(|_| hall.types(ALICE));
    assert_eq!(hall.compactions.len(), 1);
    hall.room.handle_compacted(Compacted::NotBefore(9));
    hall.types(ALICE);
    assert_eq!(hall.compactions.len(), 1);
    hall.types(ALICE);
    assert_eq!(hall.compactions.len(), 2);
    hall.room.handle_compacted(Compacted::Done { snapshot: 9, floor: 4 });
    hall.types(ALICE);
    assert_eq!((hall.compactions.len(), hall.room.head().map(|head| head.floor)), (2, Some(4)));
}

#[test]
fn what_came_during_a_compaction_is_compacted_next_even_if_nothing_more_comes() {
    let limits = RoomLimits { compact_entries: 5, ..RoomLimits::default() };
    let mut hall = Hall::with(MemoryLog::new(), limits);
    hall.joins(ALICE);
    (0..20).for_each(|_| hall.types(ALICE));
    assert_eq!(hall.compactions.len(), 1);
    hall.room.handle_compacted(Compacted::Done { snapshot: 5, floor: 0 });
    hall.run();
    assert_eq!(hall.compactions.len(), 2);
    hall.room.handle_compacted(Compacted::Done { snapshot: 20, floor: 0 });
    hall.run();
    assert_eq!(hall.compactions.len(), 2);
}

#[test]
fn a_room_that_falls_quiet_is_compacted_before_its_tail_is_long() {
    let limits = RoomLimits { quiet_entries: 3, ..RoomLimits::default() };
    let mut hall = Hall::with(MemoryLog::new(), limits);
    hall.joins(ALICE);
    (0..3).for_each(|_| hall.types(ALICE));
    hall.waits(1_500);
    hall.types(ALICE);
    hall.waits(1_500);
    assert!(hall.compactions.is_empty(), "she has only paused");
    hall.leaves(ALICE);
    assert!(!hall.room.is_idle(), "it is not forgotten before");
    hall.waits(500);
    assert_eq!(hall.compactions, [Moment::Quiet]);
    hall.room.handle_compacted(Compacted::NotBefore(8));
    hall.run();
    assert!(hall.room.is_idle());

    hall.joins(BOB);
    hall.types(BOB);
    hall.waits(2_000);
    assert_eq!(hall.compactions.len(), 1, "not worth it yet");
    (0..3).for_each(|_| hall.types(BOB));
    hall.waits(2_000);
    assert_eq!(hall.compactions.len(), 2);
    hall.room.handle_compacted(Compacted::Done { snapshot: 8, floor: 0 });
    hall.types(BOB);
    hall.waits(2_000);
    assert_eq!(hall.compactions.len(), 2, "one entry more is no tail");
}

#[test]
fn a_room_that_falls_quiet_during_a_compaction_is_looked_at_after_it() {
    let limits = RoomLimits { compact_entries: 5, quiet_entries: 3, ..RoomLimits::default() };
    let mut hall = Hall::with(MemoryLog::new(), limits);
    hall.joins(ALICE);
    (0..9).for_each(|_| hall.types(ALICE));
    assert_eq!(hall.compactions, [Moment::Busy]);
    hall.waits(2_000);
    hall.room.handle_compacted(Compacted::Done { snapshot: 5, floor: 0 });
    hall.run();
    assert_eq!(hall.compactions.len(), 1, "four are no long tail");
    hall.waits(2_000);
    assert_eq!(hall.compactions, [Moment::Busy, Moment::Quiet]);
}
