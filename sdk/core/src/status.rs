//! What is true right now about a room's connection, this device's copy and the relay's copy.

use crate::time::{Clock, Millis};
use serde::Serialize;

/// The three truths about a room. Each part is compared on its own, so that a shell can keep what did not change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The way to the relay, which may refuse one room and not another.
    pub connection: Connection,
    /// The copy on this device.
    pub local: Local,
    /// The copy on the relay.
    pub server: Server,
}

/// The way to the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[allow(missing_docs)] // reason: in words, for people
pub enum Connection {
    /// A socket is being opened.
    Connecting,
    /// The relay has answered.
    Online,
    /// The next attempt comes at `retry_at`.
    Waiting { retry_at: Millis, reason: String },
    /// Not trying: the application disconnected.
    Offline { reason: String },
    /// The relay wants another token.
    NeedsAuth { reason: String },
    /// The relay does not let this client in.
    Denied { reason: String },
    /// The relay does not speak this client's version.
    UpdateRequired { reason: String },
}

impl Connection {
    /// With its times as the shell's clock shows them.
    pub(crate) fn shown_by(self, clock: &Clock) -> Connection {
        match self {
            Connection::Waiting { retry_at, reason } => {
                Connection::Waiting { retry_at: clock.show(retry_at), reason }
            }
            other => other,
        }
    }
}

/// The copy on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[allow(missing_docs)] // cause: in words, for people
pub enum Local {
    /// The disk is being read.
    Loading,
    /// Everything is on disk.
    Saved,
    /// Something is on its way to the disk.
    Saving,
    /// The disk does not take it; everything is kept in memory and tried again.
    Degraded { cause: String },
    /// Nothing is kept on this device, and nothing will be: there is no disk, or a newer version wrote this room there.
    Absent { cause: String },
}

/// The copy on the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[allow(missing_docs)]
pub enum Server {
    /// Every edit made here is durable on the relay.
    Saved,
    /// `count` edits are not, the oldest made at `oldest_at`.
    Pending { count: u64, oldest_at: Millis },
    /// The relay refuses what this client writes; it stays on this device.
    Refused { code: u16, message: String },
}

/// How far edits have come. All are cumulative: edit numbers count 1, 2, 3… per open room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Edits {
    /// The newest edit.
    pub made: u64,
    /// Edits up to this one are on this device's disk.
    pub saved: u64,
    /// Edits up to this one are durable on the relay.
    pub acked: u64,
}
