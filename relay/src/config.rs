//! The configuration: where each value comes from and what it is. A flag wins over the environment, that over
//! the file, that over the default.

mod descriptors;
mod origin;

use crate::{
    compaction::process::Worker,
    log::{
        FileLog, MemoryLog, RoomLog,
        file::{FileOptions, OpenError},
    },
    node::Limits,
};
use clap::{Parser, ValueEnum};
use serde::Deserialize;
use std::{fmt, io, net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc, time::Duration};
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// What is logged unless somebody wants something else. The embedded store tells of its daily work at the same level.
pub const LOG_FILTER: &str = "info,fjall=warn,lsm_tree=warn";

/// What a relay needs to know to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen. Default 127.0.0.1:4455: whoever wants more says so.
    pub listen: SocketAddr,
    /// Where rooms are kept. Default `file:./data`.
    pub store: StoreAddress,
    /// When an update counts as durable. Default `synced`.
    pub durability: Durability,
    /// Whether the store is an older state of itself, such as a backup: see
    /// [`FileOptions::restored`](crate::log::file::FileOptions::restored). Default false.
    pub restored: bool,
    /// A directory of web pages to serve beside the relay. Default none.
    pub serve: Option<PathBuf>,
    /// Whether to serve strangers on an address that is not loopback. Default false: there is no auth yet, so
    /// everybody who can reach the address could read and write every room.
    pub allow_anonymous: bool,
    /// Pages of which origins may connect, as browsers write them; empty: all. Other programs than browsers can claim any origin.
    pub allow_origin: Vec<String>,
    /// How logs are written.
    pub log: LogFormat,
    /// What is logged, as `tracing` filters say it. Default [`LOG_FILTER`].
    pub log_filter: String,
    /// Clients are told at shutdown to come back after this long, plus a random part of the same. Raising it
    /// spreads the load of a deploy, and keeps people waiting.
    pub retry_after: Duration,
    /// How long a shutdown may take before it is cut short.
    pub shutdown_within: Duration,
    /// Where rooms are compacted. Default: on a thread; the program `hither-relay` starts itself for it.
    pub compaction: Worker,
    /// How many files and sockets this process may have open. Default unknown: [`Config::fit_descriptors`] finds out.
    pub open_files: Option<u64>,
    /// Limits of memory and fairness.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 4455)),
            store: StoreAddress::File("./data".into()),
            durability: Durability::Synced,
            restored: false,
            serve: None,
            allow_anonymous: false,
            allow_origin: Vec::new(),
            log: LogFormat::Text,
            log_filter: LOG_FILTER.to_owned(),
            retry_after: Duration::from_millis(500),
            shutdown_within: Duration::from_secs(10),
            compaction: Worker::Thread,
            open_files: None,
            limits: Limits::default(),
        }
    }
}

/// Where rooms are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// In memory: gone with the process.
    Memory,
    /// In files below a directory, fsynced before an edit is acknowledged.
    File(PathBuf),
}

impl FromStr for StoreAddress {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "memory" => Ok(StoreAddress::Memory),
            Some(("file", path)) if !path.is_empty() => Ok(StoreAddress::File(path.into())),
            _ => Err(ConfigError::Store(text.to_owned())),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Memory => f.write_str("memory"),
            StoreAddress::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// When the file store says that an update is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When it is synced to the disk: acknowledged edits survive a power cut.
    Synced,
    /// When the operating system has it: acknowledged edits survive the end of the process, not a power cut.
    Relaxed,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line, for machines.
    Json,
}

/// Why a relay does not start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A store that does not exist.
    #[error("unknown store {0:?}: write `memory` or `file:DIRECTORY`")]
    Store(String),
    /// The file is not there, or not readable.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says something else than this program understands.
    #[error("{path}: {source}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// Strangers could reach everything.
    #[error(
        "{0} can be reached from other machines, and this relay has no authentication: everybody there could \
         read and write every room. Listen on 127.0.0.1, or say --allow-anonymous if that is what you want"
    )]
    Open(SocketAddr),
    /// Not even the store could work.
    #[error(
        "this process may have {limit} files open, and the relay needs {needed} at least: raise the limit (ulimit -n, \
         LimitNOFILE in a unit of systemd)"
    )]
    OpenFiles {
        /// What it may have.
        limit: u64,
        /// What it must have.
        needed: u64,
    },
    /// An origin that no browser would name.
    #[error(
        "--allow-origin {0:?}: write scheme://host or scheme://host:port, such as https://example.org, or null"
    )]
    Origin(String),
    /// A filter that says nothing.
    #[error("--log-filter {filter:?}")]
    LogFilter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A limit that lets nobody in.
    #[error("{0} 0 lets nobody in")]
    Nobody(&'static str),
    /// Nothing that could have been restored.
    #[error("--restored is for a store in files, and this one is in memory")]
    Restored,
    /// A directory that is not there.
    #[error("--serve {0}: no such directory")]
    Serve(PathBuf),
}

const EXAMPLES: &str = "\
Examples:
  hither-relay
      On this machine only, rooms kept in ./data.
  hither-relay --store memory --serve demo-web/dist
      Try something out: nothing is kept, and a page is served at http://127.0.0.1:4455/
  hither-relay --listen 0.0.0.0:4455 --allow-anonymous --store file:/var/lib/hither
      For a trusted network. Put a proxy with TLS in front of it for anything else.
  hither-relay --config /etc/hither.toml
      The same names in a file: listen = \"127.0.0.1:4455\", store = \"file:./data\", allow_origin = [\"…\"]

Doors:
  ws://ADDRESS/sync         the SDK (subprotocol hither.v1)
  ws://ADDRESS/yjs/ROOM     any Yjs client, for example y-websocket
  http://ADDRESS/healthz    200 while the process lives; /readyz: 200 while it takes connections

Signals: SIGTERM and SIGINT tell clients when to come back, finish what was received, and exit with 0.";

/// The relay of Hither: keeps rooms durable and passes edits on.
#[derive(Debug, Parser)]
#[command(name = "hither-relay", version, about, after_long_help = EXAMPLES, after_help = "See --help for examples.")]
pub struct Flags {
    /// Read settings from this TOML file; flags and environment win over it
    #[arg(long, env = "HITHER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen on this address [default: 127.0.0.1:4455]
    #[arg(long, env = "HITHER_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Keep rooms here: `file:DIRECTORY` or `memory` [default: file:./data]
    #[arg(long, env = "HITHER_STORE", value_name = "STORE")]
    pub store: Option<StoreAddress>,
    /// Acknowledge an edit when it is synced to the disk, or as soon as the system has it [default: synced]
    #[arg(long, env = "HITHER_DURABILITY", value_name = "WHEN")]
    pub durability: Option<Durability>,
    /// Say once, at the first start on a backup or on a disk that was rolled back: every room starts anew for its
    /// clients, who bring back what it lacks (a copied directory is recognised without it)
    // Neither in the environment nor in the file, where it would stay.
    #[arg(long)]
    pub restored: bool,
    /// Serve the web pages in this directory
    #[arg(long, env = "HITHER_SERVE", value_name = "DIR")]
    pub serve: Option<PathBuf>,
    /// Let anybody read and write who can reach an address that is not loopback
    #[arg(long, env = "HITHER_ALLOW_ANONYMOUS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub allow_anonymous: Option<bool>,
    /// Let only pages of this origin connect, such as https://example.org; may be repeated [default: all]
    #[arg(long, env = "HITHER_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub allow_origin: Option<Vec<String>>,
    /// Write logs as text or as one JSON object per line [default: text]
    #[arg(long, env = "HITHER_LOG", value_name = "FORMAT")]
    pub log: Option<LogFormat>,
    /// Log this, for example `warn` or `hither_relay=debug` [default: info, of the embedded store only warnings]
    #[arg(long, env = "HITHER_LOG_FILTER", value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// At most so many connections at once; fewer where this process may not open as many files [default: 100000]
    #[arg(long, env = "HITHER_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,
    /// At most so many rooms in memory at once [default: 100000]
    #[arg(long, env = "HITHER_MAX_ROOMS", value_name = "N")]
    pub max_rooms: Option<usize>,
    /// At most so many members in one room [default: 10000]
    #[arg(long, env = "HITHER_MAX_MEMBERS", value_name = "N")]
    pub max_members: Option<usize>,
    /// At shutdown, tell clients to come back after this long and a random part of the same [default: 500]
    #[arg(long, env = "HITHER_RETRY_AFTER_MS", value_name = "MS")]
    pub retry_after_ms: Option<u64>,
}

/// The same names in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    store: Option<String>,
    durability: Option<Durability>,
    serve: Option<PathBuf>,
    allow_anonymous: Option<bool>,
    allow_origin: Option<Vec<String>>,
    log: Option<LogFormat>,
    log_filter: Option<String>,
    max_connections: Option<usize>,
    max_rooms: Option<usize>,
    max_members: Option<usize>,
    retry_after_ms: Option<u64>,
}

impl Flags {
    /// The whole configuration: these flags (which hold the environment's values where no flag was given),
    /// the file that they name, and the defaults; checked.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
                toml::from_str(&text)
                    .map_err(|source| ConfigError::Parse { path: path.clone(), source: source.into() })?
            }
            None => File::default(),
        };
        self.over(file)
    }

    fn over(self, file: File) -> Result<Config, ConfigError> {
        let default = Config::default();
        let mut limits = default.limits;
        let node = &mut limits.node;
        node.connections = self.max_connections.or(file.max_connections).unwrap_or(node.connections);
        node.rooms = self.max_rooms.or(file.max_rooms).unwrap_or(node.rooms);
        node.members_per_room = self.max_members.or(file.max_members).unwrap_or(node.members_per_room);
        let file_store = file.store.map(|text| text.parse()).transpose()?;
        let origins = self.allow_origin.or(file.allow_origin).unwrap_or_default();
        let origins = origins.into_iter().map(|text| origin::parse(&text).ok_or(ConfigError::Origin(text)));
        let retry_after = self.retry_after_ms.or(file.retry_after_ms).map(Duration::from_millis);
        let config = Config {
            listen: self.listen.or(file.listen).unwrap_or(default.listen),
            store: self.store.or(file_store).unwrap_or(default.store),
            durability: self.durability.or(file.durability).unwrap_or(default.durability),
            restored: self.restored,
            serve: self.serve.or(file.serve),
            allow_anonymous: self.allow_anonymous.or(file.allow_anonymous).unwrap_or(false),
            allow_origin: origins.collect::<Result<_, _>>()?,
            log: self.log.or(file.log).unwrap_or(default.log),
            log_filter: self.log_filter.or(file.log_filter).unwrap_or(default.log_filter),
            retry_after: retry_after.unwrap_or(default.retry_after),
            shutdown_within: default.shutdown_within,
            compaction: default.compaction,
            open_files: None,
            limits,
        };
        config.check()?;
        Ok(config)
    }
}

impl Config {
    /// Raises this process's limit of open files as far as that goes, and lets in no more connections than it leaves
    /// room for beside the store. For a program that runs one relay; to be called before the store is opened.
    pub fn fit_descriptors(&mut self) -> Result<(), ConfigError> {
        let limit = descriptors::raise_limit();
        let connections = &mut self.limits.node.connections;
        // A request for a page opens a file besides its socket.
        let each = if self.serve.is_some() { 2 } else { 1 };
        *connections = descriptors::connections(limit, each).min(*connections);
        self.open_files = Some(limit);
        if *connections == 0 {
            return Err(ConfigError::OpenFiles { limit, needed: descriptors::FEWEST });
        }
        Ok(())
    }

    /// Opens the store. Blocks.
    pub fn open_log(&self) -> Result<Arc<dyn RoomLog>, OpenError> {
        Ok(match &self.store {
            StoreAddress::Memory => Arc::new(MemoryLog::new()),
            StoreAddress::File(dir) => {
                let relaxed = self.durability == Durability::Relaxed;
                let default = FileOptions::default();
                let open_tables = self.open_files.map_or(default.open_tables, descriptors::tables);
                let options = FileOptions { relaxed, restored: self.restored, open_tables, ..default };
                Arc::new(FileLog::open(dir, &options)?)
            }
        })
    }

    /// What is logged.
    pub fn tracing_filter(&self) -> Result<EnvFilter, ConfigError> {
        EnvFilter::try_new(&self.log_filter)
            .map_err(|source| ConfigError::LogFilter { filter: self.log_filter.clone(), source })
    }

    /// Whether a relay may start with it.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().to_canonical().is_loopback() && !self.allow_anonymous {
            return Err(ConfigError::Open(self.listen));
        }
        self.tracing_filter()?;
        let node = &self.limits.node;
        for (name, limit) in [
            ("--max-connections", node.connections),
            ("--max-rooms", node.rooms),
            ("--max-members", node.members_per_room),
        ] {
            if limit == 0 {
                return Err(ConfigError::Nobody(name));
            }
        }
        if self.restored && self.store == StoreAddress::Memory {
            return Err(ConfigError::Restored);
        }
        match &self.serve {
            Some(dir) if !dir.is_dir() => Err(ConfigError::Serve(dir.clone())),
            _ => Ok(()),
        }
    }
}

/// As it is printed at start: the names of the flags, one per line.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "listen = {}", self.listen)?;
        writeln!(f, "store = {}", self.store)?;
        let durability = match (&self.store, self.durability) {
            (StoreAddress::Memory, _) => "none (everything is gone with the process)",
            (StoreAddress::File(_), Durability::Synced) => "synced",
            (StoreAddress::File(_), Durability::Relaxed) => {
                "relaxed (acknowledged edits can be lost in a power cut)"
            }
        };
        writeln!(f, "durability = {durability}")?;
        if self.restored {
            writeln!(f, "restored = true (say it once: clients read every room afresh)")?;
        }
        match &self.serve {
            Some(dir) => writeln!(f, "serve = {}", dir.display())?,
            None => writeln!(f, "serve = (nothing)")?,
        }
        writeln!(f, "allow-anonymous = {}", self.allow_anonymous)?;
        match &self.allow_origin[..] {
            [] => writeln!(f, "allow-origin = (all)")?,
            origins => writeln!(f, "allow-origin = {}", origins.join(","))?,
        }
        let log = match self.log {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        writeln!(f, "log = {log}")?;
        writeln!(f, "log-filter = {}", self.log_filter)?;
        let node = &self.limits.node;
        write!(f, "max-connections = {}", node.connections)?;
        match self.open_files {
            Some(limit) => writeln!(f, " ({limit} files may be open, the store's among them)")?,
            None => writeln!(f)?,
        }
        writeln!(f, "max-rooms = {}", node.rooms)?;
        writeln!(f, "max-members = {}", node.members_per_room)?;
        write!(f, "retry-after-ms = {}", self.retry_after.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Flags {
        Flags::try_parse_from([&["hither-relay"], args].concat()).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = || toml::from_str::<File>("listen = '127.0.0.1:1'\nstore = 'memory'").unwrap();
        let config = flags(&["--listen", "127.0.0.1:2"]).over(file()).unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.store, StoreAddress::Memory);
        assert_eq!(config.limits, Limits::default());
    }

    #[test]
    fn a_public_address_is_refused_without_allow_anonymous() {
        let open = |args: &[&str]| flags(args).over(File::default());
        assert!(matches!(open(&["--listen", "0.0.0.0:1"]), Err(ConfigError::Open(_))));
        assert!(matches!(open(&["--listen", "[::]:1"]), Err(ConfigError::Open(_))));
        assert!(open(&["--listen", "0.0.0.0:1", "--allow-anonymous"]).is_ok());
        assert!(open(&["--listen", "[::1]:1"]).is_ok());
        assert!(open(&["--listen", "[::ffff:127.0.0.1]:1"]).is_ok());
    }

    #[test]
    fn stores_are_named_by_address() {
        assert_eq!("memory".parse::<StoreAddress>().unwrap(), StoreAddress::Memory);
        assert_eq!("file:./d".parse::<StoreAddress>().unwrap(), StoreAddress::File("./d".into()));
        for bad in ["file:", "file", "postgres://x", ""] {
            assert!(bad.parse::<StoreAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_filter_that_does_not_parse_is_refused_by_name() {
        let refused = flags(&["--log-filter", "hither_relay=loud"]).over(File::default());
        assert!(
            matches!(refused, Err(ConfigError::LogFilter { filter, .. }) if filter == "hither_relay=loud")
        );
        assert!(flags(&["--log-filter", "hither_relay=debug,warn"]).over(File::default()).is_ok());
        assert!(Config::default().check().is_ok());
    }

    #[test]
    fn origins_are_brought_into_the_form_of_browsers_or_refused() {
        let config =
            flags(&["--allow-origin", "https://a.example/, http://b.example:8080"]).over(File::default());
        assert_eq!(config.unwrap().allow_origin, ["https://a.example", "http://b.example:8080"]);
        let file = || toml::from_str::<File>("allow_origin = ['a.example']").unwrap();
        assert!(matches!(flags(&[]).over(file()), Err(ConfigError::Origin(origin)) if origin == "a.example"));
    }

    #[test]
    fn limits_that_let_nobody_in_are_refused() {
        for limit in ["--max-connections", "--max-rooms", "--max-members"] {
            let refused = flags(&[limit, "0"]).over(File::default());
            assert!(matches!(refused, Err(ConfigError::Nobody(name)) if name == limit));
            assert!(flags(&[limit, "1"]).over(File::default()).is_ok());
        }
    }

    #[test]
    fn what_is_printed_at_start_is_what_is_in_force() {
        let printed = |args: &[&str]| flags(args).over(File::default()).unwrap().to_string();
        assert!(printed(&[]).contains("durability = synced\n"));
        assert!(printed(&["--store", "memory"]).contains("durability = none "));
        let logs = printed(&["--log", "json", "--log-filter", "warn"]);
        assert!(logs.contains("log = json\nlog-filter = warn\n"), "{logs}");
    }

    #[test]
    fn only_a_store_in_files_can_have_been_restored() {
        assert!(flags(&["--restored"]).over(File::default()).unwrap().restored);
        let refused = flags(&["--restored", "--store", "memory"]).over(File::default());
        assert!(matches!(refused, Err(ConfigError::Restored)));
    }

    #[test]
    fn a_file_with_an_unknown_name_is_refused() {
        assert!(toml::from_str::<File>("lisen = '127.0.0.1:1'").is_err());
        assert!(toml::from_str::<File>("restored = true").is_err(), "it would be said at every start");
    }

    #[test]
    fn the_help_has_examples_and_names_every_environment_variable() {
        use clap::CommandFactory;
        let help = Flags::command().render_long_help().to_string();
        assert!(help.contains("Examples:"));
        for name in ["HITHER_LISTEN", "HITHER_STORE", "HITHER_SERVE", "HITHER_CONFIG"] {
            assert!(help.contains(name), "{name}");
        }
    }
}
