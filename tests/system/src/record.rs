//! What a program did to a directory, deed by deed, as `system-recorder` writes it down and [`crate::disk`] reads it.
//!
//! ```text
//! record = deed*      deed = kind:u8 field*      field = length:u32 bytes | number:u64      little-endian
//! ```
//! A recorder that was killed may leave half a deed at the end: that one did not happen.

use std::io::{self, Write};

/// One thing that was done. Paths are relative to the recorded directory; it is itself the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // what a field is, its name says
pub enum Deed {
    /// A new, empty file.
    Create { path: String },
    /// A new directory.
    MakeDir { path: String },
    /// A file or an empty directory went.
    Remove { path: String },
    /// A file got another name, and took the place of what had it.
    Rename { from: String, to: String },
    /// Bytes went into a file.
    Write { path: String, at: u64, bytes: Vec<u8> },
    /// A file got another length.
    Resize { path: String, len: u64 },
    /// A file or directory is being synced: what was done to it from now on may come too late.
    SyncBegan { call: u64, path: String },
    /// That call has returned without an error.
    Synced { call: u64 },
    /// The program wrote to its standard output.
    Said { bytes: Vec<u8> },
    /// The recorder let a call fail, as it was told to.
    Refused { path: String },
    /// The program did something that this record has no word for: what follows means nothing.
    Unknown { what: String },
}

impl Deed {
    /// Appends this deed to a record, in one write.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        let kind = match self {
            Deed::Create { .. } => 0,
            Deed::MakeDir { .. } => 1,
            Deed::Remove { .. } => 2,
            Deed::Rename { .. } => 3,
            Deed::Write { .. } => 4,
            Deed::Resize { .. } => 5,
            Deed::SyncBegan { .. } => 6,
            Deed::Synced { .. } => 7,
            Deed::Said { .. } => 8,
            Deed::Refused { .. } => 9,
            Deed::Unknown { .. } => 10,
        };
        bytes.push(kind);
        match self {
            Deed::Create { path }
            | Deed::MakeDir { path }
            | Deed::Remove { path }
            | Deed::Refused { path } => {
                field(&mut bytes, path.as_bytes());
            }
            Deed::Rename { from, to } => {
                field(&mut bytes, from.as_bytes());
                field(&mut bytes, to.as_bytes());
            }
            Deed::Write { path, at, bytes: written } => {
                field(&mut bytes, path.as_bytes());
                bytes.extend(at.to_le_bytes());
                field(&mut bytes, written);
            }
            Deed::Resize { path, len: number } | Deed::SyncBegan { path, call: number } => {
                field(&mut bytes, path.as_bytes());
                bytes.extend(number.to_le_bytes());
            }
            Deed::Synced { call } => bytes.extend(call.to_le_bytes()),
            Deed::Said { bytes: said } => field(&mut bytes, said),
            Deed::Unknown { what } => field(&mut bytes, what.as_bytes()),
        }
        out.write_all(&bytes)
    }

    /// Every whole deed of a record.
    pub fn read_all(mut record: &[u8]) -> Vec<Deed> {
        let mut deeds = Vec::new();
        while let Some(deed) = Deed::read(&mut record) {
            deeds.push(deed);
        }
        deeds
    }

    fn read(from: &mut &[u8]) -> Option<Deed> {
        let (&kind, rest) = from.split_first()?;
        *from = rest;
        Some(match kind {
            0 => Deed::Create { path: read_text(from)? },
            1 => Deed::MakeDir { path: read_text(from)? },
            2 => Deed::Remove { path: read_text(from)? },
            3 => Deed::Rename { from: read_text(from)?, to: read_text(from)? },
            4 => Deed::Write { path: read_text(from)?, at: read_number(from)?, bytes: read_field(from)? },
            5 => Deed::Resize { path: read_text(from)?, len: read_number(from)? },
            6 => Deed::SyncBegan { path: read_text(from)?, call: read_number(from)? },
            7 => Deed::Synced { call: read_number(from)? },
            8 => Deed::Said { bytes: read_field(from)? },
            9 => Deed::Refused { path: read_text(from)? },
            10 => Deed::Unknown { what: read_text(from)? },
            other => panic!("a record with a deed of kind {other}"),
        })
    }
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn read_field(from: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = from.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *from = rest;
    Some(bytes.to_vec())
}

fn read_text(from: &mut &[u8]) -> Option<String> {
    read_field(from).map(|bytes| String::from_utf8(bytes).unwrap())
}

fn read_number(from: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = from.split_first_chunk::<8>()?;
    *from = rest;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_half_a_deed_at_its_end_did_not_happen() {
        let path = || "data/log".to_owned();
        let deeds = vec![
            Deed::Create { path: path() },
            Deed::MakeDir { path: path() },
            Deed::Remove { path: path() },
            Deed::Rename { from: path(), to: String::new() },
            Deed::Write { path: path(), at: 1 << 40, bytes: vec![1, 2, 3] },
            Deed::Resize { path: path(), len: 7 },
            Deed::SyncBegan { call: 9, path: path() },
            Deed::Synced { call: 9 },
            Deed::Said { bytes: b"append 1 2\n".to_vec() },
            Deed::Refused { path: path() },
            Deed::Unknown { what: "mmap".to_owned() },
        ];
        let (mut record, mut ends) = (Vec::new(), Vec::new());
        for deed in &deeds {
            deed.write(&mut record).unwrap();
            ends.push(record.len());
        }
        for cut in 0..=record.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(Deed::read_all(&record[..cut]), deeds[..whole]);
        }
    }
}
