//! The steps from Rust sources to what the npm package loads.

use crate::order;
use crate::output::{Output, fingerprint};
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";

/// -Oz makes a file that is 3% smaller and zips 2% worse: it breaks up what repeats. Removing sets that change nothing
/// lets the second round see more. Nothing lies in the lowest KiB, which is the last of the stack. Alignments are hints
/// that no engine needs.
const OPTIMIZE: [&str; 5] = ["--low-memory-unused", "-O1", "--rse", "-O1", "--dealign"];

/// Comes after [`order::named`]; the names are gone again with it.
const REORDER: [&str; 1] = ["--reorder-functions-by-name"];

/// What rustc may assume of a browser, said to wasm-opt. Never `--all-features`: it then writes what Node 20 refuses.
const WASM_OPT: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-multivalue",
    "--enable-reference-types",
    "--strip-debug",
    "--strip-producers",
];

/// The standard library compiled for size, along with everything else: its sorting alone is 60 KB otherwise.
const SMALL_STD: [&str; 2] = ["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"];

/// A panic becomes a trap at once, without text, place or formatting code: a fifth of the module. For the text of a
/// panic build with `HITHER_WASM_PANICS=1`.
const SMALL_CODE: [&str; 4] =
    ["-Zunstable-options", "-Cpanic=immediate-abort", "-Zlocation-detail=none", "-Zfmt-debug=none"];

/// The file that says for `npm run size` what it measures. Not among those that the package publishes.
const FORM: &str = ".form";

/// How the engine is compiled.
#[derive(Clone, Copy)]
enum Form {
    Published,
    /// The sources of the standard library are not on this machine.
    PlainStd,
    /// Wanted by `HITHER_WASM_PANICS=1`.
    WithPanics,
}

impl Form {
    fn chosen() -> Result<Form> {
        Ok(if std::env::var_os("HITHER_WASM_PANICS").is_some() {
            Form::WithPanics
        } else if has_std_source()? {
            Form::Published
        } else {
            Form::PlainStd
        })
    }

    fn words(self) -> &'static str {
        match self {
            Form::Published => "as published: the standard library compiled for size, panics as traps",
            Form::PlainStd => {
                "a quarter larger than published: the plain standard library, because rust-src is missing \
                 (rustup component add rust-src)"
            }
            Form::WithPanics => "a quarter larger than published: panics keep their text",
        }
    }
}

/// Builds the engine into `sdk/js/dist/wasm`.
pub(crate) fn build(root: &Path) -> Result<()> {
    let started = Instant::now();
    let form = Form::chosen()?;
    let compiled = compile(root, form)?;
    let optimizer = find_wasm_opt(root);
    let input = fs::read(&compiled).with_context(|| format!("{} cannot be read", compiled.display()))?;
    // This program is its recipe: another xtask may make something else of the same input.
    let recipe = std::env::current_exe().and_then(fs::read).context("this program cannot read itself")?;
    let choices = [optimizer.is_some(), keeps_names()].map(u8::from);
    let output = Output::new(root.join("sdk/js/dist/wasm"), fingerprint(&[&input, &recipe, &choices]));

    if output.is_current() {
        println!("wasm: unchanged ({:.1} s)", started.elapsed().as_secs_f32());
        return Ok(());
    }
    let work = output.begin()?;
    bind(&compiled, &work)?;
    let module = work.join("hither_bg.wasm");
    match optimizer {
        // wasm-opt would take the names.
        Some(_) if keeps_names() => {}
        Some(optimizer) => optimize(&optimizer, &module)?,
        None => eprintln!(
            "wasm: the npm package binaryen is not installed; the file stays 6 to 9% larger than it could be"
        ),
    }
    let bytes = fs::read(&module).context("wasm-bindgen wrote no module")?;
    let zipped = gzip(&bytes)?;
    fs::write(work.join("inlined.js"), inlined(&zipped)).context("inlined.js cannot be written")?;
    fs::write(work.join(FORM), form.words()).context("the form cannot be written")?;
    output.finish()?;
    println!(
        "wasm: {} bytes, {} gzipped ({:.1} s)",
        bytes.len(),
        zipped.len(),
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

/// Whether functions keep their names, for profilers: `HITHER_WASM_NAMES=1`.
fn keeps_names() -> bool {
    std::env::var_os("HITHER_WASM_NAMES").is_some()
}

/// Compiles the crate; returns the module's path, which only cargo knows.
fn compile(root: &Path, form: Form) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--package", "hither-wasm", "--profile", "wasm", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        // Build scripts look at the variable below: in the common folder every change between this build and an
        // ordinary one would compile half of the dependencies again.
        .arg("--target-dir")
        .arg(target_folder(root).join("wasm"))
        .current_dir(root)
        .stderr(Stdio::inherit());
    match form {
        Form::Published => {
            // These are options of the nightly compiler, which a release accepts when told so.
            cargo
                .env("RUSTC_BOOTSTRAP", "1")
                .args(SMALL_STD)
                .env("CARGO_ENCODED_RUSTFLAGS", SMALL_CODE.join("\x1f"));
        }
        Form::PlainStd | Form::WithPanics => eprintln!("wasm: {}", form.words()),
    }
    let built = cargo.output().context("cargo cannot be started")?;
    ensure!(built.status.success(), "cargo build failed");
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message["reason"] == "compiler-artifact" && message["target"]["name"] == "hither_wasm"
        })
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .context("cargo built no hither_wasm.wasm")
}

fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// Whether the standard library can be compiled here.
fn has_std_source() -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output =
        Command::new(rustc).args(["--print", "sysroot"]).output().context("rustc cannot be started")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file())
}

/// How the part of the glue begins that fetches and instantiates, up to its end; and what our own loader, which does
/// that in fewer bytes, needs of the rest.
const LOADER: &str = "\nasync function __wbg_load(";
const FOR_OUR_LOADER: &str = "\nexport { __wbg_get_imports as imports, __wbg_finalize_init as finish };\n";

/// Writes the glue and the module that it knows.
fn bind(compiled: &Path, work: &Path) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(compiled)
        .out_name("hither")
        .web(true)
        .context("wasm-bindgen knows no target web")?
        .omit_default_module_path(true)
        .remove_name_section(!keeps_names())
        .remove_producers_section(true)
        .typescript(false);
    let mut output = bindgen.generate_output().context("wasm-bindgen failed")?;
    let module = output.wasm_mut();
    let imports = module.imports.iter_mut().map(|import| &mut import.name);
    let exports = module.exports.iter_mut().map(|export| &mut export.name);
    let renamed = rename(imports.chain(exports));
    output.emit(work).context("the glue cannot be written")?;
    let glue = work.join("hither.js");
    let mut text = fs::read_to_string(&glue).context("wasm-bindgen wrote no glue")?;
    for (long, short) in renamed {
        text = text.replace(&long, &short);
    }
    let end = text.find(LOADER).context("wasm-bindgen's glue has no loader where it was")?;
    text.truncate(end);
    text.push_str(FOR_OUR_LOADER);
    fs::write(&glue, text).context("the glue cannot be written")
}

/// Shortens names that only the glue and the module know of each other: two fifths of them are hashes, which nothing
/// compresses. Returns what was renamed.
fn rename<'a>(names: impl Iterator<Item = &'a mut String>) -> Vec<(String, String)> {
    let mut renamed = Vec::new();
    for name in names.filter(|name| name.starts_with("__wb") || name.starts_with("wasm_bindgen_")) {
        let short = format!("$w{}", renamed.len());
        renamed.push((std::mem::replace(name, short.clone()), short));
    }
    // The longest first: one name may begin with another.
    renamed.sort_by_key(|(long, _)| std::cmp::Reverse(long.len()));
    renamed
}

/// wasm-opt of the npm package binaryen, wherever npm has put it.
fn find_wasm_opt(root: &Path) -> Option<PathBuf> {
    ["sdk/js", "."]
        .iter()
        .map(|folder| root.join(folder).join("node_modules/binaryen/bin/wasm-opt"))
        .find(|path| path.is_file())
}

fn optimize(optimizer: &Path, module: &Path) -> Result<()> {
    wasm_opt(optimizer, &OPTIMIZE, module)?;
    let named =
        fs::read(module).context("wasm-opt wrote no module").and_then(|bytes| order::named(&bytes))?;
    fs::write(module, named).context("the module cannot be written")?;
    wasm_opt(optimizer, &REORDER, module)
}

fn wasm_opt(optimizer: &Path, passes: &[&str], module: &Path) -> Result<()> {
    // The package's program is a script: run it with node, which also works where scripts are not executable.
    let status = Command::new("node")
        .arg(optimizer)
        .args(WASM_OPT)
        .args(passes)
        .args([module.as_os_str(), "-o".as_ref(), module.as_os_str()])
        .status()
        .context("node cannot be started")?;
    ensure!(status.success(), "wasm-opt failed: {status}");
    Ok(())
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).context("gzip failed")
}

/// The module as JavaScript. Base64 of the gzipped bytes: base64 of the raw ones would be 42% larger on the wire.
fn inlined(zipped: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(zipped);
    format!(
        r#"const zipped = "{base64}";
export async function bytes() {{
	if (typeof DecompressionStream === "undefined") {{
		throw new Error("this browser needs hither_bg.wasm served as application/wasm, or an update");
	}}
	const text = atob(zipped);
	const raw = new Uint8Array(text.length);
	for (let at = 0; at < raw.length; at++) raw[at] = text.charCodeAt(at);
	const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
	return new Uint8Array(await new Response(stream).arrayBuffer());
}}
"#
    )
}
