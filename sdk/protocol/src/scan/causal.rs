//! The blocks of an update in an order in which each stands on what went before it. There is one, because each was
//! written by somebody who saw what it stands on.

use super::Walk;
use super::blocks::{Block, Blocks, Parent};
use std::vec::IntoIter;

/// An iterator over the blocks. See the module.
pub struct Causal<'a> {
    /// By client.
    sections: Vec<Section<'a>>,
    /// Each one's next block stands on the one above it.
    stack: Vec<usize>,
    /// The next section to begin.
    next: usize,
}

struct Section<'a> {
    client: u64,
    blocks: IntoIter<Block<'a>>,
}

/// Blocks stand on each other in a circle, which nobody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circle;

impl<'a> Causal<'a> {
    /// Reads all blocks. `Err` if it is no update.
    pub fn new(update: &'a [u8]) -> Walk<Causal<'a>> {
        let mut blocks: Vec<Block<'a>> = Blocks::new(update).collect::<Result<_, _>>()?;
        let mut sections = Vec::new();
        while let Some(client) = blocks.last().map(|block| block.client) {
            let begin = blocks.iter().rposition(|block| block.client != client).map_or(0, |at| at + 1);
            sections.push(Section { client, blocks: blocks.split_off(begin).into_iter() });
        }
        sections.sort_unstable_by_key(|section| section.client);
        Ok(Causal { sections, stack: Vec::new(), next: 0 })
    }

    /// The section that has this id and has not given it yet.
    fn awaited(&self, (client, clock): (u64, u32)) -> Option<usize> {
        let index = self.sections.binary_search_by_key(&client, |section| section.client).ok()?;
        let blocks = self.sections[index].blocks.as_slice();
        (blocks.first()?.clock..blocks.last()?.end()).contains(&clock).then_some(index)
    }
}

impl<'a> Iterator for Causal<'a> {
    type Item = Result<Block<'a>, Circle>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(&at) = self.stack.last() else {
                if self.next == self.sections.len() {
                    return None;
                }
                self.stack.push(self.next);
                self.next += 1;
                continue;
            };
            let Some(block) = self.sections[at].blocks.as_slice().first() else {
                self.stack.pop();
                continue;
            };
            let parent = match block.parent {
                Some(Parent::Item(client, clock)) => Some((client, clock)),
                _ => None,
            };
            let needs = [block.origin, block.right_origin, parent];
            match needs.into_iter().flatten().find_map(|id| self.awaited(id)) {
                Some(other) if self.stack.contains(&other) => return Some(Err(Circle)),
                Some(other) => self.stack.push(other),
                None => {
                    if self.stack.len() > 1 {
                        self.stack.pop();
                    }
                    return self.sections[at].blocks.next().map(Ok);
                }
            }
        }
    }
}
