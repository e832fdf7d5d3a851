//! The walk over a Yjs update (format v1) that a relay makes instead of decoding it.
//!
//! It says what the update inserts and deletes, and refuses everything that would hurt a reader behind the
//! relay: what yrs or Yjs cannot decode, what the two read differently, what nests deeper than a stack
//! holds, and counts that claim more than is there. It does not recurse, copies no content, and knows no
//! document: whether an id that an update refers to exists is not its question.
//!
//! ```text
//! update  = sections deletes                        numbers are LEB128, text is length-prefixed UTF-8
//! sections= n { blocks client clock block* }        clocks run on from block to block
//! block   = 0 length                                GC: deleted and forgotten
//!         | 10 length                               Skip: nothing here, the update has a hole
//!         | info [origin id] [right origin id] [parent [key]] content
//!            └─ 0x80 origin · 0x40 right origin · 0x20 key · low bits: kind of content
//!            parent and key stand there only without origins: 1 name (a root) | 0 id
//! deletes = n { client ranges { clock length }* }
//! ```
//!
//! Refused although they are known to Yjs: JSON content (kind 2; yrs reads one text more than Yjs wrote) and
//! XML hooks (type 5; yrs does not read their name). Nobody has written either for years.

pub mod blocks;
pub mod causal;
mod error;
mod nesting;
mod pieces;
mod reader;
mod value;

pub use error::{ScanError, Walk};
pub use pieces::pieces;

use crate::id_set::IdSet;
use crate::limits::MAX_CONTAINER_DEPTH;
use nesting::{Anchor, Nesting};
use reader::{MAX_CLOCK, Reader};
use smallvec::SmallVec;

const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const HAS_KEY: u8 = 0x20;
/// Yjs masks five bits where yrs compares the whole byte or masks four.
const KIND: u8 = 0x1f;

const GC: u8 = 0;
const DELETED: u8 = 1;
const BINARY: u8 = 3;
/// Characters.
pub const STRING: u8 = 4;
const EMBED: u8 = 5;
const FORMAT: u8 = 6;
/// A shared container.
pub const TYPE: u8 = 7;
/// Values.
pub const ANY: u8 = 8;
const DOCUMENT: u8 = 9;
const SKIP: u8 = 10;

const XML_ELEMENT: u8 = 3;
const XML_HOOK: u8 = 5;
const XML_TEXT: u8 = 6;

/// What an update holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The ids that it brings: items and GC blocks, not the holes.
    pub inserts: IdSet,
    /// The ids that it deletes. GC blocks are deleted too, and writers list them here as well.
    pub deletes: IdSet,
    /// The ids that its items refer to (neighbours and parents) and that it does not bring itself. Until a
    /// reader has them all, it must put the items aside.
    pub needs: IdSet,
    /// The root containers that it names, sorted by name, each once.
    pub roots: Vec<RootHint>,
    /// The offset where the delete set begins.
    pub structs_end: usize,
    /// Whether it has a hole (a Skip block). Yjs 13 loses what stands behind a hole at the start of a client's
    /// blocks if it has not got the ids in the hole yet.
    pub skips: bool,
    /// Whether it has begins or ends of formats. They belong into texts, but nothing in an update says where they go.
    pub formats: bool,
}

impl Scan {
    /// Whether it neither inserts nor deletes.
    pub fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.deletes.is_empty()
    }
}

/// A root container as far as one update shows it. Only the first items of a container name it, later ones
/// refer to their neighbours: an update without a hint for a root may still write into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootHint {
    /// The name of the root.
    pub name: String,
    /// What it looks like.
    pub shape: RootShape,
}

/// What a root container looks like from its content. The update itself does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RootShape {
    /// Only content that was deleted and forgotten.
    Unknown,
    /// Values or shared types in a row; XML children look like this too.
    List,
    /// Characters, formats or embeds.
    Text,
    /// Values under keys.
    Map,
}

/// Walks an update.
///
/// ```
/// use hither_protocol::scan::scan;
///
/// // Client 7 writes "hi" into the root text "t".
/// let found = scan(&[1, 1, 7, 0, 4, 1, 1, b't', 2, b'h', b'i', 0]).unwrap();
/// assert_eq!(found.inserts.ranges(7), &[0..2]);
/// assert_eq!(found.roots[0].name, "t");
/// ```
pub fn scan(update: &[u8]) -> Result<Scan, ScanError> {
    walk(update).map_err(|error| *error)
}

fn walk(update: &[u8]) -> Walk<Scan> {
    let mut reader = Reader::new(update);
    let mut structs = Structs::default();
    structs.read(&mut reader)?;
    let structs_end = reader.at();
    if structs.containers > MAX_CONTAINER_DEPTH as usize {
        // Few updates have so many that they could nest too deep: only these are walked a second time.
        let mut again = Structs { nesting: Some(Nesting::default()), ..Structs::default() };
        again.read(&mut Reader::new(update))?;
        again.nesting.map_or(Ok(()), Nesting::check)?;
    }
    let deletes = deletes(&mut reader)?;
    if reader.left() > 0 {
        return Err(ScanError::Trailing { at: reader.at(), left: reader.left() }.into());
    }
    let needs = structs.needs();
    let Structs { inserts, roots, skips, formats, .. } = structs;
    Ok(Scan { inserts, deletes, needs, roots: roots.merged(), structs_end, skips, formats })
}

/// The update with another delete set. `scan` must be of `update`.
///
/// Stock clients send their whole delete set with every reconnect; the log needs only what is new in it.
pub fn with_deletes(update: &[u8], scan: &Scan, deletes: &IdSet) -> Vec<u8> {
    let mut out = Vec::with_capacity(scan.structs_end + 4 + 8 * deletes.range_count());
    out.extend_from_slice(&update[..scan.structs_end]);
    deletes.encode_v1(&mut out);
    out
}

/// Where an item stands, and where the blocks without a hole before it begin.
#[derive(Clone, Copy)]
struct Place {
    client: u64,
    run: u32,
    clock: u32,
}

/// The first half of an update.
#[derive(Default)]
struct Structs<'a> {
    inserts: IdSet,
    roots: Roots<'a>,
    skips: bool,
    formats: bool,
    /// What items refer to, apart from ids in front of them in their own section.
    references: SmallVec<[(u64, u32); 4]>,
    /// How many items are shared containers.
    containers: usize,
    /// On the second walk.
    nesting: Option<Nesting>,
}

impl<'a> Structs<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Walk<()> {
        // A section is at least three numbers and a GC block of two bytes.
        let sections = reader.count("clients", 5)?;
        let mut clients = Clients::default();
        for _ in 0..sections {
            let at = reader.at();
            let blocks = reader.count("blocks", 2)?;
            let client = reader.client()?;
            let clock = reader.clock()?;
            if blocks == 0 {
                // yrs recurses once for every client without blocks that it meets in a row.
                return Err(ScanError::NoBlocks { at, client }.into());
            }
            clients.add(client, at);
            self.section(reader, client, clock, blocks)?;
        }
        clients.all_different()
    }

    fn needs(&mut self) -> IdSet {
        // In order, every insert is one at the end.
        self.references.sort_unstable();
        let mut needs = IdSet::new();
        for &(client, clock) in &self.references {
            if !self.inserts.contains(client, clock) {
                needs.insert(client, clock..clock + 1);
            }
        }
        needs
    }

    fn section(&mut self, reader: &mut Reader<'a>, client: u64, mut clock: u32, blocks: usize) -> Walk<()> {
        let mut run = clock;
        for _ in 0..blocks {
            let at = reader.at();
            let info = reader.byte()?;
            let length = match info {
                GC | SKIP => reader.number(u32::MAX.into())?,
                _ => self.item(reader, Place { client, run, clock }, info)?,
            };
            if length == 0 {
                return Err(ScanError::Empty { at, client, clock }.into());
            }
            let end = end_of(at, client, clock, length)?;
            if info == SKIP {
                self.skips = true;
                self.inserts.insert(client, run..clock);
                run = end;
            }
            clock = end;
        }
        self.inserts.insert(client, run..clock);
        Ok(())
    }

    /// Walks an item behind its first byte and returns its length.
    #[inline]
    fn item(&mut self, reader: &mut Reader<'a>, place: Place, info: u8) -> Walk<u64> {
        let at = reader.at() - 1;
        let kind = info & KIND;
        if !matches!(kind, DELETED | BINARY..=DOCUMENT) {
            return Err(ScanError::UnknownBlock { at, info }.into());
        }
        let anchor = if info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) != 0 {
            let (beside, at_clock) = self.reference(reader, place)?;
            if info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == HAS_ORIGIN | HAS_RIGHT_ORIGIN {
                self.reference(reader, place)?;
            }
            Anchor::Beside(beside, at_clock)
        } else {
            self.parent(reader, place, info)?
        };
        let length = content(reader, kind)?;
        self.containers += usize::from(kind == TYPE);
        self.formats |= kind == FORMAT;
        if let Some(nesting) = &mut self.nesting {
            let Place { client, clock, .. } = place;
            nesting.add(client, clock, end_of(at, client, clock, length)?, anchor, kind == TYPE);
        }
        Ok(length)
    }

    /// Walks the parent, and the key, that an item without neighbours has.
    fn parent(&mut self, reader: &mut Reader<'a>, place: Place, info: u8) -> Walk<Anchor> {
        let (at, keyed) = (reader.at(), info & HAS_KEY != 0);
        let anchor = match reader.number(u32::MAX.into())? {
            0 => {
                let (parent, at_clock) = self.reference(reader, place)?;
                Anchor::Inside(parent, at_clock)
            }
            1 => {
                self.roots.add(reader.text()?, info & KIND, keyed);
                Anchor::Root
            }
            value => return Err(ScanError::UnknownParent { at, value }.into()),
        };
        if keyed {
            reader.text()?;
        }
        Ok(anchor)
    }

    /// Walks an id. One of the same client must lie behind the block that names it: yrs would wait for it for
    /// ever, and Yjs throws.
    #[inline]
    fn reference(&mut self, reader: &mut Reader<'a>, place: Place) -> Walk<(u64, u32)> {
        let (at, Place { client, run, clock }) = (reader.at(), place);
        let (of, to) = reader.id()?;
        if of != client || to < run {
            self.references.push((of, to));
        } else if to >= clock {
            return Err(ScanError::RefersForward { at, client, clock, to }.into());
        }
        Ok((of, to))
    }
}

/// Walks an item's content and returns its length in clocks.
#[inline]
fn content(reader: &mut Reader<'_>, kind: u8) -> Walk<u64> {
    match kind {
        DELETED => return reader.number(u32::MAX.into()),
        STRING => return reader.text().map(utf16_length),
        BINARY => drop(reader.sized()?),
        EMBED => value::json(reader)?,
        FORMAT => {
            reader.text()?;
            value::json(reader)?;
        }
        TYPE => shared_type(reader)?,
        ANY => {
            let values = reader.count("values", 1)?;
            for _ in 0..values {
                value::any(reader)?;
            }
            return Ok(values as u64);
        }
        // DOCUMENT: `item` lets no other kind through.
        _ => {
            reader.text()?;
            value::any_map(reader)?;
        }
    }
    Ok(1)
}

fn shared_type(reader: &mut Reader<'_>) -> Walk<()> {
    let at = reader.at();
    match reader.byte()? {
        XML_ELEMENT => drop(reader.text()?),
        type_ref if type_ref > XML_TEXT || type_ref == XML_HOOK => {
            return Err(ScanError::UnknownType { at, type_ref }.into());
        }
        _ => {}
    }
    Ok(())
}

/// One clock per UTF-16 unit: one per character, two for those that take four bytes of UTF-8.
fn utf16_length(text: &str) -> u64 {
    let units = |byte: u8| u64::from(byte & 0xc0 != 0x80) + u64::from(byte >= 0xf0);
    text.bytes().map(units).sum()
}

fn end_of(at: usize, client: u64, clock: u32, length: u64) -> Walk<u32> {
    let end = u64::from(clock) + length;
    if end > MAX_CLOCK.into() {
        return Err(ScanError::PastLastClock { at, client, clock, length }.into());
    }
    Ok(end as u32)
}

/// The second half of an update.
fn deletes(reader: &mut Reader<'_>) -> Walk<IdSet> {
    let mut set = IdSet::new();
    let mut clients = Clients::default();
    for _ in 0..reader.count("clients with deletions", 2)? {
        let at = reader.at();
        let client = reader.client()?;
        clients.add(client, at);
        let mut previous = 0;
        for _ in 0..reader.count("deleted ranges", 2)? {
            let at = reader.at();
            let clock = reader.clock()?;
            let length = reader.number(u32::MAX.into())?;
            if length == 0 {
                return Err(ScanError::Empty { at, client, clock }.into());
            }
            if clock < previous {
                // yrs takes the order for granted when it merges delete sets.
                return Err(ScanError::DeletesUnsorted { at, client, clock, previous }.into());
            }
            previous = end_of(at, client, clock, length)?;
            set.insert(client, clock..previous);
        }
    }
    clients.all_different()?;
    Ok(set)
}

/// The clients of one half of an update. Of two sections for one client, yrs joins blocks out of order and
/// keeps only the last deletions.
#[derive(Default)]
struct Clients {
    seen: SmallVec<[(u64, usize); 4]>,
    /// Writers sort them in falling order: then they are different without a second look.
    unsorted: bool,
}

impl Clients {
    fn add(&mut self, client: u64, at: usize) {
        self.unsorted |= self.seen.last().is_some_and(|&(previous, _)| previous <= client);
        self.seen.push((client, at));
    }

    fn all_different(mut self) -> Walk<()> {
        if self.unsorted {
            self.seen.sort_unstable();
            if let Some(pair) = self.seen.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(ScanError::DuplicateClient { at: pair[1].1, client: pair[1].0 }.into());
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Roots<'a> {
    found: Vec<(&'a str, RootShape)>,
}

impl<'a> Roots<'a> {
    fn add(&mut self, name: &'a str, kind: u8, keyed: bool) {
        let shape = match kind {
            _ if keyed => RootShape::Map,
            STRING | FORMAT | EMBED => RootShape::Text,
            DELETED => RootShape::Unknown,
            _ => RootShape::List,
        };
        match self.found.last_mut() {
            // A map writes one item after the other under the same name.
            Some((last, known)) if *last == name => *known = shape.max(*known),
            _ => self.found.push((name, shape)),
        }
    }

    fn merged(mut self) -> Vec<RootHint> {
        // The clearest shape of a name comes first and stays.
        self.found.sort_unstable_by(|a, b| a.0.cmp(b.0).then(b.1.cmp(&a.1)));
        self.found.dedup_by_key(|(name, _)| *name);
        self.found.into_iter().map(|(name, shape)| RootHint { name: name.to_owned(), shape }).collect()
    }
}
