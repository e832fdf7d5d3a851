//! The command line's words.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// The whole command line.
#[derive(Parser, Debug)]
#[command(
    name = "hither",
    version,
    about = "Reads and writes the rooms of a Hither relay",
    max_term_width = 100,
    after_help = "\
Paths name a place in a room's state, for example cards/0/title: names of maps, numbers of lists.
JSON goes to standard output, everything else to standard error.

Exit codes:
  0  done
  1  refused: a bad path, a bad file, a relay that does not let us in
  2  a command line that cannot be understood
  3  no answer from the relay in time
  4  nothing at that path

Examples:
  hither get board                                  the whole state, as one line of JSON
  hither get board cards/0                          a part of it
  hither set board title '\"Plans\"'                  JSON: a string needs its quotes
  hither set board note --text 'Dear all,'          a shared text that people edit together
  hither push board cards '{\"name\":\"write\"}'
  hither watch board | jq .title                    a line for every change
  hither export board board.yjs                     a backup that every Yjs program reads
  hither import board board.yjs
  hither --url wss://relay.example/sync status"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) way: Way,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the relay is reached.
#[derive(Args, Debug)]
pub(crate) struct Way {
    /// The relay's address
    #[arg(long, global = true, env = "HITHER_URL", default_value = "ws://127.0.0.1:4455/sync")]
    pub(crate) url: String,

    /// A token for a relay, or what stands before it, that asks for one; hither-relay asks for none
    #[arg(long, global = true, env = "HITHER_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// A file that keeps rooms, so that only what is new is transferred; without it nothing stays on this machine
    #[arg(long, global = true, env = "HITHER_CLIENT_STORE", value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,

    /// Work on the file without the relay; what is written is sent the next time
    #[arg(long, global = true, requires = "store")]
    pub(crate) offline: bool,

    /// How long to wait for the relay, in seconds
    #[arg(long, global = true, env = "HITHER_WAIT", value_name = "SECS", default_value = "10", value_parser = seconds)]
    pub(crate) wait: Duration,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Print a room's state, or what is at a path of it
    Get {
        /// The room
        room: String,
        /// A place in its state
        #[arg(default_value = "")]
        path: String,
    },
    /// Print a line of JSON now and after every change
    Watch {
        /// The room
        room: String,
        /// A place in its state: prints when what is there has changed
        #[arg(default_value = "")]
        path: String,
    },
    /// Put a value at a path
    Set {
        /// The room
        room: String,
        /// Where
        path: String,
        /// What
        #[command(flatten)]
        value: Given,
    },
    /// Put a value at the end of a list
    Push {
        /// The room
        room: String,
        /// The list
        path: String,
        /// What
        #[command(flatten)]
        value: Given,
    },
    /// Take away what is at a path
    Delete {
        /// The room
        room: String,
        /// Where
        path: String,
    },
    /// Bring a file into a room: a Yjs update (v1), or with --json an object whose entries are put at the top
    Import {
        /// The room
        room: String,
        /// The file; - is standard input
        file: PathBuf,
        /// It is JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a room to a file: as a Yjs update (v1), or with --json its state
    Export {
        /// The room
        room: String,
        /// The file; - is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say whether the relay answers, and with a room how it stands
    Status {
        /// The room
        room: Option<String>,
    },
}

/// A value on the command line.
#[derive(Args, Debug)]
pub(crate) struct Given {
    /// A value, as JSON
    pub(crate) value: String,

    /// Take the value as it is, as a shared text, instead of JSON
    #[arg(long)]
    pub(crate) text: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
