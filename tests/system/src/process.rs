//! A relay as a process of its own, alone or under the recorder.
//!
//! `HITHER_RELAY` names another binary to test, for example a release build of `hither-relay`.

use crate::people::within;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How a relay is started.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: PathBuf,
    dir: PathBuf,
    /// The relay's flags besides address and store.
    flags: Vec<String>,
    /// The recorder and its flags; none: the relay runs alone.
    under: Vec<String>,
}

impl Launch {
    /// On a data directory. `binary` is what cargo built for the test: `env!("CARGO_BIN_EXE_system-relay")`.
    pub fn of(binary: &str, dir: &Path) -> Launch {
        let binary = std::env::var_os("HITHER_RELAY").map_or_else(|| binary.into(), PathBuf::from);
        Launch { binary, dir: dir.to_owned(), flags: Vec::new(), under: Vec::new() }
    }

    /// With further flags.
    pub fn with(mut self, flags: &[&str]) -> Launch {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Under the recorder (`env!("CARGO_BIN_EXE_system-recorder")`), which writes down what happens below `root`.
    pub fn recorded(mut self, recorder: &str, root: &Path, record: &Path) -> Launch {
        let words = [recorder, "--root", root.to_str().unwrap(), "--record", record.to_str().unwrap()];
        self.under = words.map(str::to_owned).to_vec();
        self
    }

    /// With a recorder that lets calls fail: `--refuse space --after 100`.
    pub fn refusing(mut self, flags: &[&str]) -> Launch {
        assert!(!self.under.is_empty(), "the recorder refuses");
        self.under.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    fn command(&self) -> Command {
        match self.under.split_first() {
            None => Command::new(&self.binary),
            Some((recorder, flags)) => {
                let mut command = Command::new(recorder);
                command.args(flags).arg(&self.binary);
                command
            }
        }
    }

    async fn spawn(&self, listen: SocketAddr) -> (Child, SocketAddr) {
        let mut child = self
            .command()
            .args(["--listen", &listen.to_string(), "--store", &format!("file:{}", self.dir.display())])
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .env("HITHER_LOG_FILTER", "error")
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.binary.display()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = within("the relay to listen", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    return address.trim().parse().unwrap();
                }
            }
            panic!("the relay ended before it listened");
        })
        .await;
        (child, address)
    }
}

/// A running relay. Killed when dropped.
pub struct RelayProcess {
    child: Child,
    address: SocketAddr,
    launch: Launch,
}

impl RelayProcess {
    /// Starts the relay on a data directory and a port of the system's choice.
    pub async fn start(binary: &str, dir: &Path) -> RelayProcess {
        Self::launch(Launch::of(binary, dir)).await
    }

    /// Starts the relay on a port of the system's choice.
    pub async fn launch(launch: Launch) -> RelayProcess {
        let (child, address) = launch.spawn(SocketAddr::from(([127, 0, 0, 1], 0))).await;
        RelayProcess { child, address, launch }
    }

    /// The address of `/sync`; the same after [`Self::restart`].
    pub fn url(&self) -> String {
        format!("ws://{}/sync", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The memory that the process has in use, as Linux counts it.
    pub fn resident_bytes(&self) -> u64 {
        let id = self.child.id().expect("the relay runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// `kill -9`: no goodbye, no flush.
    pub async fn kill(&mut self) {
        self.child.start_kill().unwrap();
        within("the killed relay to be gone", self.child.wait()).await.unwrap();
        self.is_gone().await;
    }

    /// Waits until it ends by itself.
    pub async fn ends(&mut self) -> ExitStatus {
        let status = within("the relay to end", self.child.wait()).await.unwrap();
        self.is_gone().await;
        status
    }

    /// A recorder's relay is killed with it, but by the kernel, and nobody is told.
    async fn is_gone(&self) {
        within("the port to be free", async {
            while TcpStream::connect(self.address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// Starts again what was killed, on the same directory and port.
    pub async fn restart(&mut self) {
        self.relaunch(self.launch.clone()).await;
    }

    /// Starts another one on the same port.
    pub async fn relaunch(&mut self, launch: Launch) {
        let (child, address) = launch.spawn(self.address).await;
        assert_eq!(address, self.address);
        self.child = child;
        self.launch = launch;
    }
}
