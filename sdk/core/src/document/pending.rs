//! What the CRDT has yet to take in: updates of others as they came, and what is typed here between two of them as one
//! update. Letters typed one behind the other are one item in it, as the CRDT would join them: of a sentence it takes in one
//! item instead of fifty, and nothing needs to be joined.

use super::IntegrateError;
use hither_protocol::id_set::IdSet;
use hither_protocol::scan::STRING;
use hither_protocol::scan::blocks::{Parent, write_head, write_text};
use hither_protocol::varint;
use std::ops::Range;

/// Few enough edits to be taken in within a frame.
const MAX_EDITS: usize = 256;

/// Bytes of their updates: a page holds these twice.
const MAX_BYTES: usize = 256 * 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Pending {
    updates: Vec<Vec<u8>>,
    /// What was typed since the last of them.
    pub(super) typed: Typed,
    edits: usize,
    bytes: usize,
    /// What the CRDT said of updates that it has taken in.
    pub(super) errors: Vec<IntegrateError>,
}

/// Texts of one author whose ids follow on each other, and what was deleted beside them, as one update.
#[derive(Default)]
pub(super) struct Typed {
    author: u64,
    first: u32,
    blocks: Vec<u8>,
    count: u64,
    run: Option<Run>,
    deletes: IdSet,
}

/// The text of the last block, which goes on for as long as each text follows on the one before.
struct Run {
    right_origin: Option<(u64, u32)>,
    text: String,
}

impl Pending {
    /// Somebody else's update.
    pub(super) fn add(&mut self, update: &[u8]) {
        self.end_typed();
        self.updates.push(update.to_vec());
    }

    /// Counts an edit; whether there is enough to be taken in.
    pub(super) fn count(&mut self, bytes: usize) -> bool {
        self.edits += 1;
        self.bytes += bytes;
        self.edits >= MAX_EDITS || self.bytes >= MAX_BYTES
    }

    /// The updates in their order; nothing is pending then.
    pub(super) fn take(&mut self) -> Vec<Vec<u8>> {
        self.end_typed();
        self.edits = 0;
        self.bytes = 0;
        std::mem::take(&mut self.updates)
    }

    fn end_typed(&mut self) {
        self.updates.extend(std::mem::take(&mut self.typed).encode());
    }
}

impl Typed {
    /// Puts a text between two ids, which are `None` at the ends of the container. Its own begin where those of the last one
    /// ended.
    pub(super) fn insert(
        &mut self,
        (author, clock): (u64, u32),
        beside: [Option<(u64, u32)>; 2],
        parent: Parent<'_>,
        text: &str,
    ) {
        let [origin, right_origin] = beside;
        match &mut self.run {
            Some(run) if origin == Some((author, clock - 1)) && right_origin == run.right_origin => {
                return run.text.push_str(text);
            }
            Some(_) => self.end_run(),
            None => (self.author, self.first) = (author, clock),
        }
        write_head(&mut self.blocks, STRING, beside, parent, None);
        self.count += 1;
        self.run = Some(Run { right_origin, text: text.to_owned() });
    }

    pub(super) fn delete(&mut self, client: u64, clocks: Range<u32>) {
        self.deletes.insert(client, clocks);
    }

    fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            write_text(&mut self.blocks, &run.text);
        }
    }

    /// `None` if nothing was typed.
    pub(super) fn encode(mut self) -> Option<Vec<u8>> {
        self.end_run();
        if self.count == 0 && self.deletes.is_empty() {
            return None;
        }
        let mut update = Vec::new();
        if self.count > 0 {
            for number in [1, self.count, self.author, self.first.into()] {
                varint::write(&mut update, number);
            }
            update.append(&mut self.blocks);
        } else {
            varint::write(&mut update, 0);
        }
        self.deletes.encode_v1(&mut update);
        Some(update)
    }
}
