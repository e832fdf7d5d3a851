//! Time as the core knows it: a number that the shell passes in.

use serde::Serialize;
use std::ops::Add;

/// Milliseconds on the shell's wall clock since 1970. It may stand still (a frozen tab) and it may jump.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds from `earlier` until this, 0 if the clock went backwards.
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Millis {
    type Output = Millis;
    fn add(self, millis: u64) -> Millis {
        Millis(self.0.saturating_add(millis))
    }
}

/// The shell's clock made one that never goes back: a deadline that was a second away when the wall clock was set
/// back by an hour must not be an hour away. While the wall clock goes forward only, both are the same.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Millis,
    /// What this clock is ahead of the shell's.
    ahead: u64,
}

impl Clock {
    pub(crate) fn new(now: Millis) -> Clock {
        Clock { last: now, ahead: 0 }
    }

    /// The time in here when the shell's clock shows `wall`. The time that passed while the shell's clock was set
    /// back is not known and counts as none.
    pub(crate) fn read(&mut self, wall: Millis) -> Millis {
        let now = wall + self.ahead;
        self.ahead += self.last.since(now);
        self.last = now.max(self.last);
        self.last
    }

    /// What the shell's clock shows at a time of this one.
    pub(crate) fn show(&self, at: Millis) -> Millis {
        Millis(at.0.saturating_sub(self.ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_brings_no_deadline_further_away() {
        let mut clock = Clock::new(Millis(0));
        assert_eq!(clock.read(Millis(5_000)), Millis(5_000));
        let deadline = clock.read(Millis(6_000)) + 1_000;
        assert_eq!(clock.show(deadline), Millis(7_000));
        assert_eq!(clock.read(Millis(100)), Millis(6_000), "nobody knows how long it took");
        assert_eq!(clock.show(deadline), Millis(1_100));
        assert_eq!(clock.read(Millis(1_100)), deadline);
        assert_eq!(clock.read(Millis(9_100)), deadline + 8_000, "forward is believed");
    }
}
