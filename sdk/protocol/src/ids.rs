//! Names and numbers that frames carry: newtypes, so that a seq is never taken for a channel.

use crate::limits::MAX_ROOM_NAME_BYTES;
use std::fmt;
use std::sync::Arc;

/// The name of a room: 1 to 256 bytes of UTF-8. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

/// A text that cannot name a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    /// The empty text names no room.
    #[error("a room name is empty")]
    Empty,
    /// Longer than [`MAX_ROOM_NAME_BYTES`].
    #[error("a room name has {bytes} bytes, at most {MAX_ROOM_NAME_BYTES} are allowed")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl RoomName {
    /// Checks the length; every other UTF-8 text is a name.
    pub fn new(name: &str) -> Result<Self, RoomNameError> {
        match name.len() {
            0 => Err(RoomNameError::Empty),
            bytes if bytes > MAX_ROOM_NAME_BYTES => Err(RoomNameError::TooLong { bytes }),
            _ => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::str::FromStr for RoomName {
    type Err = RoomNameError;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

/// The 128-bit random name of one life of a room's log. A log that was deleted, restored or lost its tail
/// gets a new one, so that an old cursor cannot be mistaken for a position in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Epoch(pub [u8; 16]);

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How far a client has read a log: every entry up to `seq` of the life `epoch` is in its document.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cursor {
    /// The life of the log that `seq` belongs to.
    pub epoch: Epoch,
    /// The position, 0 before the first entry.
    pub seq: Seq,
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// The position of an entry in a log: 1, 2, 3… without gaps; 0 is "before the first".
    Seq
}
number! {
    /// The short number of a room on one relay node, the same for all of its sockets and never used twice by
    /// one process: an update is encoded once for everybody in the room.
    Channel
}
number! {
    /// One connection in one room, as presence names it.
    Peer
}

impl Seq {
    /// The position after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}
