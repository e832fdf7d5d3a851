//! Every limit of a relay node that is not already on the wire (`hither_protocol::limits`), with its
//! arithmetic. What happens at a limit is said in SPEC.md and beside the constant.

use std::time::Duration;

/// Limits of one room's logic. All of them are about memory or fairness; none changes what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomLimits {
    /// Entries of one append. 1,024 keystrokes of 30 bytes are 30 KB: past that a larger batch saves nothing,
    /// because the fsync is already shared by a thousand.
    pub batch_entries: usize,
    /// Bytes of one append (a single larger update goes alone). Bounds how long others wait behind a paste.
    pub batch_bytes: usize,
    /// Bytes of updates in one page of the log for a member that catches up: also what a slow member may have
    /// queued beyond the socket's own limit.
    pub page_bytes: usize,
    /// Entries behind the snapshot at which the room asks whether a compaction is worth it. The compactor has
    /// the say (`CompactionPolicy`); this only keeps it from being asked at every edit.
    pub compact_entries: u64,
    /// The same in bytes that were appended since it was asked last.
    pub compact_bytes: u64,
    /// Entries behind the snapshot at which it asks once nobody has written for `quiet_ms`.
    pub quiet_entries: u64,
    /// How long nobody writes in a room that is quiet. Two seconds: a pause of thought, not one between words.
    pub quiet_ms: u64,
    /// Awareness entries that one stock client may own. Its own, and what a gateway might speak for.
    pub people_per_member: usize,
    /// People whose changes a slow member may miss before it is closed as too slow.
    pub missed_people: usize,
    /// Presence of one person is passed on at most this often; the last state always arrives. 33 ms: 30 Hz, a
    /// cursor looks smooth.
    pub presence_interval_ms: u64,
    /// How often stock clients hear from the relay, and Hither members are renewed for them: they forget a
    /// person after 30 s and close their socket after 30 s of silence, so twice within that.
    pub renew_interval_ms: u64,
}

impl Default for RoomLimits {
    fn default() -> Self {
        RoomLimits {
            batch_entries: 1_024,
            batch_bytes: 4 * 1024 * 1024,
            page_bytes: 256 * 1024,
            compact_entries: 500,
            compact_bytes: 64 * 1024,
            quiet_entries: 64,
            quiet_ms: 2_000,
            people_per_member: 16,
            missed_people: 4_096,
            presence_interval_ms: 33,
            renew_interval_ms: 14_000,
        }
    }
}

/// Limits of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketLimits {
    /// Queued bytes at which the members of a socket stop being Live and read the log instead. 256 KiB: at
    /// 1 Mbit/s two seconds of data, and 10,000 stuck sockets hold at most chunks that others share.
    pub queue_bytes: usize,
    /// Queued bytes below which the next page is asked for.
    pub low_water_bytes: usize,
    /// Bytes that may be queued while the queue is longer than that, a few for each chunk besides, before the socket is
    /// closed with Busy; pages and snapshots that its turns bring are not counted. 4 MiB: a socket in a thousand
    /// rooms gets one more word from each before all of them know that it is slow.
    pub overrun_bytes: usize,
    /// Members of one socket for which the log is read at once, each a page or a snapshot. Four: a socket that
    /// joins a thousand rooms and takes nothing holds a MiB of pages, not 256; and reading is never waiting for
    /// one answer only.
    pub turns: usize,
    /// Bytes of queued small chunks that leave as one WebSocket message: fewer, larger messages under load,
    /// and the write buffer of a socket never grows past this plus one frame.
    pub coalesce_bytes: usize,
    /// Pushed bytes that are not settled yet at which the socket is not read from any more, until the store
    /// has caught up: two of the largest updates.
    pub in_flight_bytes: usize,
    /// WebSocket messages read before other sockets get their turn.
    pub reads_per_turn: usize,
    /// Silence after which the relay asks "are you there?".
    pub ping_after: Duration,
    /// Silence after which the peer is gone, or a time in which it took nothing of what is there for it; and the
    /// longest time for what is queued before a close. With the interval at which this is looked at it stays
    /// below 30 s.
    pub gone_after: Duration,
    /// Pings of the WebSocket, of 125 bytes at most, that a socket may send while it does not take what is there for
    /// it; past it the socket is closed with Busy. Once a second for an hour.
    pub pings: usize,
    /// How long a message may be under way, in either direction, while its bytes count as a sign of life: 8 MiB
    /// at 112 kbit/s. Whoever sends one byte now and then is gone after this.
    pub message_within: Duration,
    /// How long a closing handshake is waited for.
    pub close_within: Duration,
    /// Time from the upgrade to the first Hello.
    pub hello_within: Duration,
    /// Joins that one socket may ask for per second, and at once: a client that reconnects joins all its rooms
    /// in one message.
    pub joins_per_second: u32,
}

impl Default for SocketLimits {
    fn default() -> Self {
        SocketLimits {
            queue_bytes: 256 * 1024,
            low_water_bytes: 64 * 1024,
            overrun_bytes: 4 * 1024 * 1024,
            turns: 4,
            coalesce_bytes: 16 * 1024,
            in_flight_bytes: 16 * 1024 * 1024,
            reads_per_turn: 32,
            ping_after: Duration::from_secs(10),
            gone_after: Duration::from_secs(25),
            pings: 3_600,
            message_within: Duration::from_secs(600),
            close_within: Duration::from_secs(3),
            hello_within: Duration::from_secs(10),
            joins_per_second: 2_000,
        }
    }
}

/// Limits of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Connections at once. 100,000 idle ones take about 1 GB (measured: 10 to 11 KB each). Past it clients get a 503
    /// and come back later.
    pub connections: usize,
    /// Connections past that limit that are answered, one request each: `/healthz` as ever, everything else that
    /// there is no room. Whoever watches the relay sees that it is full and not that it is dead; those who come
    /// while all of these are taken wait.
    pub spare_connections: usize,
    /// Rooms in memory at once. Past it those that nobody is in are forgotten, the longest idle first; when there are
    /// none, joins are refused with Busy.
    pub rooms: usize,
    /// Members of one room; past it joins are refused with Busy. Every edit is sent this many times.
    pub members_per_room: usize,
    /// Log reads at once, over all rooms: enough to keep a disk busy, few enough to bound the pages in memory
    /// (64 × 256 KiB = 16 MiB, snapshots besides).
    pub reads: usize,
    /// How long an empty room stays in memory while there is space, so that a reload of a page finds it warm.
    pub linger: Duration,
}

impl Default for NodeLimits {
    fn default() -> Self {
        NodeLimits {
            connections: 100_000,
            spare_connections: 64,
            rooms: 100_000,
            members_per_room: 10_000,
            reads: 64,
            linger: Duration::from_secs(10),
        }
    }
}

/// The read buffer of a socket. tungstenite's default of 128 KiB makes an idle connection cost 138 KB
/// (measured), 4 KiB make it 10 KB.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Connections that the kernel queues before they are accepted. At 128, tokio's default, some of 1,000 clients
/// that come back at once wait a second for a retransmitted SYN (measured).
pub const LISTEN_BACKLOG: i32 = 4_096;

/// Time for a client to send the headers of a request.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Headers of a request: a JWT in a cookie fits.
pub const HEADER_BUFFER_BYTES: usize = 16 * 1024;
