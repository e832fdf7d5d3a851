//! A disk that can lose its power: it keeps apart what a program did to a directory and what of it was synced.
//!
//! It believes in fsync and in nothing else. Bytes and lengths are durable once a sync of their file that began after
//! them has returned. Names are durable once a sync of their directory has: a new file, a rename, a removal, a new
//! directory. Everything else may be there after a power loss, or not, or in part: a write of many pages as any of
//! them. Changes of names alone keep their order, as in every journaling file system.

use crate::record::Deed;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

const PAGE: u64 = 4096;

/// The disk under one directory.
#[derive(Clone, Default)]
pub struct Disk {
    nodes: Vec<Node>,
    /// What a running program sees.
    names: BTreeMap<String, usize>,
    /// What is certainly on the disk.
    durable_names: BTreeMap<String, usize>,
    /// What is not certain of the names, in order.
    renames: Vec<(u64, Renaming)>,
    /// Syncs on their way: call, the name, deeds before it.
    syncing: BTreeMap<u64, (String, u64)>,
    deeds: u64,
}

/// How much of what was not synced survives.
pub enum Luck {
    /// Nothing.
    None,
    /// A random part.
    Some(Rng),
}

#[derive(Clone)]
enum Node {
    Directory,
    File { durable: Content, changes: Vec<(u64, Change)> },
}

#[derive(Clone)]
enum Renaming {
    Add { path: String, node: usize },
    Remove { path: String },
    Move { from: String, to: String },
}

#[derive(Clone)]
enum Change {
    Write { at: u64, bytes: Arc<[u8]> },
    Resize(u64),
}

/// A file's bytes without the pages that are all zeros: journals are preallocated.
#[derive(Clone, Default)]
struct Content {
    len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE as usize]>>,
}

impl Disk {
    /// A disk that holds what is below `dir`, all of it durable.
    pub fn of(dir: &Path) -> Disk {
        let mut disk = Disk::default();
        disk.take_in(dir, "");
        disk.durable_names = disk.names.clone();
        disk
    }

    fn take_in(&mut self, dir: &Path, name: &str) {
        for found in fs::read_dir(dir).unwrap() {
            let found = found.unwrap();
            let path = join(name, found.file_name().to_str().unwrap());
            if found.file_type().unwrap().is_dir() {
                self.add(path.clone(), Node::Directory);
                self.take_in(&found.path(), &path);
            } else {
                let mut durable = Content::default();
                durable.write(0, &fs::read(found.path()).unwrap());
                self.add(path, Node::File { durable, changes: Vec::new() });
            }
        }
    }

    /// One more thing that the program did.
    pub fn take(&mut self, deed: &Deed) {
        self.deeds += 1;
        let now = self.deeds;
        match deed {
            Deed::Create { path } => {
                let node =
                    self.add(path.clone(), Node::File { durable: Content::default(), changes: Vec::new() });
                self.renames.push((now, Renaming::Add { path: path.clone(), node }));
            }
            Deed::MakeDir { path } => {
                let node = self.add(path.clone(), Node::Directory);
                self.renames.push((now, Renaming::Add { path: path.clone(), node }));
            }
            Deed::Remove { path } => {
                self.names.remove(path);
                self.renames.push((now, Renaming::Remove { path: path.clone() }));
            }
            Deed::Rename { from, to } => {
                assert_eq!(parent(from), parent(to), "moves between directories are not modelled");
                let node = self.names.remove(from).unwrap();
                assert!(
                    matches!(self.nodes[node], Node::File { .. }),
                    "moves of directories are not modelled"
                );
                self.names.insert(to.clone(), node);
                self.renames.push((now, Renaming::Move { from: from.clone(), to: to.clone() }));
            }
            Deed::Write { path, at, bytes } => {
                self.change(path, Change::Write { at: *at, bytes: bytes[..].into() });
            }
            Deed::Resize { path, len } => self.change(path, Change::Resize(*len)),
            Deed::SyncBegan { call, path } => drop(self.syncing.insert(*call, (path.clone(), now))),
            Deed::Synced { call } => {
                let (path, before) = self.syncing.remove(call).unwrap();
                self.sync(&path, before);
            }
            Deed::Said { .. } | Deed::Refused { .. } => {}
            Deed::Unknown { what } => panic!("the program did what this disk does not know: {what}"),
        }
    }

    fn add(&mut self, path: String, node: Node) -> usize {
        self.nodes.push(node);
        self.names.insert(path, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn change(&mut self, path: &str, change: Change) {
        let now = self.deeds;
        match self.names.get(path).map(|node| &mut self.nodes[*node]) {
            Some(Node::File { changes, .. }) => changes.push((now, change)),
            _ => panic!("{path} is changed and is no file"),
        }
    }

    fn sync(&mut self, path: &str, before: u64) {
        match self.names.get(path).map(|node| &mut self.nodes[*node]) {
            Some(Node::File { durable, changes }) => {
                let late = changes.partition_point(|(when, _)| *when < before);
                changes.drain(..late).for_each(|(_, change)| durable.apply(&change));
            }
            Some(Node::Directory) => self.sync_names(path, before),
            None if path.is_empty() => self.sync_names(path, before),
            // Removed or renamed while it was being synced: nothing is certain of it.
            None => {}
        }
    }

    fn sync_names(&mut self, directory: &str, before: u64) {
        let (synced, rest) = std::mem::take(&mut self.renames)
            .into_iter()
            .partition(|(when, renaming)| *when < before && parent(renaming.path()) == directory);
        self.renames = rest;
        synced.iter().for_each(|(_, renaming)| renaming.apply(&mut self.durable_names));
    }

    /// Turns `dir` into what a machine finds whose power went now. Directories that are still there stay the same ones.
    pub fn after_power_loss(&self, luck: Luck, dir: &Path) {
        let (mut names, mut rng) = (self.durable_names.clone(), None);
        if let Luck::Some(mut dice) = luck {
            let kept = dice.usize(..=self.renames.len());
            self.renames[..kept].iter().for_each(|(_, renaming)| renaming.apply(&mut names));
            rng = Some(dice);
        }
        self.clear(dir, "", &names);
        for (name, node) in &names {
            let path = dir.join(name);
            // Whatever lies in a directory that is not there is not there.
            if !path.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match (&self.nodes[*node], &mut rng) {
                (Node::Directory, _) if path.is_dir() => {}
                (Node::Directory, _) => fs::create_dir(path).unwrap(),
                (Node::File { durable, .. }, None) => durable.save(&path),
                (Node::File { durable, changes }, Some(dice)) => {
                    let mut content = durable.clone();
                    changes.iter().for_each(|(_, change)| content.apply_part(change, dice));
                    content.save(&path);
                }
            }
        }
    }

    /// Removes all files, and the directories that have no such name.
    fn clear(&self, dir: &Path, name: &str, names: &BTreeMap<String, usize>) {
        for found in fs::read_dir(dir).unwrap() {
            let found = found.unwrap();
            let name = join(name, found.file_name().to_str().unwrap());
            if !found.file_type().unwrap().is_dir() {
                fs::remove_file(found.path()).unwrap();
            } else if names.get(&name).is_some_and(|node| matches!(self.nodes[*node], Node::Directory)) {
                self.clear(&found.path(), &name, names);
            } else {
                fs::remove_dir_all(found.path()).unwrap();
            }
        }
    }

    /// Deeds that a power loss now could undo.
    pub fn unsynced(&self) -> usize {
        let changes = self.nodes.iter().map(|node| match node {
            Node::File { changes, .. } => changes.len(),
            Node::Directory => 0,
        });
        self.renames.len() + changes.sum::<usize>()
    }
}

impl Renaming {
    fn path(&self) -> &str {
        match self {
            Renaming::Add { path, .. } | Renaming::Remove { path } | Renaming::Move { to: path, .. } => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Renaming::Add { path, node } => drop(names.insert(path.clone(), *node)),
            Renaming::Remove { path } => drop(names.remove(path)),
            Renaming::Move { from, to } => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { at, bytes } => self.write(*at, bytes),
            Change::Resize(len) => self.resize(*len),
        }
    }

    fn apply_part(&mut self, change: &Change, dice: &mut Rng) {
        match change {
            Change::Write { at, bytes } => pieces(*at, bytes).for_each(|(at, piece)| {
                if dice.bool() {
                    self.write(at, piece);
                }
            }),
            Change::Resize(len) if dice.bool() => self.resize(*len),
            Change::Resize(_) => {}
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        self.len = self.len.max(at + bytes.len() as u64);
        for (at, piece) in pieces(at, bytes) {
            let (number, offset) = (at / PAGE, (at % PAGE) as usize);
            if piece.iter().all(|byte| *byte == 0) && !self.pages.contains_key(&number) {
                continue;
            }
            let page = self.pages.entry(number).or_insert_with(|| Box::new([0; PAGE as usize]));
            page[offset..offset + piece.len()].copy_from_slice(piece);
        }
    }

    fn resize(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE));
            if let Some(page) = self.pages.get_mut(&(len / PAGE)) {
                page[(len % PAGE) as usize..].fill(0);
            }
        }
        self.len = len;
    }

    fn save(&self, path: &Path) {
        let file = fs::File::create(path).unwrap();
        file.set_len(self.len).unwrap();
        for (number, page) in &self.pages {
            let at = number * PAGE;
            let end = (self.len - at).min(PAGE) as usize;
            file.write_all_at(&page[..end], at).unwrap();
        }
    }
}

/// Bytes cut where pages begin.
fn pieces(at: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let first = (PAGE - at % PAGE).min(bytes.len() as u64) as usize;
    let (head, rest) = bytes.split_at(first);
    let rest =
        rest.chunks(PAGE as usize).zip(0..).map(move |(piece, n)| (at + first as u64 + n * PAGE, piece));
    std::iter::once((at, head)).chain(rest)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> String {
        "d/file".to_owned()
    }

    fn disk(deeds: &[Deed]) -> Disk {
        let mut disk = Disk::default();
        disk.take(&Deed::MakeDir { path: "d".into() });
        disk.take(&Deed::SyncBegan { call: 0, path: String::new() });
        disk.take(&Deed::Synced { call: 0 });
        deeds.iter().for_each(|deed| disk.take(deed));
        disk
    }

    fn left(disk: &Disk, luck: Luck) -> Option<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        disk.after_power_loss(luck, dir.path());
        fs::read(dir.path().join(file())).ok()
    }

    fn synced(call: u64, path: &str) -> [Deed; 2] {
        [Deed::SyncBegan { call, path: path.into() }, Deed::Synced { call }]
    }

    #[test]
    fn only_what_was_synced_before_is_there() {
        let write = |bytes: &[u8]| Deed::Write { path: file(), at: 0, bytes: bytes.to_vec() };
        let mut deeds = vec![Deed::Create { path: file() }, write(b"one")];
        deeds.extend(synced(1, "d/file"));
        assert_eq!(left(&disk(&deeds), Luck::None), None, "its name is not synced");
        deeds.extend(synced(2, "d"));
        assert_eq!(left(&disk(&deeds), Luck::None).unwrap(), b"one");
        deeds.extend([Deed::SyncBegan { call: 3, path: file() }, write(b"two"), Deed::Synced { call: 3 }]);
        assert_eq!(left(&disk(&deeds), Luck::None).unwrap(), b"one", "the sync began before the write");
        assert_eq!(disk(&deeds).unsynced(), 1);
        deeds.extend(synced(4, "d/file"));
        assert_eq!(left(&disk(&deeds), Luck::None).unwrap(), b"two");
        deeds.push(Deed::Remove { path: file() });
        assert_eq!(left(&disk(&deeds), Luck::None).unwrap(), b"two", "a removal needs a sync, too");
    }

    #[test]
    fn what_was_not_synced_is_there_in_any_part() {
        let mut deeds = vec![Deed::Create { path: file() }, Deed::Resize { path: file(), len: 3 * PAGE }];
        deeds.extend(synced(1, "d/file"));
        deeds.extend(synced(2, "d"));
        deeds.push(Deed::Write { path: file(), at: 100, bytes: vec![7; 2 * PAGE as usize] });
        let disk = disk(&deeds);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let bytes = left(&disk, Luck::Some(Rng::with_seed(seed))).unwrap();
            assert_eq!(bytes.len() as u64, 3 * PAGE);
            assert!(bytes[..100].iter().chain(&bytes[100 + 2 * PAGE as usize..]).all(|byte| *byte == 0));
            seen.insert([100, PAGE as usize, 2 * PAGE as usize].map(|at| bytes[at]));
        }
        assert_eq!(seen.len(), 8, "each of the three pages, there or not");
    }

    #[test]
    fn a_copy_of_a_directory_is_the_directory() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("d")).unwrap();
        let bytes: Vec<u8> = (0..10_000u32).map(|n| (n / 5000 * 9) as u8).collect();
        fs::write(from.path().join(file()), &bytes).unwrap();
        Disk::of(from.path()).after_power_loss(Luck::None, to.path());
        assert_eq!(fs::read(to.path().join(file())).unwrap(), bytes);
    }

    #[test]
    fn what_is_not_on_the_disk_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/other"), "").unwrap();
        fs::create_dir_all(dir.path().join("d/deep/deeper")).unwrap();
        disk(&[]).after_power_loss(Luck::None, dir.path());
        assert_eq!(fs::read_dir(dir.path().join("d")).unwrap().count(), 0);
    }
}
