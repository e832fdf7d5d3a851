//! The application's side of patches: a tree that knows nothing but the packets that the core hands out. It must
//! always equal what the core says when asked.
//!
//! It reads packets with code of its own, as the packet's description says, so that a writer and a reader that
//! are wrong together do not agree here.

use hither_core::value::Value;
use std::collections::BTreeMap;

/// A tree with the handles of its containers.
#[derive(Debug, Clone)]
enum Tree {
    Plain(Value),
    List(u64, Vec<Tree>),
    Map(u64, BTreeMap<String, Tree>),
    Text(u64, Vec<u16>),
    Opaque(u64, String),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Reader {
    root: Tree,
}

impl Reader {
    pub(crate) fn new() -> Reader {
        Reader { root: Tree::Map(0, BTreeMap::new()) }
    }

    /// Applies one packet of operations.
    pub(crate) fn apply(&mut self, packet: &[u8]) -> Result<(), String> {
        if packet.is_empty() {
            return Ok(());
        }
        let mut packet = Packet::open(packet)?;
        while packet.at < packet.body.len() {
            self.operate(&mut packet)?;
        }
        Ok(())
    }

    fn operate(&mut self, packet: &mut Packet<'_>) -> Result<(), String> {
        let operation = packet.byte()?;
        if operation == 5 {
            self.root = Tree::Map(0, packet.entries()?);
            return Ok(());
        }
        let handle = packet.number()?;
        let target = self
            .root
            .find(handle)
            .ok_or_else(|| format!("operation {operation} on unknown node {handle}"))?;
        match (operation, target) {
            (1, Tree::Map(_, entries)) => {
                let key = packet.string()?;
                entries.insert(key, packet.tree()?);
            }
            (2, Tree::Map(_, entries)) => {
                let key = packet.string()?;
                entries.remove(&key).ok_or_else(|| format!("removes {key:?}, which is not there"))?;
            }
            (3, Tree::List(_, items)) => {
                let (from, to) = packet.span(items.len())?;
                let count = packet.number()?;
                let values = (0..count).map(|_| packet.tree()).collect::<Result<Vec<_>, _>>()?;
                items.splice(from..to, values);
            }
            (4, Tree::Text(_, units)) => {
                let (from, to) = packet.span(units.len())?;
                let text = packet.string()?;
                units.splice(from..to, text.encode_utf16());
            }
            (6, Tree::Opaque(_, text)) => *text = packet.string()?,
            (operation, target) => return Err(format!("operation {operation} on {target:?}")),
        }
        Ok(())
    }

    /// Whether the application sees this.
    pub(crate) fn shows(&self, value: &Value) -> bool {
        self.root.is(value)
    }
}

impl Tree {
    fn find(&mut self, handle: u64) -> Option<&mut Tree> {
        match self {
            Tree::List(own, _) | Tree::Map(own, _) | Tree::Text(own, _) | Tree::Opaque(own, _)
                if *own == handle =>
            {
                Some(self)
            }
            Tree::List(_, items) => items.iter_mut().find_map(|item| item.find(handle)),
            Tree::Map(_, entries) => entries.values_mut().find_map(|entry| entry.find(handle)),
            Tree::Plain(_) | Tree::Text(..) | Tree::Opaque(..) => None,
        }
    }

    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Tree::Plain(own), value) => own == value,
            (Tree::List(_, items), Value::List(values)) => {
                items.len() == values.len() && items.iter().zip(values).all(|(item, value)| item.is(value))
            }
            (Tree::Map(_, entries), Value::Map(values)) => {
                entries.len() == values.len()
                    && entries
                        .iter()
                        .zip(values)
                        .all(|((own, entry), (key, value))| own == key && entry.is(value))
            }
            (Tree::Text(_, units), Value::Text(text)) => text.encode_utf16().eq(units.iter().copied()),
            (Tree::Opaque(_, own), Value::Opaque(text)) => own == text,
            _ => false,
        }
    }
}

struct Packet<'a> {
    text: std::str::Chars<'a>,
    body: &'a [u8],
    at: usize,
}

impl<'a> Packet<'a> {
    fn open(packet: &'a [u8]) -> Result<Packet<'a>, String> {
        let (length, rest) = packet.split_first_chunk::<4>().ok_or("a packet without a head")?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, body) = rest.split_at_checked(length).ok_or("a packet shorter than its text")?;
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        Ok(Packet { text: text.chars(), body, at: 0 })
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = *self.body.get(self.at).ok_or("a packet that ends early")?;
        self.at += 1;
        Ok(byte)
    }

    fn raw(&mut self, count: usize) -> Result<&'a [u8], String> {
        let raw = self.body.get(self.at..self.at + count).ok_or("a packet that ends early")?;
        self.at += count;
        Ok(raw)
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number without an end".into())
    }

    /// `index deleted` within `length`.
    fn span(&mut self, length: usize) -> Result<(usize, usize), String> {
        let (index, deleted) = (self.number()? as usize, self.number()? as usize);
        if index + deleted > length {
            return Err(format!("{deleted} from {index} of {length}"));
        }
        Ok((index, index + deleted))
    }

    fn string(&mut self) -> Result<String, String> {
        let mut left = self.number()? as usize;
        let mut string = String::new();
        while left > 0 {
            let next = self.text.next().ok_or("a string past the end of the text")?;
            left = left.checked_sub(next.len_utf16()).ok_or("a string that ends inside a character")?;
            string.push(next);
        }
        Ok(string)
    }

    fn entries(&mut self) -> Result<BTreeMap<String, Tree>, String> {
        let count = self.number()?;
        (0..count).map(|_| Ok((self.string()?, self.tree()?))).collect()
    }

    fn tree(&mut self) -> Result<Tree, String> {
        Ok(match self.byte()? {
            0 => Tree::Plain(Value::Null),
            1 => Tree::Plain(Value::Undefined),
            2 => Tree::Plain(Value::Bool(false)),
            3 => Tree::Plain(Value::Bool(true)),
            4 => {
                let bytes = self.raw(8)?.try_into().map_err(|_| "a float of another length")?;
                Tree::Plain(Value::Number(f64::from_le_bytes(bytes)))
            }
            5 => {
                let zigzag = self.number()?;
                let integer = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                Tree::Plain(Value::Number(integer as f64))
            }
            6 => {
                let bytes = self.raw(8)?.try_into().map_err(|_| "an integer of another length")?;
                Tree::Plain(Value::BigInt(i64::from_le_bytes(bytes)))
            }
            7 => Tree::Plain(Value::String(self.string()?)),
            8 => {
                let count = self.number()? as usize;
                Tree::Plain(Value::Bytes(self.raw(count)?.to_vec()))
            }
            9 => {
                let (handle, count) = (self.number()?, self.number()?);
                Tree::List(handle, (0..count).map(|_| self.tree()).collect::<Result<_, _>>()?)
            }
            10 => Tree::Map(self.number()?, self.entries()?),
            11 => Tree::Text(self.number()?, self.string()?.encode_utf16().collect()),
            12 => Tree::Opaque(self.number()?, self.string()?),
            other => return Err(format!("unknown value {other}")),
        })
    }
}
