//! Plain values inside an update: lib0's tagged binary "any", and JSON texts.
//!
//! Both readers downstream (yrs and Yjs) recurse once per level of nesting, so depth is bounded here, by a
//! walk that does not recurse itself.

use super::reader::{MAX_SAFE_INTEGER, Reader};
use super::{ScanError, Walk};
use crate::limits::MAX_VALUE_DEPTH;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;
use std::fmt;

const BYTES: u8 = 116;
const LIST: u8 = 117;
const MAP: u8 = 118;
const STRING: u8 = 119;
const TRUE: u8 = 120;
const FALSE: u8 = 121;
const BIGINT: u8 = 122;
const FLOAT64: u8 = 123;
const FLOAT32: u8 = 124;
const INTEGER: u8 = 125;
const NULL: u8 = 126;
const UNDEFINED: u8 = 127;

/// A list or map that is open: how many values are still to come, and whether a key precedes each.
struct Open {
    left: usize,
    keyed: bool,
}

/// Walks one "any" value.
pub(super) fn any(reader: &mut Reader<'_>) -> Walk<()> {
    let Some(outermost) = scalar(reader)? else { return Ok(()) };
    let mut open: SmallVec<[Open; 8]> = SmallVec::new();
    open.push(outermost);
    while let Some(innermost) = open.last_mut() {
        if innermost.left == 0 {
            open.pop();
            continue;
        }
        innermost.left -= 1;
        if innermost.keyed {
            reader.text()?;
        }
        let at = reader.at();
        if let Some(inner) = scalar(reader)? {
            if open.len() >= MAX_VALUE_DEPTH {
                return Err(ScanError::TooDeep { at, limit: MAX_VALUE_DEPTH }.into());
            }
            open.push(inner);
        }
    }
    Ok(())
}

/// Walks one "any" value that must be a map.
pub(super) fn any_map(reader: &mut Reader<'_>) -> Walk<()> {
    let at = reader.at();
    if reader.peek() != Some(MAP) {
        reader.byte()?;
        return Err(ScanError::SubdocumentOptions { at }.into());
    }
    any(reader)
}

/// Walks a value without values inside, or the head of a list or map.
#[inline]
fn scalar(reader: &mut Reader<'_>) -> Walk<Option<Open>> {
    let at = reader.at();
    match reader.byte()? {
        UNDEFINED | NULL | TRUE | FALSE => {}
        INTEGER => reader.signed(MAX_SAFE_INTEGER)?,
        FLOAT32 => drop(reader.take(4)?),
        FLOAT64 | BIGINT => drop(reader.take(8)?),
        STRING => drop(reader.text()?),
        BYTES => drop(reader.sized()?),
        MAP => return reader.count("map entries", 2).map(|left| Some(Open { left, keyed: true })),
        LIST => return reader.count("list entries", 1).map(|left| Some(Open { left, keyed: false })),
        kind => return Err(ScanError::UnknownValue { at, kind }.into()),
    }
    Ok(None)
}

/// Walks a length-prefixed JSON text.
///
/// serde_json refuses some texts that `JSON.parse` takes: half a surrogate pair, an integer from 2^63 to
/// 2^64, a number past the range of a double. yrs reads with serde_json, so they are refused here too.
pub(super) fn json(reader: &mut Reader<'_>) -> Walk<()> {
    let text = reader.text()?;
    if matches!(text, "true" | "false" | "null") {
        return Ok(());
    }
    let start = reader.at() - text.len();
    if let Some(too_deep) = too_deep(text) {
        return Err(ScanError::TooDeep { at: start + too_deep, limit: MAX_VALUE_DEPTH }.into());
    }
    match serde_json::from_str(text) {
        Ok(Checked) => Ok(()),
        Err(error) => Err(ScanError::Json { at: start, line: error.line(), column: error.column() }.into()),
    }
}

/// The offset of the bracket that opens one level too many. Brackets inside strings do not count; in a text
/// that is no JSON the answer means nothing, and the parser refuses it.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_VALUE_DEPTH {
                    return Some(offset);
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// A JSON value that yrs can hold, thrown away.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Checked, D::Error> {
        deserializer.deserialize_any(Checked)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Checked;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Checked, E> {
        i64::try_from(value).map_err(|_| E::custom(format_args!("{value} does not fit 64 signed bits")))?;
        Ok(Checked)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }
    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }
    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Checked, A::Error> {
        while list.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checked, A::Error> {
        while map.next_entry::<Checked, Checked>()?.is_some() {}
        Ok(Checked)
    }
}
