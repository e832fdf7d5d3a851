//! What one run is made of: sizes, limits and the weights of faults, all drawn from the seed. Many seeds set
//! many weights to zero (swarm testing): what hides behind one fault shows without it.

use crate::bug::Bug;
use fastrand::Rng;
use hither_protocol::limits::MAX_UPDATE_BYTES;
use hither_relay::limits::{RoomLimits, SocketLimits};
use std::time::Duration;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A tab's process dies.
    TabKilled,
    /// A device's disk is gone, and with it its tabs.
    DiskLost,
    /// A device's disk fails for a while.
    DiskFails,
    /// A device's disk is slow for a while.
    DiskSlow,
    /// A device's disk takes nothing more for a while.
    DiskFull,
    /// A device loses its power, and its disk what was written last.
    DiskTailLost,
    /// A device loses its power, and a row of its disk is torn.
    DiskTorn,
    /// A device's disk is emptied while its tabs live on: a browser that makes room.
    DiskEvicted,
    /// The relay dies and comes back; what was not durable is gone.
    RelayKilled,
    /// The store answers "unavailable" for a while.
    StoreFails,
    /// The store takes its time for a while.
    StoreSlow,
    /// The store takes nothing more for a while, and reads as ever.
    StoreFull,
    /// The relay comes back with an empty store.
    StoreLost,
    /// The relay comes back with an older state of its store, under new epochs.
    StoreRestored,
    /// Somebody deletes a room.
    RoomDeleted,
    /// A connection is reset.
    Cut,
    /// A connection loses one or both directions and nobody is told.
    HalfOpen,
    /// A connection has little bandwidth.
    Narrow,
    /// A device has no network for a while.
    Offline,
    /// Some devices and the relay do not reach each other for a while, and nobody is told.
    Partition,
    /// A device's clock jumps.
    ClockJump,
    /// A tab handles nothing for a while.
    Frozen,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 22] = [
        Fault::TabKilled,
        Fault::DiskLost,
        Fault::DiskFails,
        Fault::DiskSlow,
        Fault::DiskFull,
        Fault::DiskTailLost,
        Fault::DiskTorn,
        Fault::DiskEvicted,
        Fault::RelayKilled,
        Fault::StoreFails,
        Fault::StoreSlow,
        Fault::StoreFull,
        Fault::StoreLost,
        Fault::StoreRestored,
        Fault::RoomDeleted,
        Fault::Cut,
        Fault::HalfOpen,
        Fault::Narrow,
        Fault::Offline,
        Fault::Partition,
        Fault::ClockJump,
        Fault::Frozen,
    ];

    /// How often it happens beside the others, where a seed allows it.
    fn weight(self) -> u32 {
        match self {
            Fault::Cut => 10,
            Fault::TabKilled | Fault::RelayKilled | Fault::HalfOpen | Fault::Offline => 6,
            Fault::StoreFails | Fault::DiskFails | Fault::Narrow | Fault::Frozen => 4,
            Fault::DiskSlow | Fault::StoreSlow | Fault::ClockJump => 3,
            Fault::DiskFull | Fault::StoreFull | Fault::Partition => 3,
            Fault::StoreRestored | Fault::RoomDeleted | Fault::DiskTailLost | Fault::DiskTorn => 2,
            Fault::StoreLost | Fault::DiskLost | Fault::DiskEvicted => 1,
        }
    }
}

/// One run. Everything follows from `seed` unless a test says otherwise.
#[derive(Debug, Clone)]
pub struct Options {
    /// The one number.
    pub seed: u64,
    /// Tabs, each with a client of its own.
    pub tabs: usize,
    /// Devices, each with a disk; tabs share them if there are fewer.
    pub disks: usize,
    /// Rooms.
    pub rooms: usize,
    /// How many of the rooms are opened with initial content.
    pub seeded_rooms: usize,
    /// Milliseconds of faults and work before everything heals.
    pub trouble_ms: u64,
    /// The mean time between two things that one tab does, in milliseconds.
    pub work_ms: u64,
    /// The mean time between two faults, in milliseconds.
    pub fault_ms: u64,
    /// How often each fault happens, in the order of [`Fault::ALL`].
    pub faults: [u32; Fault::ALL.len()],
    /// Latency of a connection, at most, in milliseconds.
    pub latency_ms: u64,
    /// Latency of a disk, at most, in milliseconds.
    pub disk_ms: u64,
    /// Latency of the store, at most, in milliseconds.
    pub store_ms: u64,
    /// The largest update that the relay takes, in bytes.
    pub max_update: usize,
    /// Whether people write texts longer than a fragment of a frame now and then.
    pub has_long_texts: bool,
    /// Of each room of the relay.
    pub room_limits: RoomLimits,
    /// Of each socket of the relay.
    pub socket_limits: SocketLimits,
    /// How long the relay keeps an empty room, in milliseconds.
    pub linger_ms: u64,
    /// Behind which distance from the head compaction removes entries.
    pub keep_entries: u64,
    /// A planted bug.
    pub bug: Option<Bug>,
    /// Whether every event is written down and printed.
    pub is_traced: bool,
}

impl Options {
    /// The run of a seed.
    pub fn from_seed(seed: u64) -> Options {
        let mut rng = Rng::with_seed(seed ^ 0x5eed_0f00_d15c);
        let tabs = rng.usize(2..=8).min(rng.usize(2..=8));
        let disks = if rng.u8(0..4) == 0 { rng.usize(1..=tabs) } else { tabs };
        let rooms = rng.usize(1..=3).min(rng.usize(1..=3));
        // A third of the faults is missing in most runs, nearly all are in some, none in a few.
        let rate = [0, 3, 6, 6, 8, 9][rng.usize(0..6)];
        let faults = Fault::ALL.map(|fault| if rng.u32(0..10) < rate { fault.weight() } else { 0 });
        let is_small = rng.bool();
        let mut room_limits = RoomLimits {
            batch_entries: if is_small { rng.usize(1..=4) } else { 1_024 },
            page_bytes: if is_small { rng.usize(40..=800) } else { 256 * 1024 },
            compact_entries: if rng.u8(0..3) == 0 { 2_000 } else { rng.u64(4..=60) },
            ..RoomLimits::default()
        };
        room_limits.quiet_entries = room_limits.compact_entries / 4;
        let socket_limits = SocketLimits {
            queue_bytes: if is_small { rng.usize(200..=4_000) } else { 256 * 1024 },
            low_water_bytes: if is_small { rng.usize(0..=200) } else { 64 * 1024 },
            in_flight_bytes: if is_small { rng.usize(100..=4_000) } else { 16 * 1024 * 1024 },
            ping_after: Duration::from_secs(rng.u64(2..=10)),
            ..SocketLimits::default()
        };
        // A text of such a size in every world would take most of the time of a run.
        let has_long_texts = rng.u8(0..8) == 0;
        let max_update = if has_long_texts || rng.bool() { MAX_UPDATE_BYTES } else { rng.usize(300..3_000) };
        Options {
            seed,
            max_update,
            has_long_texts,
            tabs,
            disks,
            rooms,
            seeded_rooms: if rng.bool() { rng.usize(0..=rooms) } else { 0 },
            trouble_ms: rng.u64(4_000..=40_000),
            work_ms: rng.u64(100..=1_500),
            fault_ms: rng.u64(100..=2_500),
            faults,
            latency_ms: [1, 20, 120, 400][rng.usize(0..4)],
            disk_ms: [1, 5, 30, 200][rng.usize(0..4)],
            store_ms: [1, 5, 30, 200][rng.usize(0..4)],
            room_limits,
            socket_limits,
            linger_ms: [0, 300, 10_000][rng.usize(0..3)],
            keep_entries: [0, 0, 3, 20][rng.usize(0..4)],
            bug: None,
            is_traced: false,
        }
    }

    /// The same run with a planted bug, in a world where the bug can show.
    pub fn with_bug(mut self, bug: Bug) -> Options {
        self.bug = Some(bug);
        if bug == Bug::RowsOfOneLife {
            // Nobody else has what the log lost, and of the tabs that share the disk one dies before it is back.
            self.disks = 1;
            let ends_lives = [Fault::StoreLost, Fault::StoreRestored, Fault::RoomDeleted, Fault::TabKilled];
            for (fault, weight) in Fault::ALL.iter().zip(&mut self.faults) {
                *weight = if ends_lives.contains(fault) { 10 } else { *weight };
            }
        }
        self
    }

    pub(crate) fn has_bug(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Draws a fault by weight; `None` if this run has none.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Option<Fault> {
        let total: u32 = self.faults.iter().sum();
        if total == 0 {
            return None;
        }
        let mut ticket = rng.u32(0..total);
        for (fault, &weight) in Fault::ALL.iter().zip(&self.faults) {
            if ticket < weight {
                return Some(*fault);
            }
            ticket -= weight;
        }
        None
    }
}
