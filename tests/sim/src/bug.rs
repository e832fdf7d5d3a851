//! Planted bugs: each is a mistake that a core, a relay, a store or a shell could make, made on purpose between
//! the parts. A checker that finds none of them would prove nothing.

/// One mistake, made now and then in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The relay says that an append is durable when it is asked for.
    AckBeforeDurable,
    /// The relay takes a failed append for done.
    FailedAppendCountsAsDone,
    /// A member misses one Update frame.
    SkippedUpdate,
    /// A member gets one Update frame twice.
    RepeatedUpdate,
    /// Two Update frames change places.
    SwappedUpdates,
    /// An Update frame carries the bytes of another entry.
    WrongUpdate,
    /// An Ack counts one push too many.
    AckOfTheNextPush,
    /// An Ack says that everything up to the next seq was the reader's own.
    AckSkipsAhead,
    /// Acks get lost.
    LostAck,
    /// An append is carried out twice.
    RepeatedAppend,
    /// The last entry of a batch is not stored.
    LostEntry,
    /// Deletions are cut off an entry.
    LostDeletions,
    /// The room is told of a head that is one too low.
    StaleHead,
    /// A snapshot lacks an entry.
    SnapshotLacksAnEntry,
    /// A snapshot of a reset is not sent.
    LostSnapshot,
    /// A restored store keeps its epoch.
    RestoredUnderTheSameEpoch,
    /// The cursor of a Join is taken one further than it is.
    JoinSkipsAnEntry,
    /// A presence leave is not told.
    LostLeave,
    /// A change of presence is not told.
    LostPresence,
    /// The cursor is on disk before its data.
    CursorBeforeData,
    /// Half of a batch is on disk.
    TornBatch,
    /// The disk says done before it is.
    DiskAcksBeforeWrite,
    /// A failed batch counts as written.
    FailedBatchCountsAsWritten,
    /// A row of the outbox is gone after a reload.
    LostOutboxRow,
    /// Rows of the outbox are never removed.
    LostDeleteOutbox,
    /// A row of updates is not written.
    LostUpdatesRow,
    /// Two lives of a tab write under the same document id.
    ReusedWriter,
    /// A patch does not reach the application.
    LostPatch,
    /// "Saved" is told one edit early.
    SavedTooEarly,
    /// "Acknowledged" is told one edit early.
    AckedTooEarly,
    /// The status says that the relay has everything.
    StatusSaysSaved,
    /// A push does not arrive although the connection lives.
    LostPush,
    /// Two pushes change places.
    SwappedPushes,
    /// Rows of the disk that an earlier life of the log accounted for pass for rows of the present one.
    RowsOfOneLife,
}

impl Bug {
    /// All of them, each with the number of seeds within which it must be found.
    pub const ALL: &[(Bug, u64)] = &[
        (Bug::AckBeforeDurable, 20),
        (Bug::FailedAppendCountsAsDone, 40),
        (Bug::SkippedUpdate, 20),
        (Bug::RepeatedUpdate, 20),
        (Bug::SwappedUpdates, 20),
        (Bug::WrongUpdate, 20),
        (Bug::AckOfTheNextPush, 20),
        (Bug::AckSkipsAhead, 20),
        (Bug::LostAck, 20),
        (Bug::RepeatedAppend, 20),
        (Bug::LostEntry, 20),
        (Bug::LostDeletions, 20),
        (Bug::StaleHead, 40),
        (Bug::SnapshotLacksAnEntry, 40),
        (Bug::LostSnapshot, 40),
        (Bug::RestoredUnderTheSameEpoch, 60),
        (Bug::JoinSkipsAnEntry, 40),
        (Bug::LostLeave, 20),
        (Bug::LostPresence, 20),
        (Bug::CursorBeforeData, 40),
        (Bug::TornBatch, 60),
        (Bug::DiskAcksBeforeWrite, 20),
        (Bug::FailedBatchCountsAsWritten, 40),
        (Bug::LostOutboxRow, 40),
        (Bug::LostDeleteOutbox, 20),
        (Bug::LostUpdatesRow, 20),
        (Bug::ReusedWriter, 120),
        (Bug::LostPatch, 20),
        (Bug::SavedTooEarly, 20),
        (Bug::AckedTooEarly, 20),
        (Bug::StatusSaysSaved, 20),
        (Bug::LostPush, 20),
        (Bug::SwappedPushes, 40),
        (Bug::RowsOfOneLife, 100),
    ];
}
