//! Why bytes are no update: always the sender's fault, always with the offset of the byte that shows it.

/// Why an update was refused. `at` is an offset in bytes from the start of the update,
/// at the first byte of the block, number or text that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say what the numbers are
pub enum ScanError {
    /// The bytes end inside something.
    #[error("byte {at}: {wanted} bytes are needed and {left} are left")]
    Truncated { at: usize, wanted: u64, left: usize },
    /// Bytes behind the delete set.
    #[error("byte {at}: {left} bytes behind the end of the update")]
    Trailing { at: usize, left: usize },
    /// A number past what its place allows.
    #[error("byte {at}: a number larger than {max}")]
    TooLarge { at: usize, max: u64 },
    /// A number with more bytes than it needs.
    #[error("byte {at}: a number that is longer than it must be")]
    Overlong { at: usize },
    /// A count of things that cannot all be there.
    #[error("byte {at}: {count} {what} cannot fit in {left} bytes")]
    Count { at: usize, what: &'static str, count: u64, left: usize },
    /// A text that is not UTF-8.
    #[error("byte {at}: not UTF-8")]
    NotUtf8 { at: usize },
    /// JSON of an embed or a format that readers do not agree on, or that is none.
    #[error("byte {at}: JSON that not every reader takes, in line {line} at column {column}")]
    Json { at: usize, line: usize, column: usize },
    /// A value whose lists and maps are nested too deep to be read with recursion.
    #[error("byte {at}: a value nested deeper than {limit}")]
    TooDeep { at: usize, limit: usize },
    /// Shared containers inside each other, deeper than readers can delete them with recursion.
    #[error("client {client}, clock {clock} lies in more than {limit} containers")]
    NestedTooDeep { client: u64, clock: u32, limit: u32 },
    /// A value of a kind that does not exist.
    #[error("byte {at}: unknown kind of value {kind}")]
    UnknownValue { at: usize, kind: u8 },
    /// A block whose first byte means nothing, or not the same to every reader.
    #[error("byte {at}: unknown kind of block 0x{info:02x}")]
    UnknownBlock { at: usize, info: u8 },
    /// A shared type that does not exist, or that readers do not agree on.
    #[error("byte {at}: unknown shared type {type_ref}")]
    UnknownType { at: usize, type_ref: u8 },
    /// A parent that is neither a root nor an id.
    #[error("byte {at}: a parent is 0 (id) or 1 (root), not {value}")]
    UnknownParent { at: usize, value: u64 },
    /// The options of a subdocument are no map.
    #[error("byte {at}: the options of a subdocument are not a map")]
    SubdocumentOptions { at: usize },
    /// A client that stands in the update twice.
    #[error("byte {at}: client {client} appears a second time")]
    DuplicateClient { at: usize, client: u64 },
    /// A client without any block.
    #[error("byte {at}: client {client} has no block")]
    NoBlocks { at: usize, client: u64 },
    /// A block, or a deleted range, of length zero.
    #[error("byte {at}: an empty range at client {client}, clock {clock}")]
    Empty { at: usize, client: u64, clock: u32 },
    /// A range that runs past the last clock.
    #[error("byte {at}: client {client}, clock {clock} and length {length} run past the last clock")]
    PastLastClock { at: usize, client: u64, clock: u32, length: u64 },
    /// A block that refers to itself or to a later one of the same client.
    #[error("byte {at}: client {client}, clock {clock} refers to clock {to} of the same client")]
    RefersForward { at: usize, client: u64, clock: u32, to: u32 },
    /// Deleted ranges that overlap or are not in rising order.
    #[error("byte {at}: client {client} deletes from {clock} after having deleted up to {previous}")]
    DeletesUnsorted { at: usize, client: u64, clock: u32, previous: u32 },
}

/// What walking gives. An error takes six words, and a result goes through many hands: so it is in a box.
pub type Walk<T> = Result<T, Box<ScanError>>;

impl ScanError {
    /// The error in words. A page is spared the texts, which are a kilobyte of what it loads: there everything that is
    /// malformed was refused by the relay before.
    pub fn words(&self) -> String {
        if cfg!(target_family = "wasm") { "not a well-formed update".into() } else { self.to_string() }
    }

    /// For a number whose first byte was read apart from the others.
    pub(super) fn moved_to(self, start: usize) -> ScanError {
        match self {
            ScanError::TooLarge { max, .. } => ScanError::TooLarge { at: start, max },
            ScanError::Overlong { .. } => ScanError::Overlong { at: start },
            other => other,
        }
    }
}
