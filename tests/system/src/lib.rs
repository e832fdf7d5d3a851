//! What the system tests are told with: relays as processes and in this process, people with Hither clients, a wire
//! that counts and cuts, a client without manners, and recorded histories.
//!
//! | file | noun |
//! |---|---|
//! | [`process`] | a relay as a process of its own, to be killed, or to be watched by `system-recorder` |
//! | [`node`] | a relay inside the test |
//! | [`people`] | Hither clients and what tests say about them |
//! | [`writer`] | people who write without pause and remember what was acknowledged |
//! | [`wire`] | a TCP proxy that counts bytes, delays, cuts, goes silent and reconnects |
//! | [`delay`] | a wire that delivers what the test says, when it says so |
//! | [`record`] | what a program did to a directory, as `system-recorder` saw it |
//! | [`disk`] | a disk that can lose its power |
//! | [`ledger`] | known work on a file store, and what it may demand afterwards |
//! | [`raw`] | a client that speaks frames, and the log as such a client reads it |
//! | [`history`] | editing histories, recorded or generated |
//! | [`typing`] | authors who type them |
//!
//! Every wait has an end: what does not happen within [`people::PATIENCE`] fails the test with a sentence.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

pub mod delay;
pub mod disk;
pub mod history;
pub mod ledger;
pub mod node;
pub mod people;
pub mod process;
pub mod raw;
pub mod record;
pub mod typing;
pub mod wire;
pub mod writer;
