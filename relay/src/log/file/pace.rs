//! The pace of commits: how long an append waits for company.
//!
//! A commit costs the same for one entry as for a hundred: a sync, two thread hops, and one write to every socket
//! of the room. So commits that come in quick succession are spaced out, and what arrives meanwhile goes with the
//! next one. The first after a pause never waits.
//!
//! ```text
//!   appends   a          b   c            d  e                        f
//!   commits   [a]        .   .   [b c]    .  .       [d e]            [f]
//!                ├─ INTERVAL ──┤     ├─ INTERVAL ──┤
//! ```
//!
//! Waiting does not pay where nobody else comes: a client that writes only after it was answered would be slowed
//! down for nothing. So after a commit of one entry the next ones do not wait, but for a try now and then.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// From the end of one commit to the begin of the next while waiting pays. A fifth of a frame at 60 Hz: nobody
/// sees it.
const INTERVAL: Duration = Duration::from_millis(3);
/// What was sent off at one moment arrives within this time.
const STRAGGLERS: Duration = Duration::from_micros(150);
/// Commits of a single entry between two tries whether waiting pays.
const SINGLES_PER_TRY: u32 = 32;

#[derive(Debug)]
pub(super) struct Pace(Mutex<Commit>);

/// The latest commit that somebody was sent to.
#[derive(Debug)]
struct Commit {
    /// When it begins, or began, or has ended.
    at: Instant,
    entries: usize,
    /// Whether it was waited for.
    is_gathered: bool,
    /// Commits of at most one entry directly before it.
    singles: u32,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace(Mutex::new(Commit { at: Instant::now(), entries: 0, is_gathered: false, singles: 0 }))
    }

    /// See [`crate::log::RoomLog::gather_until`].
    pub(super) fn gather_until(&self, now: Instant) -> Option<Instant> {
        let mut commit = self.lock();
        if now < commit.at {
            return Some(commit.at);
        }
        let singles = if commit.entries > 1 { 0 } else { commit.singles.wrapping_add(1) };
        let next = commit.at + INTERVAL;
        let waits = now < next && singles.is_multiple_of(SINGLES_PER_TRY);
        *commit = Commit { at: if waits { next } else { now }, entries: 0, is_gathered: waits, singles };
        waits.then_some(next)
    }

    /// So many entries go with the latest commit.
    pub(super) fn count(&self, entries: usize) {
        self.lock().entries += entries;
    }

    /// How long the writer waits for the rest when the first of a commit has arrived: rooms that waited for the
    /// same moment send one after the other, and a commit for the first of them alone would hold up all others.
    pub(super) fn stragglers(&self) -> Option<Duration> {
        self.lock().is_gathered.then_some(STRAGGLERS)
    }

    /// A commit has ended.
    pub(super) fn end(&self, now: Instant) {
        let mut commit = self.lock();
        commit.at = commit.at.max(now);
    }

    fn lock(&self) -> MutexGuard<'_, Commit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends of one entry at these milliseconds; when each of them is committed.
    fn commits(pace: &Pace, start: Instant, appends: impl IntoIterator<Item = u64>) -> Vec<u128> {
        let one = |ms| {
            let now = start + Duration::from_millis(ms);
            let at = pace.gather_until(now).unwrap_or(now);
            pace.count(1);
            (at - start).as_millis()
        };
        appends.into_iter().map(one).collect()
    }

    fn warmed_up() -> (Pace, Instant) {
        let pace = Pace::new();
        pace.count(2);
        let start = pace.lock().at;
        (pace, start)
    }

    #[test]
    fn the_first_after_a_pause_does_not_wait_and_those_behind_it_go_together() {
        let (pace, start) = warmed_up();
        assert_eq!(commits(&pace, start, [100, 101, 102]), [100, 101, 102], "one alone: waiting did not pay");
        let (pace, start) = warmed_up();
        assert_eq!(commits(&pace, start, [1, 2, 2, 4, 5, 20]), [3, 3, 3, 6, 6, 20]);
    }

    #[test]
    fn what_came_during_a_slow_commit_and_answers_it_goes_together() {
        let (pace, start) = warmed_up();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(commits(&pace, start, [100]), [100]);
        pace.count(1);
        pace.end(after(108));
        assert_eq!(commits(&pace, start, [109, 110, 110]), [111, 111, 111]);
    }

    #[test]
    fn who_comes_alone_waits_hardly_ever() {
        let (pace, start) = warmed_up();
        let mut now = 1_000;
        let mut waited = 0;
        for _ in 0..1_000 {
            let at = commits(&pace, start, [now])[0] as u64;
            waited += u64::from(at > now);
            now = at + 1;
        }
        assert!((20..40).contains(&waited), "{waited} of 1,000");
    }
}
