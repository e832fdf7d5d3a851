//! Why a socket closes or a request is refused. 44xx: coming back with the same words will not help;
//! 45xx: come back later.

use crate::limits::MAX_REASON_BYTES;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// A close code of the WebSocket, and the code of Nack, Left and Refused.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u16)]
        pub enum CloseCode { $($(#[$doc])* $name = $code,)* }

        impl CloseCode {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [CloseCode] = &[$(CloseCode::$name,)*];

            /// The code with this number.
            pub fn from_number(number: u64) -> Option<CloseCode> {
                match number { $($code => Some(CloseCode::$name),)* _ => None }
            }

            /// What it means, in a few words.
            pub fn meaning(self) -> &'static str {
                match self { $(CloseCode::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// Bytes that are no frame, no update, or no presence.
    Malformed = 4400, "malformed";
    /// A frame where the protocol has no place for it.
    OutOfOrder = 4401, "out of order";
    /// No version in common.
    Version = 4402, "version not supported";
    /// Not allowed to read, or not allowed to write.
    Denied = 4403, "denied";
    /// More bytes than a limit allows.
    TooLarge = 4404, "too large";
    /// More requests than a limit allows.
    TooMany = 4429, "too many";
    /// The store could not make an update durable.
    StoreFailed = 4500, "store failed";
    /// The relay goes away for a moment.
    Restarting = 4501, "restarting";
    /// The relay has no room for more right now.
    Busy = 4502, "busy";
    /// Nothing was heard for too long.
    Silent = 4503, "silent";
}

impl CloseCode {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Whether coming back later can help.
    pub fn is_retry(self) -> bool {
        self.number() >= 4500
    }
}

/// A reason cut to what a close frame carries, at a character's edge.
pub fn short_reason(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// Whether a socket that closed with this code met passing trouble (1001, 1006, 1011, 1013, 45xx…). After a 44xx the same
/// words will not do better: a client waits long, or until somebody acts.
pub fn is_retry(code: u16) -> bool {
    !(4400..4500).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_round_trip() {
        for &code in CloseCode::ALL {
            assert_eq!(CloseCode::from_number(u64::from(code.number())), Some(code));
            assert_eq!(code.is_retry(), is_retry(code.number()));
        }
        assert_eq!(CloseCode::from_number(4499), None);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let long = "é".repeat(100);
        assert_eq!(short_reason(&long).len(), 122);
        assert_eq!(short_reason("short"), "short");
    }
}
