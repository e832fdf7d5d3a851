//! How many files and sockets this process may have open, and who gets how many of them.
//!
//! ```text
//!   limit ─┬─ an eighth: tables that the store keeps open (16 to 512)
//!          ├─ 192: whatever else the store, compaction, logs and the listener open, and who is told that it is full
//!          └─ the rest: connections
//! ```
//! A store that cannot open a file in the middle of a commit or a flush is closed for writing, and the relay ends. So
//! connections never get what the store may need: there are fewer of them where the limit is low.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open at once besides connections and the tables that are kept open: a table for each of the 64 reads of the log
/// (`NodeLimits::reads`) that does not find its own among those, up to 30 that are merged, journals, three pipes to and
/// from the process that compacts, the runtime, the listener, standard streams and logs; and the 64 connections
/// (`NodeLimits::spare_connections`) that hear that there is no room for them.
const OTHERS: u64 = 192;
/// The lowest limit that leaves a connection and its page.
pub(super) const FEWEST: u64 = 221;

/// Lets this process open as many files as it is allowed to allow itself; how many that is.
pub(super) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where the system refuses (macOS has a limit besides this one) the old one stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Tables that the store may keep open. A table has up to 64 MiB: 512 of them are more than a cache of blocks covers.
pub(super) fn tables(limit: u64) -> usize {
    (limit / 8).clamp(16, 512) as usize
}

/// Connections that fit, each with so many descriptors.
pub(super) fn connections(limit: u64, each: u64) -> usize {
    let left = limit.saturating_sub(OTHERS + tables(limit) as u64);
    usize::try_from(left / each).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_gets_its_share_whatever_the_limit() {
        assert_eq!((tables(256), connections(256, 1)), (32, 32));
        assert_eq!((tables(1024), connections(1024, 1)), (128, 704));
        assert_eq!((tables(1 << 20), connections(1 << 20, 2)), (512, ((1 << 20) - 704) / 2));
        assert_eq!((connections(FEWEST, 2), connections(FEWEST - 1, 2)), (1, 0));
        assert_eq!(connections(0, 1), 0);
    }
}
