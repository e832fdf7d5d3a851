//! A look at the embedded store's journal before the store itself replays it.
//!
//! A power cut can leave the last batch of the journal half written, in any order of its pages. Nobody
//! was told that it is durable, so it is cut off. A damaged batch with intact batches behind it is
//! something else: those were acknowledged. The store (fjall 3.1) refuses some torn tails that it should
//! drop, and drops everything behind some damage in the middle without a word; telling the two apart
//! is possible here because the writer syncs each batch before it starts the next. A relaxed writer does not: then a power
//! cut may tear any of the batches since the last sync, and everything from the first torn one on is cut off; all rooms
//! get new epochs after it (`renewal`).
//!
//! ```text
//! batch = 1 count:u32 seqno:u64  item*  3 xxh3(items):u64 "FJL\x03"        little-endian
//! item  = 2 type:u8 compression:u8 table:u64 keylen:u16 len:u32 disklen:u32 key value
//!       | 4 table:u64
//! ```
//! A journal is preallocated: zeros behind the last batch are its end. The checksum leaves the seqno out, so
//! it is looked at as well: it grows from batch to batch. Where it does not, in a batch that is whole otherwise, it is no
//! hole that did it: the seqno stands between two parts that are there. This one or the one before was changed.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

const MAGIC: &[u8; 4] = b"FJL\x03";
/// The only format this module understands; another one is left to the store.
const VERSION_FILE: &str = "version";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// What may be read in the search for intact batches: bytes that resemble one are hashed as far as they claim to reach.
/// A torn batch of updates takes a few kilobytes of it; 4 GiB are read in a second or two.
const SEARCH_BYTES: u64 = 4 << 30;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Why the journal cannot be replayed without losing what was acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum JournalDamage {
    /// The journal could not be read or cut.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A batch is damaged and intact ones follow it.
    #[error(
        "{} is damaged at byte {at}, and intact data follows: restore the directory from a backup and start once with \
         --restored, or move it away and let the clients bring back what they hold",
        file.display()
    )]
    InTheMiddle {
        /// The journal file.
        file: PathBuf,
        /// Where the damaged batch starts.
        at: u64,
    },
}

/// Cuts a torn last batch off, and refuses damage anywhere else; `relaxed` cuts at the first damage of the last journal.
/// Whether intact batches went with it.
pub(super) fn check(store: &Path, relaxed: bool) -> Result<bool, JournalDamage> {
    match fs::read(store.join(VERSION_FILE)) {
        Ok(version) if version == MAGIC => {}
        Ok(_) => return Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e.into()),
    }
    let journals = journals(store)?;
    let last = journals.len().saturating_sub(1);
    let mut has_cut = false;
    for (index, path) in journals.into_iter().enumerate() {
        if relaxed {
            // From here on it counts as synced.
            File::open(&path)?.sync_all()?;
        }
        let Some(Damage { at, is_whole }) = first_damage(&path)? else { continue };
        // A journal is synced before the next one is begun: only the last can have a torn tail.
        let is_followed = index < last || is_whole || holds_a_batch_after(&path, at)?;
        if is_followed && !(relaxed && index == last) {
            return Err(JournalDamage::InTheMiddle { file: path, at });
        }
        has_cut |= is_followed;
        if is_followed {
            tracing::warn!(journal = %path.display(), at, "cut off what a relaxed store had not synced when the power went");
        } else {
            tracing::warn!(journal = %path.display(), at, "cut off a last batch that was never acknowledged");
        }
        let file = File::options().write(true).open(&path)?;
        file.set_len(at)?;
        file.sync_all()?;
    }
    Ok(has_cut)
}

/// Whether a store without a version has ever been written to: a journal with more than zeros, or a table.
pub(super) fn holds_anything(store: &Path) -> io::Result<bool> {
    for journal in journals(store)? {
        if !only_zeros(&mut BufReader::with_capacity(1 << 20, File::open(journal)?))? {
            return Ok(true);
        }
    }
    match fs::read_dir(store.join("keyspaces")) {
        Ok(mut tables) => Ok(tables.next().is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The journals in the order of their numbers.
fn journals(store: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for found in fs::read_dir(store)? {
        let path = found?.path();
        let number =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let (Some(number), Some("jnl")) = (number, path.extension().and_then(|ext| ext.to_str())) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// The first batch that does not read well.
struct Damage {
    /// Where it starts.
    at: u64,
    /// Nothing is wrong but its seqno, or that of the one before.
    is_whole: bool,
}

/// `None` if the journal ends behind a good batch.
fn first_damage(path: &Path) -> io::Result<Option<Damage>> {
    let mut reader = Reader { from: BufReader::with_capacity(1 << 20, File::open(path)?), position: 0 };
    let mut previous = None;
    loop {
        let at = reader.position;
        let seqno = reader.batch()?;
        if seqno.is_some() && seqno > previous {
            previous = seqno;
            continue;
        }
        // Not a batch: is it the end?
        reader.from.seek(SeekFrom::Start(at))?;
        let is_end = only_zeros(&mut reader.from)?;
        return Ok((!is_end).then_some(Damage { at, is_whole: seqno.is_some() }));
    }
}

fn only_zeros(from: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Ok(true);
        }
        // Compared as a block: 64 MB are looked at byte by byte at every start otherwise.
        let read = buffer.len().min(ZEROS.len());
        if buffer[..read] != ZEROS[..read] {
            return Ok(false);
        }
        from.consume(read);
    }
}

/// Whether an intact batch begins anywhere behind `at`, where a damaged one does.
fn holds_a_batch_after(path: &Path, at: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    // At most one journal, 64 MB and a batch.
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    let mut hashed = 0;
    for start in (1..rest.len()).filter(|start| rest[*start] == START) {
        let mut reader = Reader { from: &rest[start..], position: 0 };
        if reader.batch()?.is_some() {
            return Ok(true);
        }
        hashed += reader.position;
        if hashed > SEARCH_BYTES {
            // Whoever wrote bytes that look so much like batches does not get to decide: a person does.
            return Ok(true);
        }
    }
    Ok(false)
}

struct Reader<R> {
    from: R,
    position: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads one batch; its seqno if it was whole and its checksum right. An empty batch is none.
    fn batch(&mut self) -> io::Result<Option<u64>> {
        match self.try_batch() {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            other => other,
        }
    }

    fn try_batch(&mut self) -> io::Result<Option<u64>> {
        let mut hash = Xxh3::new();
        let [tag] = self.take::<1>()?;
        if tag != START {
            return Ok(None);
        }
        let count = u32::from_le_bytes(self.take()?);
        let seqno = u64::from_le_bytes(self.take()?);
        for _ in 0..count {
            let [tag] = self.take::<1>()?;
            hash.update(&[tag]);
            match tag {
                ITEM => {
                    let head: [u8; 20] = self.take()?;
                    hash.update(&head);
                    let key = u16::from_le_bytes([head[10], head[11]]);
                    let value = u32::from_le_bytes([head[16], head[17], head[18], head[19]]);
                    self.hash(u64::from(key) + u64::from(value), &mut hash)?;
                }
                CLEAR => self.hash(8, &mut hash)?,
                _ => return Ok(None),
            }
        }
        let [tag] = self.take::<1>()?;
        let sum = u64::from_le_bytes(self.take()?);
        let magic: [u8; 4] = self.take()?;
        let good = count > 0 && tag == END && &magic == MAGIC && sum == hash.digest();
        Ok(good.then_some(seqno))
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Feeds the next `length` bytes to the hash without holding them: the length may be nonsense.
    fn hash(&mut self, length: u64, hash: &mut Xxh3) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let buffer = self.from.fill_buf()?;
            if buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            hash.update(&buffer[..part]);
            self.from.consume(part);
            left -= part as u64;
            self.position += part as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    /// Where a batch has its seqno.
    const SEQNO: Range<usize> = 5..13;

    fn batch(seqno: u64, value: &[u8]) -> Vec<u8> {
        let mut item = vec![ITEM, 0, 0];
        item.extend(1u64.to_le_bytes());
        item.extend(3u16.to_le_bytes());
        item.extend((value.len() as u32).to_le_bytes());
        item.extend((value.len() as u32).to_le_bytes());
        item.extend(b"key");
        item.extend(value);
        let mut hash = Xxh3::new();
        hash.update(&item);
        let mut out = vec![START];
        out.extend(1u32.to_le_bytes());
        out.extend(seqno.to_le_bytes());
        out.extend(item);
        out.push(END);
        out.extend(hash.digest().to_le_bytes());
        out.extend(MAGIC);
        out
    }

    fn store(journal: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(VERSION_FILE), MAGIC).unwrap();
        let file = dir.path().join("0.jnl");
        fs::write(&file, journal).unwrap();
        (dir, file)
    }

    #[test]
    fn an_intact_journal_with_zeros_behind_it_is_left_alone() {
        let journal = [batch(70, b"one"), batch(71, b"two"), vec![0; 5000]].concat();
        let (dir, file) = store(&journal);
        check(dir.path(), false).unwrap();
        assert_eq!(fs::read(file).unwrap(), journal);
    }

    #[test]
    fn whatever_is_torn_from_the_last_batch_only_the_last_batch_goes() {
        let good = [batch(70, b"one"), batch(71, &[5; 300])].concat();
        let last = batch(72, &[9; 60]);
        for hole in 0..last.len() {
            // A hole of any width that starts here and reaches non-zero bytes.
            for width in [1, 64, last.len()] {
                let mut torn = last.clone();
                let end = (hole + width).min(torn.len());
                torn[hole..end].fill(0);
                if torn == last {
                    continue;
                }
                let (dir, file) = store(&[&good[..], &torn, &[0; 100]].concat());
                if SEQNO.start <= hole && end <= SEQNO.end {
                    // What stands before and behind was written: so was this.
                    check(dir.path(), false).unwrap_err();
                    continue;
                }
                check(dir.path(), false).unwrap();
                let left = fs::read(file).unwrap();
                assert_eq!(&left[..good.len()], &good[..], "hole at {hole}");
                assert!(left[good.len()..].iter().all(|byte| *byte == 0), "hole at {hole}, {width} wide");
            }
            let (dir, file) = store(&[&good[..], &last[..hole]].concat());
            check(dir.path(), false).unwrap();
            assert_eq!(fs::read(file).unwrap(), good, "cut at {hole}");
        }
    }

    #[test]
    fn damage_with_intact_batches_behind_it_is_refused_and_nothing_is_touched() {
        let first = batch(70, b"one");
        let journal = [first.clone(), batch(71, &[5; 300]), batch(72, b"three")].concat();
        let last = journal.len() - batch(72, b"three").len();
        for damaged in first.len()..last {
            let mut bytes = journal.clone();
            bytes[damaged] ^= 0x55;
            let (dir, file) = store(&bytes);
            // A seqno that is too large shows in the next batch.
            let shows_late = (SEQNO.start + 1..SEQNO.end).contains(&(damaged - first.len()));
            match check(dir.path(), false) {
                Err(JournalDamage::InTheMiddle { at, .. }) => {
                    let second_or_third = if shows_late { last } else { first.len() };
                    assert_eq!(at, second_or_third as u64);
                    assert_eq!(fs::read(file).unwrap(), bytes);
                }
                other => panic!("damage at {damaged}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_seqno_that_became_that_of_the_last_batch_does_not_take_it_along() {
        let (dir, _) = store(&[batch(70, b"one"), batch(72, b"two"), batch(72, b"three")].concat());
        assert!(matches!(check(dir.path(), false), Err(JournalDamage::InTheMiddle { .. })));
    }

    #[test]
    fn a_relaxed_journal_ends_where_its_first_damage_begins() {
        let (first, third) = (batch(70, b"one"), batch(72, b"three"));
        let mut journal = [first.clone(), batch(71, &[5; 300]), third].concat();
        journal[first.len() + 40] ^= 0x55;
        let (dir, file) = store(&journal);
        check(dir.path(), true).unwrap();
        assert_eq!(fs::read(file).unwrap(), first);
        let (dir, _) = store(&journal);
        fs::write(dir.path().join("1.jnl"), batch(73, b"four")).unwrap();
        assert!(
            check(dir.path(), true).is_err(),
            "a journal is synced before the next one is begun, relaxed or not"
        );
    }

    #[test]
    fn only_the_last_journal_may_have_a_torn_tail() {
        let (dir, _) = store(&[batch(70, b"one"), batch(71, b"two")[..20].to_vec()].concat());
        fs::write(dir.path().join("1.jnl"), batch(72, b"three")).unwrap();
        let one = batch(70, b"one").len() as u64;
        assert!(matches!(check(dir.path(), false), Err(JournalDamage::InTheMiddle { at, .. }) if at == one));
    }
}
