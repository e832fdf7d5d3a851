//! System calls as deeds: which ones change files, what they change, and what they say when they return.

use hither_system_tests::record::Deed;
use nix::libc::{self, user_regs_struct};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What a call is about to do.
pub(crate) enum Intent {
    /// Nothing that is recorded.
    Other,
    /// To open a file, perhaps to make it or to empty it.
    Open { path: String, is_new: bool, empties: bool },
    /// To do one thing to names or to a length.
    Deed(Deed),
    /// To write to a file, at the given place or at the descriptor's.
    Write { path: String, descriptor: u64, at: Option<u64>, pieces: Vec<(u64, u64)> },
    /// To write to standard output.
    Say { pieces: Vec<(u64, u64)> },
    /// To sync a file or directory.
    Sync { path: String },
}

impl Intent {
    pub(crate) fn needs_space(&self) -> bool {
        match self {
            Intent::Open { is_new, .. } => *is_new,
            Intent::Deed(deed) => !matches!(deed, Deed::Remove { .. } | Deed::Unknown { .. }),
            Intent::Write { .. } => true,
            Intent::Other | Intent::Say { .. } | Intent::Sync { .. } => false,
        }
    }

    pub(crate) fn path(&self) -> &str {
        match self {
            Intent::Open { path, .. } | Intent::Write { path, .. } | Intent::Sync { path } => path,
            Intent::Other | Intent::Deed(_) | Intent::Say { .. } => "",
        }
    }
}

/// A thread of the program, stopped in a call.
pub(crate) struct Thread<'a> {
    pub(crate) id: i32,
    pub(crate) root: &'a Path,
}

impl Thread<'_> {
    /// What the call that begins here is about to do.
    pub(crate) fn intent(&self, registers: &user_regs_struct) -> io::Result<Intent> {
        let (number, arguments) = begun(registers);
        let [a, b, c, d, ..] = arguments;
        Ok(match number {
            libc::SYS_openat => self.opens(self.path_at(a, b)?, c),
            libc::SYS_write if a == 1 => Intent::Say { pieces: vec![(b, c)] },
            libc::SYS_write => self.writes(a, None, vec![(b, c)]),
            libc::SYS_pwrite64 => self.writes(a, Some(d), vec![(b, c)]),
            libc::SYS_writev if a == 1 => Intent::Say { pieces: self.vector(b, c)? },
            libc::SYS_writev if self.of(a).is_some() => self.writes(a, None, self.vector(b, c)?),
            libc::SYS_pwritev if self.of(a).is_some() => self.writes(a, Some(d), self.vector(b, c)?),
            libc::SYS_ftruncate => {
                self.of(a).map_or(Intent::Other, |path| Deed::Resize { path, len: b }.into())
            }
            libc::SYS_fsync | libc::SYS_fdatasync => {
                self.of(a).map_or(Intent::Other, |path| Intent::Sync { path })
            }
            libc::SYS_mkdirat => self.named(self.path_at(a, b)?, |path| Deed::MakeDir { path }),
            libc::SYS_unlinkat => self.named(self.path_at(a, b)?, |path| Deed::Remove { path }),
            libc::SYS_renameat | libc::SYS_renameat2 => {
                self.renames(self.path_at(a, b)?, self.path_at(c, d)?)
            }
            libc::SYS_mmap => self.maps(arguments),
            libc::SYS_fallocate | libc::SYS_copy_file_range | libc::SYS_sendfile | libc::SYS_pwritev2 => {
                // The descriptor that is written to is the third of `copy_file_range`, else the first.
                self.unknown(
                    if number == libc::SYS_copy_file_range { c } else { a },
                    "a copy or preallocation",
                )
            }
            libc::SYS_io_uring_setup => Deed::Unknown { what: "io_uring".into() }.into(),
            libc::SYS_linkat => {
                self.named(self.path_at(c, d)?, |path| Deed::Unknown { what: format!("a link {path}") })
            }
            libc::SYS_symlinkat => self
                .named(self.path_at(b, c)?, |path| Deed::Unknown { what: format!("a symbolic link {path}") }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => self.opens(self.path_at(AT_CWD, a)?, b),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => self.named(self.path_at(AT_CWD, a)?, |path| Deed::MakeDir { path }),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink | libc::SYS_rmdir => {
                self.named(self.path_at(AT_CWD, a)?, |path| Deed::Remove { path })
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename => self.renames(self.path_at(AT_CWD, a)?, self.path_at(AT_CWD, b)?),
            _ => Intent::Other,
        })
    }

    /// What was done by a call that returned `result`.
    pub(crate) fn done(&self, intent: Intent, call: u64, result: i64) -> io::Result<Vec<Deed>> {
        // A failed sync is one that never ended.
        let Ok(result) = u64::try_from(result) else { return Ok(Vec::new()) };
        Ok(match intent {
            Intent::Other => Vec::new(),
            Intent::Open { path, is_new: true, .. } => vec![Deed::Create { path }],
            Intent::Open { path, empties: true, .. } => vec![Deed::Resize { path, len: 0 }],
            Intent::Open { .. } => Vec::new(),
            Intent::Deed(deed) => vec![deed],
            Intent::Write { path, descriptor, at, pieces } => {
                let at = match at {
                    Some(at) => at,
                    None => self.position(descriptor)? - result,
                };
                vec![Deed::Write { path, at, bytes: self.bytes(&pieces, result)? }]
            }
            Intent::Say { pieces } => vec![Deed::Said { bytes: self.bytes(&pieces, result)? }],
            Intent::Sync { .. } => vec![Deed::Synced { call }],
        })
    }

    fn opens(&self, path: PathBuf, flags: u64) -> Intent {
        let flags = flags as i32;
        let Some(name) = self.below_root(&path) else { return Intent::Other };
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            return Deed::Unknown { what: format!("a file without a name in {name}") }.into();
        }
        let is_there = fs::symlink_metadata(&path).is_ok();
        let is_new = flags & libc::O_CREAT != 0 && !is_there;
        Intent::Open { path: name, is_new, empties: flags & libc::O_TRUNC != 0 }
    }

    fn writes(&self, descriptor: u64, at: Option<u64>, pieces: Vec<(u64, u64)>) -> Intent {
        self.of(descriptor).map_or(Intent::Other, |path| Intent::Write { path, descriptor, at, pieces })
    }

    fn named(&self, path: PathBuf, deed: impl FnOnce(String) -> Deed) -> Intent {
        self.below_root(&path).map_or(Intent::Other, |path| deed(path).into())
    }

    fn renames(&self, from: PathBuf, to: PathBuf) -> Intent {
        match (self.below_root(&from), self.below_root(&to)) {
            (Some(from), Some(to)) => Deed::Rename { from, to }.into(),
            (None, None) => Intent::Other,
            _ => Deed::Unknown { what: format!("a move across the border: {}", to.display()) }.into(),
        }
    }

    fn maps(&self, [_, _, protection, flags, descriptor, _]: [u64; 6]) -> Intent {
        let shared = flags as i32 & libc::MAP_TYPE != libc::MAP_PRIVATE;
        let writable = protection as i32 & libc::PROT_WRITE != 0;
        if shared && writable && flags as i32 & libc::MAP_ANONYMOUS == 0 {
            self.unknown(descriptor, "a file mapped for writing")
        } else {
            Intent::Other
        }
    }

    fn unknown(&self, descriptor: u64, what: &str) -> Intent {
        self.of(descriptor)
            .map_or(Intent::Other, |path| Deed::Unknown { what: format!("{what}: {path}") }.into())
    }

    /// The path of what is open there, if it is below the root and still has a name.
    fn of(&self, descriptor: u64) -> Option<String> {
        let path = fs::read_link(format!("/proc/{}/fd/{}", self.id, descriptor as i32)).ok()?;
        let name = self.below_root(&path)?;
        (!name.ends_with(" (deleted)")).then_some(name)
    }

    fn below_root(&self, path: &Path) -> Option<String> {
        path.strip_prefix(self.root).ok().map(|path| path.to_str().unwrap_or("?").to_owned())
    }

    /// The path that a call names by a directory's descriptor and a text.
    fn path_at(&self, directory: u64, text: u64) -> io::Result<PathBuf> {
        let mut name = Vec::new();
        let memory = self.memory()?;
        let mut byte = [0];
        // One by one: the text may end right before memory that cannot be read.
        while text != 0 && memory.read_exact_at(&mut byte, text + name.len() as u64).is_ok() && byte[0] != 0 {
            name.push(byte[0]);
        }
        let name = PathBuf::from(String::from_utf8_lossy(&name).into_owned());
        if name.is_absolute() {
            return Ok(name);
        }
        let base = match directory as i32 {
            libc::AT_FDCWD => format!("/proc/{}/cwd", self.id),
            descriptor => format!("/proc/{}/fd/{descriptor}", self.id),
        };
        Ok(fs::read_link(base).unwrap_or_default().join(name))
    }

    /// Where the descriptor stands in its file.
    fn position(&self, descriptor: u64) -> io::Result<u64> {
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{descriptor}", self.id))?;
        let position = info.lines().find_map(|line| line.strip_prefix("pos:"));
        position.and_then(|text| text.trim().parse().ok()).ok_or_else(|| io::Error::other("no position"))
    }

    /// The pieces of a vectored write.
    fn vector(&self, address: u64, count: u64) -> io::Result<Vec<(u64, u64)>> {
        let mut words = vec![0; 16 * count.min(1024) as usize];
        self.memory()?.read_exact_at(&mut words, address)?;
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(words.chunks_exact(16).map(|piece| (word(&piece[..8]), word(&piece[8..]))).collect())
    }

    /// The first `wanted` bytes of the pieces.
    fn bytes(&self, pieces: &[(u64, u64)], wanted: u64) -> io::Result<Vec<u8>> {
        let memory = self.memory()?;
        let mut bytes = Vec::new();
        for (address, length) in pieces {
            let length = (*length).min(wanted - bytes.len() as u64) as usize;
            let start = bytes.len();
            bytes.resize(start + length, 0);
            memory.read_exact_at(&mut bytes[start..], *address)?;
        }
        Ok(bytes)
    }

    fn memory(&self) -> io::Result<File> {
        File::open(format!("/proc/{}/mem", self.id))
    }
}

impl From<Deed> for Intent {
    fn from(deed: Deed) -> Intent {
        Intent::Deed(deed)
    }
}

#[cfg(target_arch = "x86_64")]
const AT_CWD: u64 = libc::AT_FDCWD as u64;

/// The call and its arguments.
#[cfg(target_arch = "x86_64")]
fn begun(registers: &user_regs_struct) -> (i64, [u64; 6]) {
    let r = registers;
    (r.orig_rax.cast_signed(), [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9])
}

/// Makes sure that the call that begins here fails: no such descriptor, no such text. Returns what it overwrote.
#[cfg(target_arch = "x86_64")]
pub(crate) fn spoil(registers: &mut user_regs_struct) -> [u64; 2] {
    let arguments = [registers.rdi, registers.rsi];
    registers.rdi = u64::MAX;
    registers.rsi = 0;
    arguments
}

/// Puts the arguments back and lets the call return `result`.
#[cfg(target_arch = "x86_64")]
pub(crate) fn answer(registers: &mut user_regs_struct, arguments: [u64; 2], result: i64) {
    [registers.rdi, registers.rsi] = arguments;
    registers.rax = result.cast_unsigned();
}

/// What the call returned: an error if it is negative.
#[cfg(target_arch = "x86_64")]
pub(crate) fn result(registers: &user_regs_struct) -> i64 {
    registers.rax.cast_signed()
}

/// The call and its arguments.
#[cfg(target_arch = "aarch64")]
fn begun(registers: &user_regs_struct) -> (i64, [u64; 6]) {
    let r = &registers.regs;
    (r[8].cast_signed(), [r[0], r[1], r[2], r[3], r[4], r[5]])
}

/// Makes sure that the call that begins here fails: no such descriptor, no such text. Returns what it overwrote.
#[cfg(target_arch = "aarch64")]
pub(crate) fn spoil(registers: &mut user_regs_struct) -> [u64; 2] {
    let arguments = [registers.regs[0], registers.regs[1]];
    registers.regs[0] = u64::MAX;
    registers.regs[1] = 0;
    arguments
}

/// Puts the arguments back and lets the call return `result`, which has the first one's register.
#[cfg(target_arch = "aarch64")]
pub(crate) fn answer(registers: &mut user_regs_struct, arguments: [u64; 2], result: i64) {
    registers.regs[1] = arguments[1];
    registers.regs[0] = result.cast_unsigned();
}

/// What the call returned: an error if it is negative.
#[cfg(target_arch = "aarch64")]
pub(crate) fn result(registers: &user_regs_struct) -> i64 {
    registers.regs[0].cast_signed()
}
