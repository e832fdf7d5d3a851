//! The flat buffers in which edits and patches cross between the core and a language that cannot hold its types.
//!
//! ```text
//! packet = u32 LE bytes of text │ text: UTF-8, every string in order of use │ body: tags, varints, raw bytes
//! ```
//!
//! One text for all strings: JavaScript decodes it once and cuts it, which is far cheaper than one decoding per
//! string. A string in the body is its length in UTF-16 units, as JavaScript counts.

use crate::edit::{Node, Op};
use crate::value::Value;
use hither_protocol::varint;
use std::collections::BTreeMap;

/// Containers in containers that a packet may hold; deeper ones are refused, so that no reader overflows.
pub const MAX_DEPTH: usize = 100;

const NULL: u8 = 0;
const UNDEFINED: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const FLOAT: u8 = 4;
const INTEGER: u8 = 5;
const BIGINT: u8 = 6;
const STRING: u8 = 7;
const BYTES: u8 = 8;
const LIST: u8 = 9;
const MAP: u8 = 10;
const TEXT: u8 = 11;
const OPAQUE: u8 = 12;

const MAP_SET: u8 = 1;
const MAP_DELETE: u8 = 2;
const LIST_SPLICE: u8 = 3;
const TEXT_SPLICE: u8 = 4;
const RESET: u8 = 5;
const OPAQUE_SET: u8 = 6;

/// Why bytes are no packet: a bug of the shell, never a peer's doing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad packet at byte {at}: {what}")]
pub struct PacketError {
    /// Offset in the body.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Writes a packet.
#[derive(Debug, Default)]
pub(crate) struct PacketWriter {
    text: String,
    body: Vec<u8>,
}

impl PacketWriter {
    pub(crate) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        if self.body.is_empty() {
            return Vec::new();
        }
        [&(self.text.len() as u32).to_le_bytes()[..], self.text.as_bytes(), &self.body].concat()
    }

    /// Everything that `other` wrote, behind what is here.
    pub(crate) fn append(&mut self, other: &PacketWriter) {
        self.text.push_str(&other.text);
        self.body.extend_from_slice(&other.body);
    }

    pub(crate) fn map_set(&mut self, node: Node, key: &str) {
        self.op(MAP_SET, node);
        self.string(key);
    }

    pub(crate) fn map_delete(&mut self, node: Node, key: &str) {
        self.op(MAP_DELETE, node);
        self.string(key);
    }

    /// `count` values follow.
    pub(crate) fn list_splice(&mut self, node: Node, index: u32, deleted: u32, count: usize) {
        self.op(LIST_SPLICE, node);
        self.number(index.into());
        self.number(deleted.into());
        self.number(count as u64);
    }

    pub(crate) fn text_splice(&mut self, node: Node, index: u32, deleted: u32, text: &str) {
        self.op(TEXT_SPLICE, node);
        self.number(index.into());
        self.number(deleted.into());
        self.string(text);
    }

    /// `count` pairs of [`Self::string`] and a value follow.
    pub(crate) fn reset(&mut self, count: usize) {
        self.body.push(RESET);
        self.number(count as u64);
    }

    pub(crate) fn opaque_set(&mut self, node: Node, text: &str) {
        self.op(OPAQUE_SET, node);
        self.string(text);
    }

    /// `count` values follow.
    pub(crate) fn list(&mut self, node: Node, count: usize) {
        self.op(LIST, node);
        self.number(count as u64);
    }

    /// `count` pairs of [`Self::string`] and a value follow.
    pub(crate) fn map(&mut self, node: Node, count: usize) {
        self.op(MAP, node);
        self.number(count as u64);
    }

    pub(crate) fn text(&mut self, node: Node, text: &str) {
        self.op(TEXT, node);
        self.string(text);
    }

    pub(crate) fn opaque(&mut self, node: Node, text: &str) {
        self.op(OPAQUE, node);
        self.string(text);
    }

    pub(crate) fn null(&mut self) {
        self.body.push(NULL);
    }

    pub(crate) fn undefined(&mut self) {
        self.body.push(UNDEFINED);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.body.push(if value { TRUE } else { FALSE });
    }

    pub(crate) fn float(&mut self, value: f64) {
        let integer = value as i32;
        if f64::from(integer).to_bits() == value.to_bits() {
            self.body.push(INTEGER);
            self.number(u64::from((integer.wrapping_shl(1) ^ (integer >> 31)) as u32));
        } else {
            self.body.push(FLOAT);
            self.body.extend_from_slice(&value.to_le_bytes());
        }
    }

    pub(crate) fn bigint(&mut self, value: i64) {
        self.body.push(BIGINT);
        self.body.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn atom(&mut self, text: &str) {
        self.body.push(STRING);
        self.string(text);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.body.push(BYTES);
        self.number(bytes.len() as u64);
        self.body.extend_from_slice(bytes);
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.number(u64::from(utf16_len(text)));
        self.text.push_str(text);
    }

    fn op(&mut self, tag: u8, node: Node) {
        self.body.push(tag);
        self.number(node.0.into());
    }

    fn number(&mut self, number: u64) {
        varint::write(&mut self.body, number);
    }
}

/// The length of a text as JavaScript and Yjs count it.
pub(crate) fn utf16_len(text: &str) -> u32 {
    if text.is_ascii() { text.len() as u32 } else { text.encode_utf16().count() as u32 }
}

/// The operations of a packet that a draft wrote.
pub fn decode_ops(packet: &[u8]) -> Result<Vec<Op>, PacketError> {
    if packet.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = PacketReader::new(packet)?;
    let mut ops = Vec::new();
    while reader.at < reader.body.len() {
        ops.push(reader.op()?);
    }
    Ok(ops)
}

/// The one value of a packet.
pub fn decode_value(packet: &[u8]) -> Result<Value, PacketError> {
    let mut reader = PacketReader::new(packet)?;
    let value = reader.value(0)?;
    if reader.at < reader.body.len() {
        return Err(reader.error("bytes behind the value"));
    }
    Ok(value)
}

pub(crate) struct PacketReader<'a> {
    text: &'a str,
    body: &'a [u8],
    at: usize,
}

impl<'a> PacketReader<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Result<Self, PacketError> {
        let head = PacketError { at: 0, what: "no room for the text it announces" };
        let (length, rest) = packet.split_first_chunk::<4>().ok_or(head.clone())?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > rest.len() {
            return Err(head);
        }
        let (text, body) = rest.split_at(length);
        let text = std::str::from_utf8(text).map_err(|_| PacketError { at: 0, what: "text is not UTF-8" })?;
        Ok(Self { text, body, at: 0 })
    }

    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.at == self.body.len()
    }

    fn error(&self, what: &'static str) -> PacketError {
        PacketError { at: self.at, what }
    }

    fn op(&mut self) -> Result<Op, PacketError> {
        let tag = self.byte()?;
        let node = Node(self.u32()?);
        Ok(match tag {
            MAP_SET => Op::MapSet { node, key: self.string()?.to_owned(), value: self.value(0)? },
            MAP_DELETE => Op::MapDelete { node, key: self.string()?.to_owned() },
            LIST_SPLICE => {
                let (index, deleted) = (self.u32()?, self.u32()?);
                Op::ListSplice { node, index, deleted, values: self.values(0)? }
            }
            TEXT_SPLICE => {
                let (index, deleted) = (self.u32()?, self.u32()?);
                Op::TextSplice { node, index, deleted, text: self.string()?.to_owned() }
            }
            _ => return Err(self.error("unknown operation")),
        })
    }

    pub(crate) fn value(&mut self, depth: usize) -> Result<Value, PacketError> {
        if depth > MAX_DEPTH {
            return Err(self.error("containers nested too deep"));
        }
        Ok(match self.byte()? {
            NULL => Value::Null,
            UNDEFINED => Value::Undefined,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            FLOAT => Value::Number(f64::from_le_bytes(self.chunk()?)),
            INTEGER => {
                let zigzag = self.u32()?;
                Value::Number(f64::from((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)))
            }
            BIGINT => Value::BigInt(i64::from_le_bytes(self.chunk()?)),
            STRING => Value::String(self.string()?.to_owned()),
            BYTES => {
                let length = self.u32()? as usize;
                Value::Bytes(self.raw(length)?.to_vec())
            }
            LIST => {
                self.u32()?;
                Value::List(self.values(depth)?)
            }
            MAP => {
                self.u32()?;
                let count = self.u32()?;
                let mut entries = BTreeMap::new();
                for _ in 0..count {
                    let key = self.string()?.to_owned();
                    entries.insert(key, self.value(depth + 1)?);
                }
                Value::Map(entries)
            }
            TEXT => {
                self.u32()?;
                Value::Text(self.string()?.to_owned())
            }
            _ => return Err(self.error("unknown value")),
        })
    }

    fn values(&mut self, depth: usize) -> Result<Vec<Value>, PacketError> {
        let count = self.u32()?;
        (0..count).map(|_| self.value(depth + 1)).collect()
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, PacketError> {
        let units = self.u32()? as usize;
        let end = match self.text.as_bytes().get(..units) {
            Some(head) if head.is_ascii() => units,
            _ => {
                let mut left = units;
                let mut chars = self.text.char_indices();
                loop {
                    match (left, chars.next()) {
                        (0, next) => break next.map_or(self.text.len(), |(at, _)| at),
                        (_, None) => return Err(self.error("a string past the end of the text")),
                        (_, Some((_, c))) if c.len_utf16() > left => {
                            return Err(self.error("a string that ends inside a character"));
                        }
                        (_, Some((_, c))) => left -= c.len_utf16(),
                    }
                }
            }
        };
        let (string, rest) = self.text.split_at(end);
        self.text = rest;
        Ok(string)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, PacketError> {
        let byte = *self.body.get(self.at).ok_or(self.error("it ends early"))?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn chunk<const N: usize>(&mut self) -> Result<[u8; N], PacketError> {
        let chunk = *self.body[self.at..].first_chunk().ok_or(self.error("it ends early"))?;
        self.at += N;
        Ok(chunk)
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], PacketError> {
        let raw = self.body[self.at..].get(..length).ok_or(self.error("it ends early"))?;
        self.at += length;
        Ok(raw)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, PacketError> {
        let (number, taken) =
            varint::peek(&self.body[self.at..]).map_err(|_| self.error("it ends inside a number"))?;
        let number = u32::try_from(number).map_err(|_| self.error("a number past 32 bits"))?;
        self.at += taken;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(writer: &mut PacketWriter, value: &Value) {
        match value {
            Value::Null => writer.null(),
            Value::Undefined => writer.undefined(),
            Value::Bool(value) => writer.bool(*value),
            Value::Number(number) => writer.float(*number),
            Value::BigInt(number) => writer.bigint(*number),
            Value::String(text) => writer.atom(text),
            Value::Bytes(bytes) => writer.bytes(bytes),
            Value::List(items) => {
                writer.list(Node(0), items.len());
                items.iter().for_each(|item| write(writer, item));
            }
            Value::Map(entries) => {
                writer.map(Node(0), entries.len());
                for (key, value) in entries {
                    writer.string(key);
                    write(writer, value);
                }
            }
            Value::Text(text) => writer.text(Node(0), text),
            Value::Opaque(text) => writer.opaque(Node(0), text),
        }
    }

    fn sample() -> Value {
        let numbers = [0.0, -0.0, 1.5, -1.0, 2147483647.0, -2147483648.0, 2147483648.0, f64::MAX, 1e-300];
        let mut items: Vec<Value> = numbers.iter().map(|&n| Value::Number(n)).collect();
        items.extend([Value::Null, Value::Undefined, Value::Bool(true), Value::BigInt(i64::MIN)]);
        items.extend([Value::Bytes(vec![0, 255]), Value::Text("grüße 😀".into()), Value::String("".into())]);
        let entries = [("😀key".to_owned(), Value::List(items)), ("b".to_owned(), Value::map())];
        Value::Map(entries.into_iter().collect())
    }

    #[test]
    fn values_survive_the_round_trip() {
        let mut writer = PacketWriter::default();
        write(&mut writer, &sample());
        assert_eq!(decode_value(&writer.finish()), Ok(sample()));
    }

    #[test]
    fn no_truncation_and_no_flipped_byte_panics() {
        let mut writer = PacketWriter::default();
        writer.map_set(Node(3), "k😀");
        write(&mut writer, &sample());
        writer.text_splice(Node(9), 1, 2, "ü");
        let packet = writer.finish();
        assert_eq!(decode_ops(&packet).map(|ops| ops.len()), Ok(2));
        for cut in 0..packet.len() {
            let _ = decode_ops(&packet[..cut]);
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = packet.clone();
                bad[cut] ^= flip;
                let _ = decode_ops(&bad);
                let _ = decode_value(&bad);
            }
        }
    }

    #[test]
    fn nesting_past_the_limit_is_refused() {
        let nested = |depth: usize| (0..depth).fold(Value::Null, |value, _| Value::List(vec![value]));
        let packet = |value: &Value| {
            let mut writer = PacketWriter::default();
            write(&mut writer, value);
            writer.finish()
        };
        assert!(decode_value(&packet(&nested(MAX_DEPTH))).is_ok());
        assert!(decode_value(&packet(&nested(MAX_DEPTH + 1))).is_err());
    }
}
