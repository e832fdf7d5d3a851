//! Who is here: the last state of every connection that has one. Never stored, and gone with its connection.
//!
//! One number names a person on both doors: a Hither member's peer number is the awareness client id that
//! stock clients see, and a stock client's id is the peer number that Hither members see. Peer numbers are
//! random, so they do not meet ids that stock clients remember from before a restart of the relay.
//!
//! Stock clients repeat to the relay whatever they hear, and drop whom they have not heard of for 30 s. So an
//! entry counts only if its clock is higher than the known one, only its owner can remove it, and the relay
//! renews the entries of Hither members.

use super::member::MemberId;
use crate::yprotocol::AwarenessEntry;
use bytes::Bytes;
use std::collections::BTreeMap;

/// One person.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) owner: MemberId,
    pub(crate) clock: u32,
    pub(crate) state: Bytes,
    renewed_by: RenewedBy,
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

/// Everybody who has a state.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    people: BTreeMap<u64, Person>,
}

impl Presence {
    pub(crate) fn get(&self, peer: u64) -> Option<&Person> {
        self.people.get(&peer)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Person)> {
        self.people.iter().map(|(&peer, person)| (peer, person))
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// A Hither member's state; empty for none.
    pub(crate) fn set(&mut self, owner: MemberId, peer: u64, state: &Bytes) -> Option<Departed> {
        if state.is_empty() {
            return self.people.remove(&peer).map(|person| Departed { peer, clock: person.clock + 1 });
        }
        let state = Bytes::copy_from_slice(state);
        match self.people.get_mut(&peer) {
            Some(person) => {
                person.clock += 1;
                person.state = state;
            }
            None => {
                let person = Person { owner, clock: 1, state, renewed_by: RenewedBy::Relay };
                self.people.insert(peer, person);
            }
        }
        None
    }

    /// What a stock client says of somebody who is here, itself or another. `most`: entries that one
    /// connection may own.
    pub(crate) fn hear(&mut self, from: MemberId, entry: &AwarenessEntry, most: usize) -> Change {
        let Some(state) = &entry.state else { return Change::None };
        // Counted only where an entry is about to be added: echoes are frequent and change nothing.
        let is_full = |people: &BTreeMap<u64, Person>| {
            people.values().filter(|person| person.owner == from).count() >= most
        };
        match self.people.get(&entry.client) {
            Some(person) if person.renewed_by == RenewedBy::Relay || entry.clock <= person.clock => {
                return Change::None;
            }
            Some(person) if person.owner == from => {}
            // Somebody new, or somebody who has come back before the old socket was missed.
            _ if is_full(&self.people) => return Change::None,
            _ => {}
        }
        match self.people.get_mut(&entry.client) {
            Some(person) => {
                person.owner = from;
                person.clock = entry.clock;
                if person.state == state {
                    return Change::Renewed;
                }
                person.state = Bytes::copy_from_slice(state);
            }
            None => {
                let state = Bytes::copy_from_slice(state);
                let person = Person { owner: from, clock: entry.clock, state, renewed_by: RenewedBy::Owner };
                self.people.insert(entry.client, person);
            }
        }
        Change::State
    }

    /// A stock client says that somebody is gone; believed of its own entries only.
    pub(crate) fn hear_gone(&mut self, from: MemberId, entry: &AwarenessEntry) -> Option<Departed> {
        let person = self.people.get(&entry.client)?;
        if person.owner != from || entry.clock < person.clock || person.renewed_by == RenewedBy::Relay {
            return None;
        }
        self.people.remove(&entry.client);
        Some(Departed { peer: entry.client, clock: entry.clock })
    }

    /// A connection is gone, and everybody on it.
    pub(crate) fn leave(&mut self, owner: MemberId) -> Vec<Departed> {
        let gone: Vec<Departed> = self
            .iter()
            .filter(|(_, person)| person.owner == owner)
            // Stock clients take a null at the same clock; a higher one would hide the client's return.
            .map(|(peer, person)| Departed { peer, clock: person.clock })
            .collect();
        gone.iter().for_each(|departed| {
            self.people.remove(&departed.peer);
        });
        gone
    }

    /// Raises the clocks of everybody whom the relay renews, and names them.
    pub(crate) fn renew(&mut self) -> Vec<u64> {
        let mut renewed = Vec::new();
        for (&peer, person) in &mut self.people {
            if person.renewed_by == RenewedBy::Relay {
                person.clock += 1;
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
        assert!(presence.hear_gone(BOB, &entry(7, 1, None)).is_none(), "only the owner can remove it");
        assert_eq!(presence.hear(ALICE, &entry(7, 2, Some("{}")), 4), Change::Renewed);
        assert!(presence.hear_gone(ALICE, &entry(7, 2, None)).is_some(), "null counts at an equal clock");
        assert!(presence.is_empty());
    }

    #[test]
    fn a_client_that_comes_back_takes_its_entry_along() {
        let mut presence = Presence::default();
        presence.hear(ALICE, &entry(7, 1, Some("{}")), 4);
        assert_eq!(presence.hear(BOB, &entry(7, 2, Some("{}")), 4), Change::Renewed);
        assert!(presence.leave(ALICE).is_empty(), "the old socket has nobody left");
        assert_eq!(presence.leave(BOB).len(), 1);
    }

    #[test]
    fn nobody_speaks_for_a_hither_member_and_the_relay_renews_it() {
        let mut presence = Presence::default();
        assert!(presence.set(ALICE, 99, &Bytes::from_static(b"1")).is_none());
        assert_eq!(presence.hear(BOB, &entry(99, 50, Some("2")), 4), Change::None);
        assert!(presence.hear_gone(BOB, &entry(99, 50, None)).is_none());
        assert_eq!(presence.renew(), [99]);
        assert_eq!(presence.get(99).map(|person| person.clock), Some(2));
        assert_eq!(presence.set(ALICE, 99, &Bytes::new()).map(|departed| departed.clock), Some(3));
    }

    #[test]
    fn entries_of_one_connection_are_accepted_at_the_limit_and_ignored_one_past_it() {
        let mut presence = Presence::default();
        for client in 1..=4 {
            assert_eq!(presence.hear(ALICE, &entry(client, 1, Some("{}")), 4), Change::State);
        }
        assert_eq!(presence.hear(ALICE, &entry(5, 1, Some("{}")), 4), Change::None);
    }
}
