//! The loop around the traced program.

use crate::calls::{Intent, Thread};
use crate::{Failure, Flags, Refuse};
use hither_system_tests::record::Deed;
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options, regset::NT_PRSTATUS};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// Runs the program to its end; its exit code.
pub(crate) fn run(flags: &Flags) -> io::Result<u8> {
    let root = flags.root.canonicalize()?;
    let record = File::options().create(true).append(true).open(&flags.record)?;
    // Stopped before it becomes the program, so that not one call is missed.
    let child =
        Command::new("sh").args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).args(&flags.program).spawn()?;
    let main = Pid::from_raw(child.id().cast_signed());
    match waitpid(main, Some(WaitPidFlag::WUNTRACED))? {
        WaitStatus::Stopped(..) => {}
        other => return Err(io::Error::other(format!("{other:?} instead of a stop"))),
    }
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(main, options)?;
    kill(main, Signal::SIGCONT)?;
    Tracer { root, record, main, open: HashMap::new(), counted: 0, calls: 0, flags }.follow()
}

struct Tracer<'a> {
    root: PathBuf,
    record: File,
    main: Pid,
    /// Threads inside a call.
    open: HashMap<Pid, Open>,
    /// Calls so far that may be refused.
    counted: u64,
    calls: u64,
    flags: &'a Flags,
}

/// A call that has begun.
struct Open {
    intent: Intent,
    number: u64,
    /// The arguments that were overwritten so that it fails.
    refused: Option<[u64; 2]>,
}

impl Tracer<'_> {
    fn follow(&mut self) -> io::Result<u8> {
        loop {
            let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL))? {
                WaitStatus::PtraceSyscall(pid) => {
                    match self.handle_call(pid) {
                        // It was killed meanwhile.
                        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                        other => other?,
                    }
                    (pid, None)
                }
                WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
                WaitStatus::PtraceEvent(pid, ..) => (pid, None),
                WaitStatus::Exited(pid, code) if pid == self.main => return Ok(code as u8),
                WaitStatus::Signaled(pid, signal, _) if pid == self.main => return Ok(128 + signal as u8),
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                    self.open.remove(&pid);
                    continue;
                }
                _ => continue,
            };
            match ptrace::syscall(pid, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn handle_call(&mut self, pid: Pid) -> io::Result<()> {
        let mut registers = ptrace::getregset::<NT_PRSTATUS>(pid)?;
        let thread = Thread { id: pid.as_raw(), root: &self.root };
        let Some(open) = self.open.remove(&pid) else {
            self.calls += 1;
            let intent = thread.intent(&registers)?;
            if let Intent::Sync { path } = &intent {
                Deed::SyncBegan { call: self.calls, path: path.clone() }.write(&mut self.record)?;
            }
            let mut refused = None;
            if self.is_refused(&intent) {
                refused = Some(crate::calls::spoil(&mut registers));
                ptrace::setregs(pid, registers)?;
            }
            self.open.insert(pid, Open { intent, number: self.calls, refused });
            return Ok(());
        };
        if let Some(arguments) = open.refused {
            let errno = match self.flags.with {
                Failure::NoSpace => libc::ENOSPC,
                Failure::Io => libc::EIO,
            };
            crate::calls::answer(&mut registers, arguments, -i64::from(errno));
            ptrace::setregs(pid, registers)?;
            return Deed::Refused { path: open.intent.path().to_owned() }.write(&mut self.record);
        }
        for deed in thread.done(open.intent, open.number, crate::calls::result(&registers))? {
            deed.write(&mut self.record)?;
        }
        Ok(())
    }

    fn is_refused(&mut self, intent: &Intent) -> bool {
        let asked = match self.flags.refuse {
            Some(Refuse::Space) => intent.needs_space(),
            Some(Refuse::Sync) => matches!(intent, Intent::Sync { .. }),
            None => false,
        };
        self.counted += u64::from(asked);
        let last = self.flags.times.map_or(u64::MAX, |times| self.flags.after + times);
        asked && self.counted > self.flags.after && self.counted <= last
    }
}
