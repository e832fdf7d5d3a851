//! Works on a file store and says what it acknowledged: `system-ledger DIR APPENDS synced|relaxed`.
#![forbid(unsafe_code)]

use hither_system_tests::ledger;
use std::path::Path;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, appends, durability] = &arguments[..] else {
        return Err("system-ledger DIR APPENDS synced|relaxed".into());
    };
    ledger::work(Path::new(dir), appends.parse()?, durability == "relaxed").await
}
