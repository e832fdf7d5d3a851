//! The blocks of an update one by one, for readers that follow a document's order without decoding its values.
//!
//! ```
//! use hither_protocol::scan::blocks::{Blocks, Content, Parent};
//!
//! // Client 7 writes "hi" into the root text "t".
//! let update = [1, 1, 7, 0, 4, 1, 1, b't', 2, b'h', b'i', 0];
//! let block = Blocks::new(&update).next().unwrap().unwrap();
//! assert_eq!((block.client, block.clock, block.length), (7, 0, 2));
//! assert_eq!(block.parent, Some(Parent::Root("t")));
//! assert_eq!(block.content, Content::Text("hi"));
//! ```

use super::reader::Reader;
use super::{
    DELETED, EMBED, FORMAT, GC, HAS_KEY, HAS_ORIGIN, HAS_RIGHT_ORIGIN, KIND, SKIP, STRING, Walk, content,
    utf16_length,
};
use crate::varint;
use std::ops::Range;

/// One block: an item, or a range without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    /// Who wrote it.
    pub client: u64,
    /// The clock of its first id.
    pub clock: u32,
    /// How many ids it has: UTF-16 units of a text, values of a list.
    pub length: u32,
    /// The id at its left when it was written.
    pub origin: Option<(u64, u32)>,
    /// The id at its right when it was written.
    pub right_origin: Option<(u64, u32)>,
    /// Where it stands; only items without a neighbour say it.
    pub parent: Option<Parent<'a>>,
    /// Whether it is an entry of a map.
    pub is_keyed: bool,
    /// What it is.
    pub content: Content<'a>,
    /// The first byte: what it is, and what it says of its place.
    pub(super) info: u8,
    /// Where it stands in the update.
    pub(super) bytes: Range<usize>,
    /// Where its content begins there, behind its neighbours or its parent.
    pub(super) content_at: usize,
}

impl Block<'_> {
    /// The clock behind its last id.
    pub fn end(&self) -> u32 {
        self.clock.saturating_add(self.length)
    }
}

/// The container of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent<'a> {
    /// A root container.
    Root(&'a str),
    /// The item that is the container.
    Item(u64, u32),
}

/// What a block holds, as far as an order needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// Deleted and forgotten, without a place.
    Gc,
    /// A hole in the update.
    Skip,
    /// Deleted; its place remains.
    Deleted,
    /// Characters.
    Text(&'a str),
    /// One embedded value.
    Embed,
    /// The begin or end of a format.
    Format,
    /// A value, a shared container, a subdocument.
    Other,
}

/// The blocks in the order of the update. What [`super::scan`] has accepted gives no error here.
pub struct Blocks<'a> {
    reader: Reader<'a>,
    sections: usize,
    blocks: usize,
    client: u64,
    clock: u32,
}

impl<'a> Blocks<'a> {
    /// Begins with the first block of an update.
    pub fn new(update: &'a [u8]) -> Blocks<'a> {
        let mut reader = Reader::new(update);
        let sections = reader.count("clients", 5).unwrap_or(0);
        Blocks { reader, sections, blocks: 0, client: 0, clock: 0 }
    }

    fn step(&mut self) -> Walk<Option<Block<'a>>> {
        while self.blocks == 0 {
            if self.sections == 0 {
                return Ok(None);
            }
            self.sections -= 1;
            self.blocks = self.reader.count("blocks", 2)?;
            self.client = self.reader.client()?;
            self.clock = self.reader.clock()?;
        }
        self.blocks -= 1;
        let block = self.block()?;
        self.clock = block.end();
        Ok(Some(block))
    }

    fn block(&mut self) -> Walk<Block<'a>> {
        let at = self.reader.at();
        let mut block = self.head_and_content()?;
        block.bytes = at..self.reader.at();
        Ok(block)
    }

    fn head_and_content(&mut self) -> Walk<Block<'a>> {
        let reader = &mut self.reader;
        let info = reader.byte()?;
        let mut block = Block {
            client: self.client,
            clock: self.clock,
            length: 1,
            origin: None,
            right_origin: None,
            parent: None,
            is_keyed: false,
            content: Content::Other,
            info,
            bytes: 0..0,
            content_at: reader.at(),
        };
        if info == GC || info == SKIP {
            block.length = reader.number(u32::MAX.into())? as u32;
            block.content = if info == GC { Content::Gc } else { Content::Skip };
            return Ok(block);
        }
        if info & HAS_ORIGIN != 0 {
            block.origin = Some(reader.id()?);
        }
        if info & HAS_RIGHT_ORIGIN != 0 {
            block.right_origin = Some(reader.id()?);
        }
        if info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == 0 {
            block.parent = Some(match reader.number(u32::MAX.into())? {
                0 => Parent::Item(reader.client()?, reader.clock()?),
                _ => Parent::Root(reader.text()?),
            });
            if info & HAS_KEY != 0 {
                reader.text()?;
                block.is_keyed = true;
            }
        }
        block.content_at = reader.at();
        let kind = info & KIND;
        if kind == STRING {
            let text = reader.text()?;
            block.length = utf16_length(text) as u32;
            block.content = Content::Text(text);
            return Ok(block);
        }
        block.length = content(reader, kind)? as u32;
        block.content = match kind {
            DELETED => Content::Deleted,
            EMBED => Content::Embed,
            FORMAT => Content::Format,
            _ => Content::Other,
        };
        Ok(block)
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Walk<Block<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Appends the head of an item: what it is ([`super::STRING`], [`super::TYPE`], [`super::ANY`]) and where it stands. The
/// content comes behind it. An item with a neighbour has its parent and key, too, so they are not written.
pub fn write_head(
    out: &mut Vec<u8>,
    kind: u8,
    [origin, right_origin]: [Option<(u64, u32)>; 2],
    parent: Parent<'_>,
    key: Option<&str>,
) {
    let flags = [
        (HAS_ORIGIN, origin.is_some()),
        (HAS_RIGHT_ORIGIN, right_origin.is_some()),
        (HAS_KEY, key.is_some()),
    ];
    out.push(flags.iter().filter(|(_, is_set)| *is_set).fold(kind, |info, (flag, _)| info | flag));
    for id in [origin, right_origin].into_iter().flatten() {
        write_id(out, id);
    }
    if origin.is_some() || right_origin.is_some() {
        return;
    }
    match parent {
        Parent::Root(name) => {
            out.push(1);
            write_text(out, name);
        }
        Parent::Item(client, clock) => {
            out.push(0);
            write_id(out, (client, clock));
        }
    }
    if let Some(key) = key {
        write_text(out, key);
    }
}

/// Appends a text behind its length.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    varint::write(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn write_id(out: &mut Vec<u8>, (client, clock): (u64, u32)) {
    varint::write(out, client);
    varint::write(out, clock.into());
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;
    use crate::id_set::IdSet;

    #[test]
    fn the_blocks_are_what_the_scan_counts() {
        let fixtures: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/yjs-updates.json")).unwrap();
        let mut kinds = std::collections::BTreeSet::new();
        for fixture in fixtures["accepted"].as_array().unwrap() {
            let hex = fixture["hex"].as_str().unwrap();
            let update: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            let mut inserts = IdSet::new();
            for block in Blocks::new(&update) {
                let block = block.unwrap();
                kinds.insert(format!("{:?}", block.content).split('(').next().unwrap().to_owned());
                if block.content != Content::Skip {
                    inserts.insert(block.client, block.clock..block.clock + block.length);
                }
            }
            assert_eq!(inserts, scan(&update).unwrap().inserts, "{}", fixture["name"]);
        }
        assert!(kinds.len() >= 6, "{kinds:?}");
    }

    #[test]
    fn bytes_that_are_no_update_give_an_error_and_end() {
        let update = [1, 1, 7, 0, 4, 1, 1, b't', 2, b'h', b'i', 0];
        for cut in 0..update.len() {
            let blocks: Vec<_> = Blocks::new(&update[..cut]).take(10).collect();
            assert!(blocks.len() <= 2, "{blocks:?}");
        }
    }
}
