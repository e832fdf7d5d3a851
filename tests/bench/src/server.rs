//! A server process under measurement: started on a processor of its own, asked for its CPU seconds and memory.

use crate::Failed;
use crate::speech::Speech;
use hither_protocol::varint;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The servers that are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A bare broadcast on tokio and tungstenite, one write per message.
    BareRust,
    /// A bare broadcast on axum, one write per message.
    BareAxum,
    /// The same, where what waits leaves in one write.
    Coalescing,
    /// A relay that keeps everything in memory.
    HitherMemory,
    /// A relay with its file store.
    Hither,
    YrsAxum,
    YSweetMemory,
    YSweetFiles,
    YWebsocket,
    HocuspocusMemory,
    HocuspocusSqlite,
}

impl Kind {
    pub(crate) const ALL: [Kind; 11] = [
        Kind::BareRust,
        Kind::BareAxum,
        Kind::Coalescing,
        Kind::HitherMemory,
        Kind::Hither,
        Kind::YrsAxum,
        Kind::YSweetMemory,
        Kind::YSweetFiles,
        Kind::YWebsocket,
        Kind::HocuspocusMemory,
        Kind::HocuspocusSqlite,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::BareRust => "bare Rust",
            Kind::BareAxum => "bare axum",
            Kind::Coalescing => "bare axum, coalescing",
            Kind::HitherMemory => "Hither, memory",
            Kind::Hither => "Hither, file store",
            Kind::YrsAxum => "yrs-axum",
            Kind::YSweetMemory => "y-sweet, memory",
            Kind::YSweetFiles => "y-sweet, file store",
            Kind::YWebsocket => "@y/websocket-server",
            Kind::HocuspocusMemory => "Hocuspocus, memory",
            Kind::HocuspocusSqlite => "Hocuspocus, SQLite",
        }
    }

    /// Passes on what it gets and keeps nothing.
    pub(crate) fn is_bare(self) -> bool {
        matches!(self, Kind::BareRust | Kind::BareAxum | Kind::Coalescing)
    }

    pub(crate) fn is_hither(self) -> bool {
        matches!(self, Kind::Hither | Kind::HitherMemory)
    }

    /// Still has its rooms after a restart.
    pub(crate) fn keeps_rooms(self) -> bool {
        matches!(self, Kind::Hither | Kind::YSweetFiles | Kind::HocuspocusSqlite)
    }

    /// How long a room that fell quiet is worked on: written by the others, compacted by the relay.
    pub(crate) fn settles_within(self) -> Duration {
        match self {
            // Their defaults, and something for the work.
            Kind::Hither | Kind::HitherMemory => Duration::from_secs(4),
            Kind::YSweetFiles => Duration::from_secs(13),
            Kind::HocuspocusSqlite => Duration::from_secs(4),
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn speech(self, room: &str) -> Speech {
        match self {
            _ if self.is_bare() => Speech::Opaque,
            Kind::Hither | Kind::HitherMemory => Speech::hither(),
            Kind::HocuspocusMemory | Kind::HocuspocusSqlite => {
                let mut prefix = Vec::new();
                varint::write(&mut prefix, room.len() as u64);
                prefix.extend_from_slice(room.as_bytes());
                Speech::Yjs { prefix }
            }
            _ => Speech::Yjs { prefix: Vec::new() },
        }
    }

    pub(crate) fn path(self, room: &str) -> String {
        match self {
            Kind::Hither | Kind::HitherMemory => "/sync".into(),
            Kind::HocuspocusMemory | Kind::HocuspocusSqlite => "/".into(),
            Kind::YSweetMemory | Kind::YSweetFiles => format!("/d/{room}/ws/{room}"),
            _ => format!("/{room}"),
        }
    }
}

/// Where the programs are.
pub(crate) struct Programs {
    pub(crate) relay: PathBuf,
    /// tests/bench/peers with its packages installed; without it only the bare broadcasts are compared.
    pub(crate) peers: Option<PathBuf>,
    pub(crate) yrs_axum: Option<PathBuf>,
    pub(crate) y_sweet: Option<PathBuf>,
}

impl Programs {
    /// The servers that are here, references first.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.command(*kind, Path::new("")).is_ok()).collect()
    }

    fn command(&self, kind: Kind, directory: &Path) -> Result<(PathBuf, Vec<String>), Failed> {
        let own = |how: &str| Ok((std::env::current_exe()?, vec!["bare".to_owned(), how.to_owned()]));
        let node = |file: &str, args: &[String]| {
            let script = self.peers.as_ref().ok_or("no peers")?.join("servers").join(file);
            Ok(("node".into(), [&[script.display().to_string()], args].concat()))
        };
        let y_sweet = |store: &[String]| {
            let program = self.y_sweet.clone().ok_or("no y-sweet")?;
            let args = ["serve", "--host", "127.0.0.1", "--port"].map(str::to_owned);
            Ok((program, [&args[..], &[free_port()?.to_string()], store].concat()))
        };
        let relay = |store: String| {
            let args = ["--listen", "127.0.0.1:0", "--log-filter", "error", "--store"].map(str::to_owned);
            Ok((self.relay.clone(), [&args[..], &[store]].concat()))
        };
        match kind {
            Kind::BareRust => own("rust"),
            Kind::BareAxum => own("axum"),
            Kind::Coalescing => own("coalescing"),
            Kind::HitherMemory => relay("memory".into()),
            Kind::Hither => relay(format!("file:{}", directory.display())),
            Kind::YrsAxum => Ok((self.yrs_axum.clone().ok_or("no yrs-axum")?, vec![])),
            Kind::YSweetMemory => y_sweet(&[]),
            Kind::YSweetFiles => y_sweet(&[directory.display().to_string()]),
            Kind::YWebsocket => node("y-websocket.mjs", &[]),
            Kind::HocuspocusMemory => node("hocuspocus.mjs", &[]),
            Kind::HocuspocusSqlite => {
                node("hocuspocus.mjs", &[directory.join("documents.db").display().to_string()])
            }
        }
    }
}

/// A running server. Dropping it kills the process and removes its directory.
pub(crate) struct Server<'a> {
    pub(crate) kind: Kind,
    pub(crate) address: String,
    programs: &'a Programs,
    child: Child,
    directory: PathBuf,
}

impl<'a> Server<'a> {
    pub(crate) async fn start(kind: Kind, programs: &'a Programs) -> Result<Server<'a>, Failed> {
        static STARTED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = STARTED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("hither-bench-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let (child, address) = launch(programs.command(kind, &directory)?).await?;
        Ok(Server { kind, address, programs, child, directory })
    }

    /// Kills the process and starts another one on the same directory.
    pub(crate) async fn restart(&mut self) -> Result<(), Failed> {
        self.child.kill().await?;
        (self.child, self.address) = launch(self.programs.command(self.kind, &self.directory)?).await?;
        Ok(())
    }

    /// Seconds of CPU that the process has used, user and system.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, Failed> {
        cpu_seconds(self.pid()?)
    }

    /// Resident memory in KB.
    pub(crate) fn resident_kb(&self) -> Result<u64, Failed> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?)
    }

    fn pid(&self) -> Result<u32, Failed> {
        Ok(self.child.id().ok_or("the server has ended")?)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // kill_on_drop ends the process; its directory goes with it.
        let _ = self.child.start_kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Seconds of CPU that the threads of a process have used, user and system. Not from /proc/PID/stat, which counts
/// hundredths: a second of fan-out is a few of them.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, Failed> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between being listed and being read.
        let Ok(stat) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanoseconds += stat.split_whitespace().next().ok_or("unexpected schedstat")?.parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

async fn launch((program, args): (PathBuf, Vec<String>)) -> Result<(Child, String), Failed> {
    let mut command = if is_pinned()? {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // y-sweet is told its port; the others say which one they have.
    let port = args.iter().position(|arg| arg == "--port").and_then(|at| args.get(at + 1));
    // y-sweet writes a log there, and would stand still as soon as nobody reads it.
    let stdout = if port.is_some() { Stdio::null() } else { Stdio::piped() };
    let mut child = command.args(&args).stdout(stdout).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    if let Some(port) = port {
        let address = format!("127.0.0.1:{port}");
        answers(&address).await?;
        return Ok((child, address));
    }
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await??;
    let line = line.ok_or("the server ended before it listened")?;
    let address =
        line.rsplit_once("http://").ok_or("the server did not say where it listens")?.1.trim().to_owned();
    Ok((child, address))
}

fn is_pinned() -> Result<bool, Failed> {
    let has_taskset =
        std::process::Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
    // This process has one processor already: what it may use is not what the machine has.
    let processors =
        std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default().matches("processor\t").count();
    Ok(has_taskset && processors > 1)
}

fn free_port() -> Result<u16, Failed> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn answers(address: &str) -> Result<(), Failed> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if tokio::time::Instant::now() > deadline {
            return Err(format!("nobody listens on {address}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
