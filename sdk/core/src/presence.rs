//! Who is in a room: what this client shows of itself, and what others show of themselves.

use crate::ChangeError;
use crate::sorted::Sorted;
use crate::time::Millis;
use bytes::Bytes;
use hither_protocol::ids::Peer;
use hither_protocol::limits::MAX_PRESENCE_BYTES;

/// The shortest time between two presence frames, in milliseconds: 20 a second look fluent.
const INTERVAL_MS: u64 = 50;

/// Who else is here.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Presence {
    /// This connection's number while the room is joined.
    pub self_peer: Option<u64>,
    /// The others' states, JSON texts by connection.
    pub others: Sorted<u64, String>,
}

/// Both sides of it, for one room.
#[derive(Debug, Default)]
pub(crate) struct Attendance {
    seen: Presence,
    has_changed: bool,
    own: Option<String>,
    /// When the others may hear of `own`.
    due: Option<Millis>,
    sent: Millis,
}

impl Attendance {
    pub(crate) fn seen(&self) -> &Presence {
        &self.seen
    }

    /// Shows a JSON text to the others; nothing hides it.
    pub(crate) fn show(&mut self, now: Millis, state: Option<String>) -> Result<(), ChangeError> {
        let bytes = state.as_ref().map_or(0, String::len);
        if bytes > MAX_PRESENCE_BYTES {
            return Err(ChangeError::TooLarge { bytes, limit: MAX_PRESENCE_BYTES });
        }
        if self.own != state {
            self.own = state;
            self.due = Some((self.sent + INTERVAL_MS).max(now));
        }
        Ok(())
    }

    /// The relay has let us in under this number.
    pub(crate) fn on_joined(&mut self, peer: Peer) {
        self.seen.self_peer = Some(peer.0);
        self.has_changed = true;
    }

    /// The relay listens from now on: it knows nothing of us.
    pub(crate) fn on_live(&mut self, now: Millis) {
        if self.own.is_some() {
            self.due = Some(now);
        }
    }

    /// What another connection shows; nothing when it left.
    pub(crate) fn on_peer(&mut self, peer: Peer, state: &Bytes) {
        self.has_changed = true;
        match std::str::from_utf8(state) {
            Ok("") => {
                self.seen.others.remove(peer.0);
            }
            Ok(state) => {
                self.seen.others.insert(peer.0, state.to_owned());
            }
            Err(_) => {}
        }
    }

    /// We are not in the room any more, and see nobody.
    pub(crate) fn on_away(&mut self) {
        if self.seen != Presence::default() {
            self.seen = Presence::default();
            self.has_changed = true;
        }
    }

    /// When [`Attendance::take_due`] has something.
    pub(crate) fn due(&self) -> Option<Millis> {
        self.due
    }

    /// What is to be said of ourselves now; empty hides us.
    pub(crate) fn take_due(&mut self, now: Millis) -> Option<Bytes> {
        self.due.take_if(|due| *due <= now)?;
        self.sent = now;
        Some(self.own.clone().unwrap_or_default().into())
    }

    /// What is seen, if that changed since the last time.
    pub(crate) fn take_changed(&mut self) -> Option<Presence> {
        std::mem::take(&mut self.has_changed).then(|| self.seen.clone())
    }
}
