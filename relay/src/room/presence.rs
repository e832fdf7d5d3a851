//! Who is here: the last state of every connection that has one. Never stored, and gone with its connection.
//!
//! One number names a person on both doors: a Hither member's peer number is the awareness client id that
//! stock clients see, and a stock client's id is the peer number that Hither members see. Peer numbers are
//! random, so they do not meet ids that stock clients remember from before a restart of the relay.
//!
//! Stock clients repeat to the relay whatever they hear, and drop whom they have not heard of for 30 s. So an
//! entry counts only if its clock is higher than the known one, only its owner can remove it, and the relay
//! renews the entries of Hither members.

use super::Millis;
use super::member::MemberId;
use crate::yprotocol::AwarenessEntry;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// One person.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) owner: MemberId,
    pub(crate) clock: u32,
    /// Empty: it shows nothing any more, and that was told a moment ago or will be.
    pub(crate) state: Bytes,
    /// When everybody was told of it last.
    pub(crate) told_at: Option<Millis>,
    renewed_by: RenewedBy,
}

impl Person {
    fn new(owner: MemberId, clock: u32, renewed_by: RenewedBy) -> Person {
        Person { owner, clock, state: Bytes::new(), told_at: None, renewed_by }
    }
}

/// Who keeps stock clients from forgetting a person.
#[derive(Debug, PartialEq, Eq)]
enum RenewedBy {
    Relay,
    Owner,
}

/// What a fact changed for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// Only the clock: stock clients must hear it, or they forget the person.
    Renewed,
    /// The state.
    State,
}

/// A departed person, as the others must hear it.
#[derive(Debug)]
pub(crate) struct Departed {
    pub(crate) peer: u64,
    pub(crate) clock: u32,
}

/// Everybody who has a state, or had one a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    people: BTreeMap<u64, Person>,
    /// The numbers of Hither members.
    reserved: BTreeSet<u64>,
}

impl Presence {
    pub(crate) fn get(&self, peer: u64) -> Option<&Person> {
        self.people.get(&peer)
    }

    pub(crate) fn get_mut(&mut self, peer: u64) -> Option<&mut Person> {
        self.people.get_mut(&peer)
    }

    /// Everybody who shows something.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (u64, &Person)> {
        self.people
            .iter()
            .map(|(&peer, person)| (peer, person))
            .filter(|(_, person)| !person.state.is_empty())
    }

    /// A Hither member has this number: stock clients cannot speak for it, whether it shows anything or not.
    pub(crate) fn reserve(&mut self, peer: u64) {
        self.reserved.insert(peer);
    }

    /// A Hither member's state; empty for none. Whether that is news.
    pub(crate) fn set(&mut self, owner: MemberId, peer: u64, state: &Bytes) -> bool {
        let person = match self.people.entry(peer) {
            Entry::Vacant(_) if state.is_empty() => return false,
            Entry::Vacant(vacant) => vacant.insert(Person::new(owner, 0, RenewedBy::Relay)),
            Entry::Occupied(person) => person.into_mut(),
        };
        if state.is_empty() && person.state.is_empty() {
            return false;
        }
        // Whoever had this number before it was a member's has it no more.
        person.owner = owner;
        person.renewed_by = RenewedBy::Relay;
        person.clock = person.clock.saturating_add(1);
        person.state = Bytes::copy_from_slice(state);
        true
    }

    /// What a stock client says of somebody, itself or another. `most`: entries that one connection may own.
    pub(crate) fn hear(&mut self, from: MemberId, entry: &AwarenessEntry, most: usize) -> Change {
        if self.reserved.contains(&entry.client) {
            return Change::None;
        }
        let Some(state) = &entry.state else { return self.hear_gone(from, entry) };
        // Counted only where an entry is about to be added: echoes are frequent and change nothing.
        let is_full = |people: &BTreeMap<u64, Person>| {
            people.values().filter(|person| person.owner == from).count() >= most
        };
        match self.people.get(&entry.client) {
            Some(person) if entry.clock <= person.clock => return Change::None,
            Some(person) if person.owner == from => {}
            // Somebody new, or somebody who has come back before the old socket was missed.
            _ if is_full(&self.people) => return Change::None,
            _ => {}
        }
        let person = self
            .people
            .entry(entry.client)
            .or_insert_with(|| Person::new(from, entry.clock, RenewedBy::Owner));
        person.owner = from;
        person.clock = entry.clock;
        if person.state == state {
            return Change::Renewed;
        }
        person.state = Bytes::copy_from_slice(state);
        Change::State
    }

    /// A stock client says that somebody is gone; believed of its own entries only. The entry stays, and counts as its
    /// owner's, until everybody has heard it for a while: or new ones could come and go without end.
    fn hear_gone(&mut self, from: MemberId, entry: &AwarenessEntry) -> Change {
        match self.people.get_mut(&entry.client) {
            Some(person)
                if person.owner == from && entry.clock >= person.clock && !person.state.is_empty() =>
            {
                person.clock = entry.clock;
                person.state = Bytes::new();
                Change::State
            }
            _ => Change::None,
        }
    }

    /// A connection is gone, and everybody on it. `peer`: the number that it had.
    pub(crate) fn leave(&mut self, owner: MemberId, peer: u64) -> Vec<Departed> {
        self.reserved.remove(&peer);
        let mut gone = Vec::new();
        self.people.retain(|&peer, person| {
            if person.owner == owner {
                // Stock clients take a null at the same clock; a higher one would hide the client's return.
                gone.push(Departed { peer, clock: person.clock });
            }
            person.owner != owner
        });
        gone
    }

    /// Somebody who shows nothing need not be remembered any more.
    pub(crate) fn forget_if_gone(&mut self, peer: u64) {
        if self.people.get(&peer).is_some_and(|person| person.state.is_empty()) {
            self.people.remove(&peer);
        }
    }

    /// Raises the clocks of everybody whom the relay renews, and names them.
    pub(crate) fn renew(&mut self) -> Vec<u64> {
        let mut renewed = Vec::new();
        for (&peer, person) in &mut self.people {
            if person.renewed_by == RenewedBy::Relay && !person.state.is_empty() {
                person.clock = person.clock.saturating_add(1);
                renewed.push(peer);
            }
        }
        renewed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: MemberId = MemberId(1);
    const BOB: MemberId = MemberId(2);

    fn entry(client: u64, clock: u32, state: Option<&'static str>) -> AwarenessEntry {
        AwarenessEntry { client, clock, state: state.map(|text| Bytes::from_static(text.as_bytes())) }
    }

    #[test]
    fn an_echo_of_what_is_known_changes_nothing() {
        let mut presence = Presence::default();
        assert_eq!(presence.hear(ALICE, &entry(7, 1, Some("{}")), 4), Change::State);
        assert_eq!(presence.hear(BOB, &entry(7, 1, Some("{}")), 4), Change::None);
        assert_eq!(presence.hear(BOB, &entry(7, 1, None), 4), Change::None, "only the owner can remove it");
        assert_eq!(presence.hear(ALICE, &entry(7, 2, Some("{}")), 4), Change::Renewed);
        assert_eq!(
            presence.hear(ALICE, &entry(7, 2, None), 4),
            Change::State,
            "null counts at an equal clock"
        );
        assert_eq!(presence.hear(ALICE, &entry(7, 2, None), 4), Change::None);
        assert_eq!(presence.shown().count(), 0);
    }

    #[test]
    fn a_client_that_comes_back_takes_its_entry_along() {
        let mut presence = Presence::default();
        presence.hear(ALICE, &entry(7, 1, Some("{}")), 4);
        assert_eq!(presence.hear(BOB, &entry(7, 2, Some("{}")), 4), Change::Renewed);
        assert!(presence.leave(ALICE, 1).is_empty(), "the old socket has nobody left");
        assert_eq!(presence.leave(BOB, 2).len(), 1);
    }

    #[test]
    fn nobody_speaks_for_a_hither_member_and_the_relay_renews_it() {
        let mut presence = Presence::default();
        presence.reserve(99);
        let highest = entry(99, u32::MAX, Some("2"));
        assert_eq!(presence.hear(BOB, &highest, 4), Change::None, "not before it shows anything");
        assert!(presence.set(ALICE, 99, &Bytes::from_static(b"1")));
        assert_eq!(presence.hear(BOB, &highest, 4), Change::None);
        assert_eq!(presence.hear(BOB, &entry(99, u32::MAX, None), 4), Change::None);
        assert_eq!(presence.renew(), [99]);
        assert_eq!(presence.get(99).map(|person| person.clock), Some(2));
        assert!(presence.set(ALICE, 99, &Bytes::new()));
        assert_eq!(presence.get(99).map(|person| person.clock), Some(3));
        presence.forget_if_gone(99);
        assert_eq!(presence.hear(BOB, &highest, 4), Change::None, "nor afterwards");
        assert!(presence.set(ALICE, 99, &Bytes::from_static(b"1")));
        assert_eq!(presence.leave(ALICE, 99).len(), 1);
        assert!(presence.get(99).is_none(), "no ghost");
    }

    #[test]
    fn a_member_whose_number_somebody_had_already_owns_it() {
        let mut presence = Presence::default();
        presence.hear(BOB, &entry(99, u32::MAX, Some("2")), 4);
        presence.reserve(99);
        assert!(presence.set(ALICE, 99, &Bytes::from_static(b"1")));
        assert_eq!(presence.renew(), [99]);
        assert!(presence.leave(BOB, 2).is_empty());
        assert_eq!(presence.leave(ALICE, 99).len(), 1, "no ghost");
    }

    #[test]
    fn entries_of_one_connection_are_accepted_at_the_limit_and_ignored_one_past_it() {
        let mut presence = Presence::default();
        for client in 1..=4 {
            assert_eq!(presence.hear(ALICE, &entry(client, 1, Some("{}")), 4), Change::State);
        }
        assert_eq!(presence.hear(ALICE, &entry(5, 1, Some("{}")), 4), Change::None);
        presence.hear(ALICE, &entry(4, 1, None), 4);
        assert_eq!(presence.hear(ALICE, &entry(5, 1, Some("{}")), 4), Change::None, "not at once");
        presence.forget_if_gone(4);
        assert_eq!(presence.hear(ALICE, &entry(5, 1, Some("{}")), 4), Change::State);
    }
}
