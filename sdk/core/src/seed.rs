//! The content of a new room: the same bytes wherever the same content is given.
//!
//! Two people who open an empty room offline both plant it. Because the update's author is its content, a log or a
//! document that has it takes nothing from it a second time.

use crate::ChangeError;
use crate::document::{self, Document};
use crate::edit::{Node, Op};
use crate::room::fits;
use crate::time::Millis;
use crate::value::{Shape, Value};

/// How long the first opening of a room waits for the relay to say that it is empty, in milliseconds.
const PATIENCE_MS: u64 = 2_000;

/// What is planted if the room turns out to be empty.
pub(crate) struct Seed {
    pub(crate) update: Vec<u8>,
    /// When it is planted without an answer of the relay.
    pub(crate) deadline: Millis,
}

impl Seed {
    /// `None` if there is nothing to plant: empty containers need no creation.
    pub(crate) fn new(
        now: Millis,
        initial: Value,
        declared: &[(String, Shape)],
    ) -> Result<Option<Seed>, ChangeError> {
        let Value::Map(entries) = initial else { return Ok(None) };
        let ops: Vec<Op> = entries
            .into_iter()
            .filter(|(name, value)| !name.is_empty() && !value.is_empty_container())
            .map(|(key, value)| Op::MapSet { node: Node::ROOT, key, value })
            .collect();
        let written_by = |author| Document::new(author, declared).apply(&ops).map(|changed| changed.update);
        // The bytes as author 1 writes them name the author who writes them for good.
        let Some(draft) = written_by(1)? else { return Ok(None) };
        let Some(update) = written_by(fnv1a_53(&draft))? else { return Ok(None) };
        fits(update.len())?;
        Ok(Some(Seed { update, deadline: now + PATIENCE_MS }))
    }
}

/// The containers of `initial` exist, empty, from the first moment: roots need no creation.
pub(crate) fn declared(initial: &Value) -> Vec<(String, Shape)> {
    let Value::Map(entries) = initial else { return Vec::new() };
    let shapes = entries.iter().filter_map(|(name, value)| {
        let shape = document::shape_of(value)?;
        (!name.is_empty()).then(|| (name.clone(), shape))
    });
    shapes.collect()
}

/// FNV-1a (Fowler, Noll, Vo), 64 bits, cut to the 53 that a Yjs client id has. Stable across builds and
/// platforms, which the standard library's hasher does not promise.
fn fnv1a_53(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 11
}
