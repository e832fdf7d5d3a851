//! Editing histories: recorded ones where they lie beside the project, generated ones of the same shape elsewhere.
//!
//! The recorded ones are the files of the public repository josephg/editing-traces, gzipped JSON:
//! `{endContent, txns: [{parents?, agent?, patches: [[position, deleted, inserted], …]}]}`. Positions count Unicode
//! code points. A history without parents is one author's.

use flate2::read::GzDecoder;
use serde_json::Value as Json;
use std::io::Read;
use std::path::PathBuf;

/// A history.
pub struct History {
    /// Where it comes from, in words.
    pub origin: String,
    /// The text at the end, if it is known.
    pub end: Option<String>,
    /// Authors.
    pub agents: usize,
    /// What they did, parents before children.
    pub steps: Vec<Step>,
}

/// What an author did at once.
#[derive(Clone, Debug)]
pub struct Step {
    /// The steps whose outcome the author saw; in a history of one author the one before.
    pub parents: Vec<usize>,
    /// Who.
    pub agent: usize,
    /// Position, deleted, inserted, one after another.
    pub patches: Vec<(usize, usize, String)>,
}

impl History {
    /// The recorded history of this name, or a generated one of the same shape; says which.
    pub fn recorded_or_generated(name: &str) -> History {
        let folder = std::env::var_os("HITHER_HISTORIES").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
            PathBuf::from,
        );
        let file = folder.join(format!("{name}.json.gz"));
        match std::fs::read(&file) {
            Ok(bytes) => {
                let mut text = String::new();
                GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
                parse(name, &serde_json::from_str(&text).unwrap())
            }
            Err(error) => {
                let history = match name {
                    "automerge-paper" => History::generated(1, 100_000),
                    "sveltecomponent" => History::generated(2, 20_000),
                    "friendsforever" => History::generated_pair(3, 26_000),
                    _ => panic!("{name}: no history of this name is known, and {}: {error}", file.display()),
                };
                eprintln!(
                    "The recorded history {name} is not here ({}: {error}); {} of the same shape stands in for it. \
                     HITHER_HISTORIES names the folder of the recorded ones.",
                    file.display(),
                    history.origin
                );
                history
            }
        }
    }

    /// One author who mostly writes on and sometimes goes back.
    pub fn generated(seed: u64, edits: usize) -> History {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut text: Vec<char> = Vec::new();
        let mut cursor = 0;
        let steps = (0..edits)
            .map(|n| {
                if rng.usize(..20) == 0 {
                    cursor = rng.usize(..=text.len());
                }
                let patch = if cursor > 0 && rng.usize(..7) == 0 {
                    cursor -= 1;
                    text.remove(cursor);
                    (cursor, 1, String::new())
                } else {
                    let typed = if rng.usize(..200) == 0 { '😀' } else { rng.lowercase() };
                    text.insert(cursor, typed);
                    cursor += 1;
                    (cursor - 1, 0, typed.to_string())
                };
                Step { parents: n.checked_sub(1).into_iter().collect(), agent: 0, patches: vec![patch] }
            })
            .collect();
        let end = Some(text.into_iter().collect());
        History { origin: format!("a generated history (seed {seed})"), end, agents: 1, steps }
    }

    /// Two authors who write at once and see each other's work late.
    pub fn generated_pair(seed: u64, steps: usize) -> History {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Only positions near the start are used, which exist in whatever the author has seen.
        let mut known = [0usize; 2];
        let mut last: [Option<usize>; 2] = [None, None];
        let steps: Vec<Step> = (0..steps)
            .map(|n| {
                let agent = rng.usize(..2);
                let mut parents: Vec<usize> = last[agent].into_iter().collect();
                if rng.usize(..5) == 0
                    && let Some(other) = last[1 - agent].filter(|other| !parents.contains(other))
                {
                    parents.push(other);
                    known[agent] = known[agent].max(known[1 - agent]);
                }
                let position = rng.usize(..=known[agent]);
                known[agent] += 1;
                last[agent] = Some(n);
                Step { parents, agent, patches: vec![(position, 0, rng.lowercase().to_string())] }
            })
            .collect();
        History { origin: format!("a generated history (seed {seed})"), end: None, agents: 2, steps }
    }

    /// How many patches it has.
    pub fn edits(&self) -> usize {
        self.steps.iter().map(|step| step.patches.len()).sum()
    }
}

fn parse(name: &str, json: &Json) -> History {
    let txns = json["txns"].as_array().unwrap();
    let steps = txns.iter().enumerate().map(|(n, txn)| {
        let parents = match txn["parents"].as_array() {
            Some(parents) => parents.iter().map(|parent| parent.as_u64().unwrap() as usize).collect(),
            None => n.checked_sub(1).into_iter().collect(),
        };
        let patches = txn["patches"].as_array().unwrap().iter().map(|patch| {
            let number = |at: usize| patch[at].as_u64().unwrap() as usize;
            (number(0), number(1), patch[2].as_str().unwrap().to_owned())
        });
        Step { parents, agent: txn["agent"].as_u64().unwrap_or(0) as usize, patches: patches.collect() }
    });
    History {
        origin: format!("the recorded history {name}"),
        end: Some(json["endContent"].as_str().unwrap().to_owned()),
        agents: json["numAgents"].as_u64().unwrap_or(1) as usize,
        steps: steps.collect(),
    }
}

/// A text that an author types into, with positions in code points and in UTF-16 units.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// UTF-16 units of each character: 1 or 2.
    text: Vec<char>,
    /// How many characters take two units; while there are none both positions are the same.
    wide: usize,
}

impl Typed {
    /// The text so far.
    pub fn new(text: &str) -> Typed {
        let text: Vec<char> = text.chars().collect();
        let wide = text.iter().filter(|character| character.len_utf16() == 2).count();
        Typed { text, wide }
    }

    /// Makes a patch and returns its position and deleted length in UTF-16 units.
    pub fn patch(&mut self, position: usize, deleted: usize, inserted: &str) -> (u32, u32) {
        let units = |characters: &[char]| characters.iter().map(|c| c.len_utf16()).sum::<usize>() as u32;
        let removed = &self.text[position..position + deleted];
        let deleted_units = units(removed);
        let index = if self.wide == 0 { position as u32 } else { units(&self.text[..position]) };
        self.wide -= deleted_units as usize - deleted;
        self.wide += inserted.chars().filter(|character| character.len_utf16() == 2).count();
        self.text.splice(position..position + deleted, inserted.chars());
        (index, deleted_units)
    }

    /// As a string.
    pub fn text(&self) -> String {
        self.text.iter().collect()
    }
}
