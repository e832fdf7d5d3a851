//! Inputs out of other inputs: what libFuzzer does, without its eyes.

use fastrand::Rng;

/// Bytes that structure is made of: small numbers, borders, the tags of values.
const TELLING: [u8; 16] = [0, 1, 2, 3, 4, 7, 8, 10, 0x20, 0x44, 0x7f, 0x80, 0x84, 0xc4, 0xfe, 0xff];

/// One of `inputs`, changed in one to four places.
pub fn mutate(rng: &mut Rng, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[rng.usize(..inputs.len())].clone();
    for _ in 0..rng.usize(1..=4) {
        if bytes.is_empty() {
            bytes.push(rng.u8(..));
        }
        let at = rng.usize(..bytes.len());
        let some = rng.usize(1..=8).min(bytes.len() - at);
        match rng.u8(..9) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = bytes[at].wrapping_add(1),
            2 => bytes[at] = bytes[at].wrapping_sub(1),
            3 | 4 => bytes[at] = TELLING[rng.usize(..TELLING.len())],
            5 => drop(bytes.drain(at..at + some)),
            6 => {
                let piece = bytes[at..at + some].to_vec();
                bytes.splice(at..at, piece);
            }
            7 => bytes.insert(at, rng.u8(..)),
            _ => {
                // A piece of another input, in place of some bytes.
                let other = &inputs[rng.usize(..inputs.len())];
                if !other.is_empty() {
                    let from = rng.usize(..other.len());
                    let length = rng.usize(1..=64).min(other.len() - from);
                    bytes.splice(at..at + some, other[from..from + length].iter().copied());
                }
            }
        }
    }
    bytes
}
