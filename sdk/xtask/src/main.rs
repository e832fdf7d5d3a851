//! Build steps that cargo alone cannot do. `cargo xtask wasm` makes the engine of the npm package.
//!
//! ```text
//!  cargo build ──► hither_wasm.wasm ──► wasm-bindgen ──► wasm-opt ──► sdk/js/dist/wasm/ hither_bg.wasm
//!  (profile wasm)                            │           (binaryen)        │
//!                                            └──► hither.js                └─gzip, base64─► inlined.js
//! ```
//!
//! Cargo decides whether the first arrow has work to do; everything behind it is done again only if its input or this
//! recipe has changed.

mod order;
mod output;
mod wasm;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask wasm    builds sdk/wasm into sdk/js/dist/wasm";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["wasm"] => root().and_then(|root| wasm::build(&root)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The top of the repository. Known from where this crate was compiled, or, if that has moved, from where we are.
fn root() -> Result<PathBuf> {
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let here = std::env::current_dir().context("no current directory")?;
    for start in [compiled.as_path(), here.as_path()] {
        for folder in start.ancestors() {
            if folder.join("sdk/wasm/Cargo.toml").is_file() {
                return folder.canonicalize().context("the repository's path cannot be resolved");
            }
        }
    }
    bail!("this is not inside the repository")
}
