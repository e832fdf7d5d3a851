//! The Hither client in a browser: a thin shell that carries facts to the core and fulfils its wishes.
//!
//! | file | noun |
//! |---|---|
//! | [`engine`] | the class that JavaScript sees |
//! | [`shell`] | facts in, wishes fulfilled, events delivered, in order |
//! | [`event`] | core events as JavaScript values |
//! | [`database`] | the IndexedDB handle: opened, lost, reopened |
//! | [`rows`] | the object stores, what one load reads and one batch writes |
//! | [`socket`] | one WebSocket attempt |
//! | [`lifecycle`] | the page's life as hints |
//! | [`host`] | clock, timers, randomness of any JavaScript host |
//! | [`fault`] | errors and panics on their way to JavaScript |
//!
//! No rule about syncing lives here. It runs in a page, in a worker and in Node; what a host lacks is reported to the
//! core as a failure of the network or of the storage, and the core says so in the status.
#![forbid(unsafe_code)]

mod database;
mod engine;
mod event;
mod fault;
mod host;
mod lifecycle;
mod rows;
mod shell;
mod socket;
