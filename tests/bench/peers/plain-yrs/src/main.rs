//! The same work without a page: how fast the CRDT is where nothing is in its way.
//!
//! ```text
//! hither-bench-plain-yrs bind MODULE FOLDER         writes the JavaScript half of the border and the module that it loads
//! hither-bench-plain-yrs measure WORK SIZE FILE     prints milliseconds; FILE is what client/node.mjs has recorded
//! ```
#![forbid(unsafe_code)]

use cpu_time::ThreadTime;
use hither_bench_plain_yrs::document::Document;
use serde::Deserialize;
use std::error::Error;
use std::fs;
use std::path::Path;

/// How much of everything, as in client/work.mjs.
#[derive(Deserialize)]
struct Size {
    items: u32,
    sets: u32,
    reads: u32,
}

#[derive(Deserialize)]
struct Recorded {
    base: usize,
    lengths: Vec<usize>,
    text: Length,
    nested: Length,
    end: String,
    edits: Vec<(u32, u32, String)>,
}

#[derive(Deserialize)]
struct Length {
    length: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bind", module, folder] => bind(Path::new(module), Path::new(folder)),
        ["measure", work, size, file] => {
            let recorded = serde_json::from_slice(&fs::read(format!("{file}.json"))?)?;
            println!("{}", measure(work, &serde_json::from_str(size)?, &recorded, &fs::read(file)?));
            Ok(())
        }
        _ => Err("usage: hither-bench-plain-yrs bind MODULE FOLDER | measure WORK SIZE FILE".into()),
    }
}

fn bind(module: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(module).out_name("plain_yrs").web(true)?.typescript(false);
    bindgen.remove_name_section(true).remove_producers_section(true);
    Ok(bindgen.generate(folder)?)
}

/// Milliseconds of one work, of one keystroke for `remote`. Every document is compared with what it should be.
fn measure(work: &str, size: &Size, recorded: &Recorded, bytes: &[u8]) -> f64 {
    let Size { items, sets, reads } = *size;
    let mut at = 0;
    let mut take = |length: usize| {
        at += length;
        &bytes[at - length..at]
    };
    let base = take(recorded.base);
    let updates: Vec<&[u8]> = recorded.lengths.iter().map(|length| take(*length)).collect();
    let text = take(recorded.text.length);
    let nested = take(recorded.nested.length);

    let document = Document::default();
    match work {
        "typed" => {
            let ms = timed(|| {
                for (at, deleted, inserted) in &recorded.edits {
                    document.splice(*at, *deleted, inserted);
                }
            });
            assert_eq!(document.text(), recorded.end);
            assert_eq!(document.updates() as usize, recorded.edits.len());
            ms
        }
        "remote" => {
            document.apply(base);
            document.listen();
            let ms = timed(|| updates.iter().for_each(|update| document.apply(update)));
            assert_eq!(document.text(), recorded.end);
            assert_eq!(document.heard() as usize, updates.len());
            ms / updates.len() as f64
        }
        "createEach" => {
            let ms = timed(|| (0..items).for_each(|index| document.push(index, 1)));
            assert_eq!((document.len(), document.updates()), (items, items));
            ms
        }
        "createOnce" => {
            let ms = timed(|| document.push(0, items));
            assert_eq!((document.len(), document.updates()), (items, 1));
            ms
        }
        "setEach" => {
            document.push(0, items);
            let ms = timed(|| (0..sets).for_each(|value| document.set(value, 1)));
            assert!(document.has_count((sets - 1) % items, sets - 1));
            ms
        }
        "setOnce" => {
            document.push(0, items);
            let ms = timed(|| document.set(0, sets));
            assert!(document.has_count((sets - 1) % items, sets - 1));
            ms
        }
        "plain" | "changeAndPlain" => {
            document.push(0, items);
            let with_change = work == "changeAndPlain";
            let mut times: Vec<f64> = (0..reads)
                .map(|index| {
                    if !with_change {
                        document.set(index, 1);
                    }
                    timed(|| {
                        if with_change {
                            document.set(index, 1);
                        }
                        std::hint::black_box(document.plain());
                    })
                })
                .collect();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        }
        "loadText" => {
            let ms = timed(|| {
                document.apply(text);
                std::hint::black_box(document.text());
            });
            assert_eq!(document.text(), recorded.end);
            ms
        }
        "loadItems" => {
            let ms = timed(|| document.apply(nested));
            assert_eq!(document.len(), items);
            ms
        }
        other => panic!("no work is called {other}"),
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let begin = ThreadTime::now();
    work();
    begin.elapsed().as_secs_f64() * 1e3
}
