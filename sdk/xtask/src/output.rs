//! A folder that is either the finished result of one input, or absent: never half of something.

use anyhow::{Context, Result};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// The file that names the input. Not among those that the package publishes.
const STAMP: &str = ".stamp";

pub(crate) struct Output {
    folder: PathBuf,
    fingerprint: String,
}

impl Output {
    pub(crate) fn new(folder: PathBuf, fingerprint: String) -> Self {
        Self { folder, fingerprint }
    }

    /// Whether the folder already holds the result of this input.
    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(self.folder.join(STAMP)).is_ok_and(|stamp| stamp == self.fingerprint)
    }

    /// An empty folder to work in, beside the real one.
    pub(crate) fn begin(&self) -> Result<PathBuf> {
        let work = self.work();
        if work.exists() {
            fs::remove_dir_all(&work).with_context(|| format!("{} cannot be removed", work.display()))?;
        }
        fs::create_dir_all(&work).with_context(|| format!("{} cannot be made", work.display()))?;
        Ok(work)
    }

    /// Puts the finished work in place.
    pub(crate) fn finish(&self) -> Result<()> {
        fs::write(self.work().join(STAMP), &self.fingerprint).context("the stamp cannot be written")?;
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("{} cannot be removed", self.folder.display()))?;
        }
        fs::rename(self.work(), &self.folder)
            .with_context(|| format!("{} cannot be put in place", self.folder.display()))
    }

    /// One for each process: two builds of one checkout do not get in each other's way.
    fn work(&self) -> PathBuf {
        self.folder.with_extension(format!("new-{}", std::process::id()))
    }
}

impl Drop for Output {
    /// What was not finished is thrown away.
    fn drop(&mut self) {
        // Usually it is not there any more.
        let _ = fs::remove_dir_all(self.work());
    }
}

/// A name for exactly these bytes, good enough to notice a change.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_current_until_its_input_changes() {
        let folder = std::env::temp_dir().join(format!("hither-xtask-{}/dist", std::process::id()));
        let first = Output::new(folder.clone(), fingerprint(&[b"one", b""]));
        assert!(!first.is_current());
        fs::write(first.begin().unwrap().join("file"), "content").unwrap();
        assert!(!first.is_current(), "not before it is finished");
        first.finish().unwrap();
        assert!(first.is_current());

        let second = Output::new(folder.clone(), fingerprint(&[b"", b"one"]));
        assert!(!second.is_current());
        second.begin().unwrap();
        second.finish().unwrap();
        assert!(second.is_current() && !folder.join("file").exists());
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}
