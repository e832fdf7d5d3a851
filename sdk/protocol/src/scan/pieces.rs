//! Large updates in pieces. What a log takes at once is limited, what a document holds is not: a client that heals a
//! relay, or that was offline for a month, sends it piece by piece.
//!
//! ```text
//!   one update:   client 9 ▐a▐b────────c▐      client 7 ▐d▐e▐       deletes
//!                            ▲ needs d
//!   pieces:      [9: a  7: d]  [9: b──]  [9: ──c  7: e]  [deletes]
//! ```
//!
//! Blocks are put in an order in which each stands on what went before it. Their bytes stay as they are, apart from long
//! texts and lists, which are cut as their writer would have cut them. A block whose content is gone brings its deletion
//! along: whoever has the content deletes it, and whoever has not never sees it, also if no other piece arrives.

use super::blocks::{Block, write_id};
use super::causal::Causal;
use super::reader::Reader;
use super::{ANY, DELETED, GC, HAS_KEY, HAS_ORIGIN, KIND, STRING, ScanError, Walk, value};
use crate::id_set::IdSet;
use crate::varint;
use std::ops::Range;

/// A piece with less room than this is not filled up with the beginning of a long text.
const WORTH_FILLING: usize = 64;

/// The most that the numbers of a section's head take: how many blocks, whose, from which clock.
const SECTION_BYTES: usize = 5 + 8 + 5;

/// The most that a range of deletions takes, with a client of its own.
const RANGE_BYTES: usize = 8 + 5 + 5 + 5;

/// A piece with its counts and nothing in it.
const EMPTY_BYTES: usize = 5 + 1;

/// Cuts an update into pieces of at most `max_bytes`. Whoever has what the update stands on takes in one piece after
/// the other without putting anything aside, and has at the end what the update says.
///
/// What cannot be cut (a picture, an item with a long key) makes a piece of its own, as large as it is. An update with
/// holes is one piece. `Err` if it is no update.
///
/// ```
/// use hither_protocol::scan::pieces;
///
/// // Client 7 writes "hither" into the root text "t".
/// let update = [1, 1, 7, 0, 4, 1, 1, b't', 6, b'h', b'i', b't', b'h', b'e', b'r', 0];
/// let cut = pieces(&update, 40).unwrap();
/// assert_eq!(cut.len(), 1);
/// assert_eq!(cut[0], update);
/// ```
pub fn pieces(update: &[u8], max_bytes: usize) -> Result<Vec<Vec<u8>>, ScanError> {
    cut(update, max_bytes).map_err(|error| *error)
}

fn cut(update: &[u8], max_bytes: usize) -> Walk<Vec<Vec<u8>>> {
    let scan = super::walk(update)?;
    if scan.skips {
        return Ok(vec![update.to_vec()]);
    }
    let mut cutter =
        Cutter { update, max_bytes, piece: Piece::default(), gone: IdSet::new(), done: Vec::new() };
    for block in Causal::new(update)? {
        let Ok(block) = block else { return Ok(vec![update.to_vec()]) };
        cutter.put(&block)?;
    }
    let deletes = scan.deletes.difference(&cutter.gone);
    for (client, ranges) in deletes.iter() {
        for range in ranges {
            cutter.put_delete(client, range);
        }
    }
    cutter.flush();
    Ok(cutter.done)
}

struct Cutter<'a> {
    update: &'a [u8],
    max_bytes: usize,
    piece: Piece,
    /// The ids of blocks without content in all pieces so far.
    gone: IdSet,
    done: Vec<Vec<u8>>,
}

impl Cutter<'_> {
    /// Puts a block into a piece.
    fn put(&mut self, block: &Block<'_>) -> Walk<()> {
        let client = block.client;
        let bytes = &self.update[block.bytes.clone()];
        if matches!(block.info & KIND, GC | DELETED) {
            self.make_room(client, bytes.len() + RANGE_BYTES);
            self.piece.push(client, block.clock, bytes);
            self.piece.delete(client, &(block.clock..block.end()));
            self.gone.insert(client, block.clock..block.end());
            return Ok(());
        }
        if self.piece.would_hold(client, bytes.len()) <= self.max_bytes {
            self.piece.push(client, block.clock, bytes);
            return Ok(());
        }
        let parts = match block.info & KIND {
            STRING | ANY if block.info & HAS_KEY == 0 => self.cut(block)?,
            _ => vec![(block.clock, bytes.to_vec())],
        };
        for (clock, bytes) in parts {
            self.make_room(client, bytes.len());
            self.piece.push(client, clock, &bytes);
        }
        Ok(())
    }

    /// Cuts a text or a list; the first part fits what is left of the piece, if that is worth it.
    fn cut(&self, block: &Block<'_>) -> Walk<Vec<(u32, Vec<u8>)>> {
        let mut rest = Reader::new(&self.update[block.content_at..block.bytes.end]);
        let is_text = block.info & KIND == STRING;
        let mut left = if is_text { 0 } else { rest.count("values", 1)? };
        let mut text = if is_text { rest.text()? } else { "" };
        let mut parts = Vec::new();
        let mut head = self.update[block.bytes.start..block.content_at].to_vec();
        let (client, mut clock) = (block.client, block.clock);
        let whole = self.max_bytes.saturating_sub(EMPTY_BYTES + SECTION_BYTES);
        let begun = self.max_bytes.saturating_sub(self.piece.would_hold(client, 0));
        let mut room = if begun > WORTH_FILLING.min(whole / 4) { begun } else { whole };
        while !text.is_empty() || left > 0 {
            // The number in front of the content takes five bytes at most.
            let budget = room.saturating_sub(head.len() + 5);
            let (bytes, length) = if is_text {
                let (begin, end) = text.split_at(fitting(text, budget));
                text = end;
                varint::write(&mut head, begin.len() as u64);
                (begin.as_bytes(), super::utf16_length(begin))
            } else {
                let (values, count) = take_values(&mut rest, left, budget)?;
                left -= count;
                varint::write(&mut head, count as u64);
                (values, count as u64)
            };
            head.extend_from_slice(bytes);
            parts.push((clock, std::mem::take(&mut head)));
            // As many as the block had, which the scanner has counted.
            clock += length as u32;
            // What follows stands behind what went before, with the same neighbour on its right.
            head.push(block.info | HAS_ORIGIN);
            for id in [Some((client, clock - 1)), block.right_origin].into_iter().flatten() {
                write_id(&mut head, id);
            }
            room = whole;
        }
        Ok(parts)
    }

    fn put_delete(&mut self, client: u64, range: &Range<u32>) {
        if EMPTY_BYTES + self.piece.bytes + RANGE_BYTES > self.max_bytes {
            self.flush();
        }
        self.piece.delete(client, range);
    }

    /// Begins another piece if this one cannot hold so many bytes more.
    fn make_room(&mut self, client: u64, bytes: usize) {
        if self.piece.would_hold(client, bytes) > self.max_bytes {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.piece.bytes > 0 {
            self.done.push(std::mem::take(&mut self.piece).finish());
        }
    }
}

/// What is in one piece so far.
#[derive(Default)]
struct Piece {
    sections: Vec<Part>,
    deletes: IdSet,
    /// The most that both take.
    bytes: usize,
}

/// The blocks of one client in a piece.
struct Part {
    client: u64,
    clock: u32,
    blocks: u64,
    bytes: Vec<u8>,
}

impl Piece {
    /// How large it is with a block of so many bytes more.
    fn would_hold(&self, client: u64, bytes: usize) -> usize {
        let is_new = self.place(client).is_err();
        EMPTY_BYTES + self.bytes + bytes + if is_new { SECTION_BYTES } else { 0 }
    }

    /// Clients in falling order, as Yjs writes them.
    fn place(&self, client: u64) -> Result<usize, usize> {
        self.sections.binary_search_by(|part| client.cmp(&part.client))
    }

    fn push(&mut self, client: u64, clock: u32, block: &[u8]) {
        let index = self.place(client).unwrap_or_else(|index| {
            self.bytes += SECTION_BYTES;
            self.sections.insert(index, Part { client, clock, blocks: 0, bytes: Vec::new() });
            index
        });
        let part = &mut self.sections[index];
        part.blocks += 1;
        part.bytes.extend_from_slice(block);
        self.bytes += block.len();
    }

    fn delete(&mut self, client: u64, range: &Range<u32>) {
        let before = self.deletes.range_count();
        self.deletes.insert(client, range.clone());
        if self.deletes.range_count() > before {
            self.bytes += RANGE_BYTES;
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(EMPTY_BYTES + self.bytes);
        varint::write(&mut out, self.sections.len() as u64);
        for part in self.sections {
            varint::write(&mut out, part.blocks);
            varint::write(&mut out, part.client);
            varint::write(&mut out, part.clock.into());
            out.extend_from_slice(&part.bytes);
        }
        self.deletes.encode_v1(&mut out);
        out
    }
}

/// How many bytes of a text fit: whole characters, at least one.
fn fitting(text: &str, budget: usize) -> usize {
    let least = text.chars().next().map_or(0, char::len_utf8);
    let fits = (0..=budget.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    fits.unwrap_or(0).max(least)
}

/// As many of the `left` values as fit, at least one.
fn take_values<'a>(reader: &mut Reader<'a>, left: usize, budget: usize) -> Walk<(&'a [u8], usize)> {
    let begin = reader.clone();
    let (mut bytes, mut count) = (0, 0);
    while count < left {
        let mut ahead = reader.clone();
        value::any(&mut ahead)?;
        let end = ahead.at() - begin.at();
        if count > 0 && end > budget {
            break;
        }
        (bytes, count) = (end, count + 1);
        *reader = ahead;
    }
    Ok((begin.clone().take(bytes)?, count))
}
