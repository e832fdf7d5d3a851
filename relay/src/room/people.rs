//! People: who is told of whose presence, and when.

use super::{
    Millis, Room, Unheard, Whom, Wish,
    member::{Hearing, Member, MemberId, Phase},
    presence::{Change, Departed},
    words::{self, Kind, Seen},
};
use crate::yprotocol::AwarenessEntry;
use bytes::Bytes;
use hither_protocol::{close::CloseCode, ids::Channel};
use std::collections::{BTreeMap, VecDeque};

impl Room {
    /// A Hither member's presence: JSON, or empty for none.
    pub fn handle_presence(&mut self, id: MemberId, state: &Bytes, now: Millis) {
        let Some(member) = self.members.get(&id) else { return };
        let peer = member.peer.0;
        if self.presence.set(id, peer, state) {
            self.tell_soon([(peer, Whom::All)], now);
        }
    }

    /// What a stock client says of itself, and repeats of others.
    pub fn handle_awareness(&mut self, id: MemberId, entries: &[AwarenessEntry], now: Millis) {
        if !self.members.contains_key(&id) {
            return;
        }
        let mut changed = Vec::new();
        for entry in entries {
            match self.presence.hear(id, entry, self.limits.people_per_member) {
                Change::None => {}
                Change::Renewed => changed.push((entry.client, Whom::Stock)),
                Change::State => changed.push((entry.client, Whom::All)),
            }
        }
        self.tell_soon(changed, now);
    }

    /// A stock client asks who is here.
    pub fn handle_query_awareness(&mut self, id: MemberId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let is_slow = match (&member.phase, &member.hearing) {
            (Phase::Live | Phase::Unasked, Hearing::All) => false,
            (Phase::Unasked, Hearing::Nothing | Hearing::AllBut(_)) => true,
            // It is told when it is live.
            _ => return,
        };
        // When its queue is short, it is told of everybody and not only of what it missed.
        member.hearing = Hearing::Nothing;
        if !is_slow {
            self.tell_presence(id);
        }
    }

    /// Tells of the people whose time has come.
    pub(super) fn tell_due(&mut self, now: Millis) {
        if self.unheard.tell_at.is_some_and(|at| at <= now) {
            self.unheard.tell_at = None;
            let people = std::mem::take(&mut self.unheard.people);
            self.tell_soon(people, now);
        }
        if self.unheard.renew_at.is_some_and(|at| at <= now) {
            self.unheard.renew_at = Some(Millis(now.0 + self.limits.renew_interval_ms));
            let renewed = self.presence.renew();
            // Said even if nobody needs it: stock clients close a socket on which they hear nothing.
            self.tell_or_nod(&renewed, |kind| kind == Kind::Yjs);
        }
    }

    /// Tells of changed people now, or once their last telling is old enough.
    pub(super) fn tell_soon(&mut self, people: impl IntoIterator<Item = (u64, Whom)>, now: Millis) {
        let interval = self.limits.presence_interval_ms;
        let (mut all, mut stock) = (Vec::new(), Vec::new());
        for (peer, whom) in people {
            let Some(person) = self.presence.get_mut(peer) else { continue };
            let next = person.told_at.map(|told| Millis(told.0 + interval));
            if let Some(next) = next
                && now < next
            {
                self.unheard.later(peer, whom, next);
                continue;
            }
            match whom {
                Whom::Nobody => {
                    self.presence.forget_if_gone(peer);
                    continue;
                }
                Whom::Stock => stock.push(peer),
                Whom::All => all.push(peer),
            }
            person.told_at = Some(now);
            if person.state.is_empty() {
                self.unheard.later(peer, Whom::Nobody, Millis(now.0 + interval));
            }
        }
        self.tell(&all, |_| true);
        self.tell(&stock, |kind| kind == Kind::Yjs);
    }

    pub(super) fn tell(&mut self, people: &[u64], to: impl Fn(Kind) -> bool) {
        if !people.is_empty() {
            self.tell_or_nod(people, to);
        }
    }

    /// Tells everybody of these people as they are now.
    pub(super) fn tell_or_nod(&mut self, people: &[u64], to: impl Fn(Kind) -> bool) {
        let seen: Vec<Seen<'_>> = people
            .iter()
            .filter_map(|&peer| self.presence.get(peer).map(|person| (peer, person)))
            .map(|(peer, person)| Seen { peer, clock: person.clock, state: &person.state })
            .collect();
        if seen.is_empty() && !people.is_empty() {
            return;
        }
        let slow =
            spread(&mut self.members, &mut self.wishes, self.channel, &seen, to, self.limits.missed_people);
        self.close_slow(&slow);
    }

    pub(super) fn tell_departed(&mut self, departed: &[Departed]) {
        if departed.is_empty() {
            return;
        }
        for &Departed { peer, .. } in departed {
            self.unheard.people.remove(&peer);
        }
        let seen: Vec<Seen<'_>> =
            departed.iter().map(|&Departed { peer, clock }| Seen { peer, clock, state: &[] }).collect();
        let most = self.limits.missed_people;
        let slow = spread(&mut self.members, &mut self.wishes, self.channel, &seen, |_| true, most);
        self.close_slow(&slow);
    }

    pub(super) fn close_slow(&mut self, slow: &[MemberId]) {
        for &id in slow {
            self.close(id, CloseCode::Busy, "too slow for the presence of this room");
        }
    }

    /// Brings one member up to date.
    pub(super) fn tell_presence(&mut self, id: MemberId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let (kind, own) = (member.kind, member.peer.0);
        let missed = match std::mem::replace(&mut member.hearing, Hearing::All) {
            Hearing::All => return,
            Hearing::Nothing => None,
            Hearing::AllBut(missed) => Some(missed),
        };
        let mut seen: Vec<Seen<'_>> = Vec::new();
        match &missed {
            None => seen.extend(
                self.presence.shown().filter(|&(peer, _)| peer != own).map(|(peer, person)| Seen {
                    peer,
                    clock: person.clock,
                    state: &person.state,
                }),
            ),
            Some(missed) => {
                // Its own changes were missed like those of others, and are no news to it.
                let others = missed.iter().filter(|&(&peer, _)| peer != own);
                seen.extend(others.map(|(&peer, &clock)| match self.presence.get(peer) {
                    Some(person) => Seen { peer, clock: person.clock, state: &person.state },
                    None => Seen { peer, clock, state: &[] },
                }));
            }
        }
        if !seen.is_empty() {
            let chunk = words::presence(kind, self.channel, &seen);
            self.send(id, chunk);
        }
    }
}

impl Unheard {
    /// Somebody is told of at `at`, or when the next one is told of after that.
    fn later(&mut self, peer: u64, whom: Whom, at: Millis) {
        let known = self.people.entry(peer).or_insert(whom);
        *known = whom.max(*known);
        self.tell_at = Some(self.tell_at.map_or(at, |before| before.min(at)));
    }
}

/// Tells `seen` to all members that listen, except a Hither member of itself; whom it leaves too far behind is
/// returned.
fn spread(
    members: &mut BTreeMap<MemberId, Member>,
    wishes: &mut VecDeque<Wish>,
    channel: Channel,
    seen: &[Seen<'_>],
    to: impl Fn(Kind) -> bool,
    most_missed: usize,
) -> Vec<MemberId> {
    let mut shared: [Option<Bytes>; 2] = [None, None];
    let mut too_slow = Vec::new();
    for (&id, member) in members {
        let kind = member.kind;
        if !to(kind) {
            continue;
        }
        match &mut member.hearing {
            Hearing::Nothing => continue,
            Hearing::AllBut(missed) => {
                missed.extend(seen.iter().map(|seen| (seen.peer, seen.clock)));
                if missed.len() > most_missed {
                    too_slow.push(id);
                }
                continue;
            }
            Hearing::All => {}
        }
        let own = member.peer.0;
        let chunk = if kind == Kind::Sync && seen.iter().any(|seen| seen.peer == own) {
            let others: Vec<Seen<'_>> = seen.iter().filter(|seen| seen.peer != own).copied().collect();
            words::presence(kind, channel, &others)
        } else {
            shared[kind as usize].get_or_insert_with(|| words::presence(kind, channel, seen)).clone()
        };
        if !chunk.is_empty() {
            wishes.push_back(Wish::Send { member: id, chunk });
        }
    }
    too_slow
}
