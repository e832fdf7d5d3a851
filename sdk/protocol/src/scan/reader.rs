//! Bytes under the scanner's finger: every read is bounded, says where it failed, and copies nothing.

use super::{ScanError, Walk};

/// The largest client number and integer that JavaScript holds exactly.
pub(super) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Clocks end below 2^31: yrs subtracts them as signed 32-bit numbers.
pub(super) const MAX_CLOCK: u32 = i32::MAX as u32;

#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// The offset of the next byte.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Walk<u8> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => Err(ScanError::Truncated { at: self.at, wanted: 1, left: 0 }.into()),
        }
    }

    #[inline]
    pub(super) fn take(&mut self, wanted: usize) -> Walk<&'a [u8]> {
        let left = self.left();
        if wanted > left {
            return Err(ScanError::Truncated { at: self.at, wanted: wanted as u64, left }.into());
        }
        let taken = &self.bytes[self.at..self.at + wanted];
        self.at += wanted;
        Ok(taken)
    }

    /// An unsigned LEB128 number of at most `max`, in its shortest form.
    ///
    /// Yjs adds the bits up as doubles and yrs lets the shift wrap around, so the two read different values
    /// out of a number that is too long; neither ever writes one.
    #[inline]
    pub(super) fn number(&mut self, max: u64) -> Walk<u64> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 && u64::from(byte) <= max => {
                self.at += 1;
                Ok(byte.into())
            }
            _ => self.long_number(0, 0, max),
        }
    }

    /// A signed lib0 number: the first byte has a sign bit and six bits of the magnitude.
    pub(super) fn signed(&mut self, max: u64) -> Walk<()> {
        let at = self.at;
        let first = self.byte()?;
        if first & 0x80 != 0 {
            self.long_number(u64::from(first & 0x3f), 6, max)
                .map_err(|error| Box::new(error.moved_to(at)))?;
        }
        Ok(())
    }

    fn long_number(&mut self, mut value: u64, mut shift: u32, max: u64) -> Walk<u64> {
        let start = self.at;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // No `max` has more than 53 bits, so nothing is lost by the shift.
            if shift > 55 || (value | bits << shift) > max {
                return Err(ScanError::TooLarge { at: start, max }.into());
            }
            value |= bits << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 7 {
                    return Err(ScanError::Overlong { at: start }.into());
                }
                return Ok(value);
            }
        }
    }

    #[inline]
    pub(super) fn client(&mut self) -> Walk<u64> {
        self.number(MAX_SAFE_INTEGER)
    }

    #[inline]
    pub(super) fn clock(&mut self) -> Walk<u32> {
        // `MAX_CLOCK` fits 32 bits.
        self.number(MAX_CLOCK.into()).map(|clock| clock as u32)
    }

    #[inline]
    pub(super) fn id(&mut self) -> Walk<(u64, u32)> {
        Ok((self.client()?, self.clock()?))
    }

    /// A number of things of at least `size` bytes each, which must therefore still be here: a reader may
    /// reserve memory for them.
    #[inline]
    pub(super) fn count(&mut self, what: &'static str, size: usize) -> Walk<usize> {
        let at = self.at;
        let count = self.number(u32::MAX.into())?;
        if count > (self.left() / size) as u64 {
            return Err(ScanError::Count { at, what, count, left: self.left() }.into());
        }
        Ok(count as usize)
    }

    #[inline]
    pub(super) fn sized(&mut self) -> Walk<&'a [u8]> {
        let length = self.number(u32::MAX.into())?;
        // An update is held in memory, so a length that fits it fits usize; the cast cannot shorten one.
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    #[inline]
    pub(super) fn text(&mut self) -> Walk<&'a str> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes)
            .map_err(|error| ScanError::NotUtf8 { at: self.at - bytes.len() + error.valid_up_to() }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_up_to_the_limit_are_read() {
        for value in (0..53).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, MAX_SAFE_INTEGER >> bit]) {
            let mut bytes = Vec::new();
            crate::varint::write(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.client(), Ok(value));
            assert_eq!(reader.left(), 0);
            for cut in 0..bytes.len() {
                let error = Reader::new(&bytes[..cut]).client().unwrap_err();
                assert!(matches!(*error, ScanError::Truncated { .. }), "{error}");
            }
        }
    }

    /// [U1]
    #[test]
    fn numbers_past_the_limit_are_refused() {
        for value in [MAX_SAFE_INTEGER + 1, u64::MAX, 1 << 60, 1 << 63] {
            let mut bytes = Vec::new();
            crate::varint::write(&mut bytes, value);
            assert_eq!(
                Reader::new(&bytes).client(),
                Err(ScanError::TooLarge { at: 0, max: MAX_SAFE_INTEGER }.into())
            );
        }
        assert_eq!(Reader::new(&[5]).number(4), Err(Box::new(ScanError::TooLarge { at: 0, max: 4 })));
        let endless = [0xff; 64];
        assert!(matches!(
            Reader::new(&endless).client().map_err(|error| *error),
            Err(ScanError::TooLarge { .. })
        ));
        assert!(matches!(
            Reader::new(&endless).signed(MAX_SAFE_INTEGER).map_err(|error| *error),
            Err(ScanError::TooLarge { .. })
        ));
    }

    #[test]
    fn a_number_longer_than_it_must_be_is_refused() {
        assert_eq!(Reader::new(&[0x80, 0]).client(), Err(Box::new(ScanError::Overlong { at: 0 })));
        assert_eq!(Reader::new(&[0x81, 0x80, 0]).client(), Err(Box::new(ScanError::Overlong { at: 0 })));
        assert_eq!(Reader::new(&[0xc1, 0]).signed(100), Err(Box::new(ScanError::Overlong { at: 0 })));
        let zeros = [[0x80u8; 30].as_slice(), &[0]].concat();
        assert!(Reader::new(&zeros).client().is_err());
    }

    #[test]
    fn signed_numbers_end_where_they_end() {
        for bytes in [&[0u8][..], &[0x40], &[0x7f], &[0xbf, 1], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.signed(MAX_SAFE_INTEGER), Ok(()));
            assert_eq!(reader.left(), 0);
        }
    }
}
