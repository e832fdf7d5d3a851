//! Unsigned LEB128, seven bits a byte, least significant first: the one integer of frames and updates.

use bytes::{Buf, Bytes};

/// Why an integer could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The bytes end inside it.
    #[error("the bytes end inside a number")]
    Truncated,
    /// More than 64 bits.
    #[error("a number has more than 64 bits")]
    Overflow,
}

/// Appends `value` to `out`: 1 to 10 bytes.
pub fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number of bytes that [`write`] appends.
pub fn len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Reads a number at the front of `bytes`: its value and the number of bytes it took.
pub fn peek(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return Err(VarintError::Overflow);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, index + 1));
        }
    }
    Err(if bytes.len() >= 10 { VarintError::Overflow } else { VarintError::Truncated })
}

/// Takes a number off the front of `bytes`.
pub fn read(bytes: &mut Bytes) -> Result<u64, VarintError> {
    let (value, taken) = peek(bytes)?;
    bytes.advance(taken);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [T4]
    #[test]
    fn every_width_survives_the_round_trip() {
        let edges = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, !0 >> bit]);
        for value in edges {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out.len(), len(value), "{value}");
            assert_eq!(peek(&out), Ok((value, out.len())));
            for cut in 0..out.len() {
                assert_eq!(peek(&out[..cut]), Err(VarintError::Truncated));
            }
        }
    }

    #[test]
    fn more_than_64_bits_are_refused() {
        assert_eq!(peek(&[0xff; 10]), Err(VarintError::Overflow));
        assert_eq!(
            peek(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            Err(VarintError::Overflow)
        );
    }
}
