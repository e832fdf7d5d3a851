//! An order of a module's functions in which similar ones stand together: it zips 2% smaller.
//!
//! gzip finds what repeats within the last 32 KiB only, and the copies of one generic function lie all over a module. The
//! order is told by names, because wasm-opt can sort functions by name and then corrects everything that counts them.

use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet, VecDeque};
use wasm_encoder::{NameMap, NameSection, Section};
use wasmparser::{Parser, Payload, TypeRef};

/// Functions are similar that have many sequences of this many bytes in common. Five to eight do equally well.
const SEQUENCE: usize = 6;

/// How far gzip looks back, less some room for what stands in between.
const WINDOW_BYTES: usize = 28_000;

/// The module with every function named by its place in the order.
pub(crate) fn named(module: &[u8]) -> Result<Vec<u8>> {
    let mut imported = 0;
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.context("the module cannot be read")? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(&module[body.range()]),
            _ => {}
        }
    }
    let mut places = vec![0; bodies.len()];
    for (place, function) in similar_together(&bodies).into_iter().enumerate() {
        places[function] = place;
    }
    let mut names = NameMap::new();
    for (function, place) in (imported..).zip(places) {
        names.append(function, &format!("{place:06}"));
    }
    let mut section = NameSection::new();
    section.functions(&names);
    let mut named = module.to_vec();
    section.append_to(&mut named);
    Ok(named)
}

/// Each next one is the one that has the largest part of its sequences in the window behind it.
fn similar_together(bodies: &[&[u8]]) -> Vec<usize> {
    let mut ids = HashMap::new();
    let mut holders: Vec<Vec<usize>> = Vec::new();
    let mut sequences: Vec<Vec<usize>> = Vec::new();
    for (function, body) in bodies.iter().enumerate() {
        let distinct: HashSet<&[u8]> = body.windows(SEQUENCE).collect();
        let mut own = Vec::new();
        for sequence in distinct {
            let count = ids.len();
            let id = *ids.entry(sequence).or_insert(count);
            if id == count {
                holders.push(Vec::new());
            }
            holders[id].push(function);
            own.push(id);
        }
        sequences.push(own);
    }
    let mut seen = vec![0; holders.len()];
    let mut common = vec![0usize; bodies.len()];
    let mut window = VecDeque::new();
    let mut window_bytes = 0;
    let mut order = Vec::new();
    let mut left: Vec<usize> = (0..bodies.len()).collect();
    let mut next = 0;
    while !left.is_empty() {
        let function = left.swap_remove(next);
        order.push(function);
        window.push_back(function);
        window_bytes += bodies[function].len();
        for &id in &sequences[function] {
            if seen[id] == 0 {
                holders[id].iter().for_each(|&holder| common[holder] += 1);
            }
            seen[id] += 1;
        }
        while window_bytes > WINDOW_BYTES {
            let Some(gone) = window.pop_front() else { break };
            window_bytes -= bodies[gone].len();
            for &id in &sequences[gone] {
                seen[id] -= 1;
                if seen[id] == 0 {
                    holders[id].iter().for_each(|&holder| common[holder] -= 1);
                }
            }
        }
        // In a thousandth; the smaller number of two that are equal, so that a build repeats itself.
        let part = |function: usize| common[function] * 1_000 / (sequences[function].len() + 2);
        next = (0..left.len()).max_by_key(|&at| (part(left[at]), std::cmp::Reverse(left[at]))).unwrap_or(0);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_similar_stands_together_and_nothing_is_lost() {
        let one: Vec<u8> = (0..100).collect();
        let two: Vec<u8> = (100..200).collect();
        let bodies = [&one[..], &two[..], &one[..90], &two[5..], &[], &one[3..]];
        assert_eq!(similar_together(&bodies), [0, 5, 2, 1, 3, 4]);
    }
}
