//! Stories of people who change too often, and of who speaks for whom.

use super::*;
use crate::yprotocol::AwarenessEntry;

impl Hall {
    /// A stock client says what somebody shows.
    fn says(&mut self, member: MemberId, client: u64, clock: u32, state: Option<&'static str>) {
        let state = state.map(|text| Bytes::from_static(text.as_bytes()));
        self.room.handle_awareness(member, &[AwarenessEntry { client, clock, state }], self.now);
        self.run();
    }
}

/// Alice and a stock client listen, and have heard nothing yet.
fn audience() -> Hall {
    let mut hall = Hall::empty();
    hall.joins(ALICE);
    hall.joins(YJS);
    hall.ears(ALICE);
    hall
}

/// [E4]
#[test]
fn a_stock_client_that_renews_itself_all_the_time_is_told_of_at_intervals() {
    let mut hall = audience();
    for clock in 1..=330 {
        hall.says(YJS, 7, clock, Some("{}"));
        hall.waits(1);
    }
    let told = hall.ears(YJS).len();
    assert!((10..=11).contains(&told), "{told} times in 330 ms");
    assert_eq!(hall.ears(ALICE).len(), 1, "nothing has changed for her");
}

/// [E4]
#[test]
fn who_shows_something_and_nothing_in_turns_is_told_of_at_intervals_and_the_last_state_arrives() {
    let mut hall = audience();
    hall.joins(BOB);
    for round in 0..165 {
        hall.shows(BOB, "1");
        hall.says(YJS, 7, 2 * round + 1, Some("{}"));
        hall.waits(1);
        hall.shows(BOB, "");
        hall.says(YJS, 7, 2 * round + 2, None);
        hall.waits(1);
    }
    hall.waits(100);
    let heard = hall.ears(ALICE);
    let of = |who: u64| {
        heard.iter().filter(move |heard| matches!(heard, Heard::Presence(peer, _) if *peer == who))
    };
    for who in [1_002, 7] {
        let told = of(who).count();
        assert!((2..=13).contains(&told), "{who}: {told} times in 330 ms");
        assert_eq!(of(who).next_back(), Some(&Heard::Presence(who, String::new())));
    }
    hall.waits(1_000);
    hall.leaves(YJS);
    assert_eq!(hall.ears(ALICE), [], "they were told that there is nobody");
    assert_eq!(hall.room.poll_timeout(), None, "an idle room has no alarm");
}

/// [E4]
#[test]
fn a_stock_client_that_invents_people_without_end_is_told_of_as_many_as_it_may_have() {
    let mut hall = audience();
    for client in 1..=330 {
        hall.says(YJS, client, 1, Some("{}"));
        hall.says(YJS, client, 1, None);
        hall.waits(1);
    }
    let people = RoomLimits::default().people_per_member;
    let told = hall.ears(ALICE).len();
    assert!(told <= people * 12, "{told} times in 330 ms");
}

/// [E3]
#[test]
fn somebody_who_leaves_is_told_of_at_once() {
    let mut hall = audience();
    hall.joins(BOB);
    hall.shows(BOB, "1");
    hall.leaves(BOB);
    hall.says(YJS, 7, 1, Some("{}"));
    hall.leaves(YJS);
    let (bob, yjs) = (1_002, 7);
    let shows = |who: u64, what: &str| Heard::Presence(who, what.into());
    assert_eq!(hall.ears(ALICE), [shows(bob, "1"), shows(bob, ""), shows(yjs, "{}"), shows(yjs, "")]);
}

#[test]
fn a_stock_client_cannot_take_the_place_of_a_hither_member_that_shows_nothing() {
    let mut hall = audience();
    hall.joins(BOB);
    hall.says(YJS, 1_002, u32::MAX, Some("\"false\""));
    assert_eq!(hall.ears(ALICE), []);
    hall.shows(BOB, "\"true\"");
    assert_eq!(hall.ears(ALICE), [Heard::Presence(1_002, "\"true\"".into())]);
    hall.leaves(BOB);
    assert_eq!(hall.ears(ALICE), [Heard::Presence(1_002, String::new())]);
    hall.joins(CAROL);
    assert_eq!(hall.ears(CAROL)[1..], [], "no ghost");
}
