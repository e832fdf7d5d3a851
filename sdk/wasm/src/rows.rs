//! What stands in the database, and the two transactions over it: one that reads a room, one that writes a batch.
//!
//! | object store | key | value |
//! |---|---|---|
//! | `meta` | room | bytes |
//! | `updates` | `[room, row]` | bytes, then `row` |
//! | `outbox` | `[room, row]` | bytes, then `row` |
//! | `life-…` | | none: its name says which life of the database this is |
//!
//! `row` is a binary key, three big-endian u64: at, writer, n. Numbers would lose the writers above 2^53, and bytes
//! compare as the core orders them, so a `getAll` over a room's range comes in key order. The value repeats it, because
//! asking for the keys as well makes a load of 10,000 rows twice as long (191 against 87 ms in Chromium; with keys of
//! numbers 131). What the bytes mean is the core's business.
//!
//! Nothing is awaited while a transaction runs but its own end: one that has no pending request at the end of a task is
//! over.

use hither_core::storage::{RowKey, StorageError, StorageErrorKind, Stored, Write};
use hither_core::time::Millis;
use hither_core::{BatchId, RoomId};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{IdbDatabase, IdbKeyRange, IdbObjectStore, IdbRequest, IdbTransaction};

use crate::event::object;
use crate::fault::{name_of, text_of};
use crate::host::{promise, property, within};

/// Raised when the table above changes; the version of the database.
pub(crate) const FORMAT: u32 = 1;
const META: &str = "meta";
const UPDATES: &str = "updates";
const OUTBOX: &str = "outbox";
pub(crate) const STORES: [&str; 3] = [META, UPDATES, OUTBOX];

/// Backing stores have been seen to answer never. An honest answer takes milliseconds, a second or two under heavy load,
/// and for 100,000 rows on a slow phone some more. One that comes after all does no harm: keys are unique and every batch
/// may be written twice.
const PATIENCE_MS: u32 = 20_000;

/// What `complete` of a transaction means.
///
/// Relaxed: handed to the operating system. It survives the end of the tab, of its process and of the whole browser, which
/// is what `.local` promises, at twice the speed; what a power cut takes from the last moments, the relay or another device
/// mostly has. Strict: flushed to the disk as well.
#[derive(Clone, Copy)]
pub(crate) enum Durability {
    Relaxed,
    Strict,
}

/// What is wanted of the database.
pub(crate) enum Job {
    /// Everything that is stored of one room.
    Load { room: RoomId, name: String },
    /// A batch: all of it or nothing.
    Store { batch: BatchId, writes: Vec<Write> },
}

/// A transaction under way, and the meta, updates and outbox that it has been asked for.
pub(crate) struct Running {
    transaction: IdbTransaction,
    asked: Option<[IdbRequest; 3]>,
}

/// Begins the one transaction that a job takes.
pub(crate) fn start(
    database: &IdbDatabase,
    job: &Job,
    durability: Durability,
) -> Result<Running, StorageError> {
    let transaction = transaction(database, job, durability).map_err(|error| storage_error(&error))?;
    match ask(&transaction, job) {
        Ok(asked) => Ok(Running { transaction, asked }),
        Err(error) => {
            // Already over if this fails, which is as good.
            let _ = transaction.abort();
            Err(storage_error(&error))
        }
    }
}

fn ask(transaction: &IdbTransaction, job: &Job) -> Result<Option<[IdbRequest; 3]>, JsValue> {
    let meta = transaction.object_store(META)?;
    let updates = transaction.object_store(UPDATES)?;
    let outbox = transaction.object_store(OUTBOX)?;
    match job {
        Job::Load { name, .. } => {
            let range = room_range(name)?;
            let asked = [
                meta.get(&JsValue::from_str(name))?,
                updates.get_all_with_key(&range)?,
                outbox.get_all_with_key(&range)?,
            ];
            Ok(Some(asked))
        }
        Job::Store { writes, .. } => {
            for write in writes {
                match write {
                    Write::PutUpdates { room, key, pack } => put_row(&updates, room, key, pack)?,
                    Write::DeleteUpdates { room, key } => updates.delete(&row_key(room, key))?,
                    Write::PutOutbox { room, key, update } => put_row(&outbox, room, key, update)?,
                    Write::DeleteOutbox { room, key } => outbox.delete(&row_key(room, key))?,
                    Write::PutMeta { room, meta: value } => put(&meta, &JsValue::from_str(room), value)?,
                };
            }
            // Saves the round trip in which the browser learns that no request follows. Older ones lack it, and find out.
            let _ = transaction.unchecked_ref::<Committing>().commit();
            Ok(None)
        }
    }
}

#[wasm_bindgen]
extern "C" {
    // web-sys keeps the options argument, and with it durability, behind its unstable flag, and calls commit deprecated.
    type Durable;
    type Committing;
    #[wasm_bindgen(method, catch)]
    fn transaction(
        this: &Durable,
        stores: &Array,
        mode: &str,
        options: &JsValue,
    ) -> Result<IdbTransaction, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn commit(this: &Committing) -> Result<(), JsValue>;
}

fn transaction(database: &IdbDatabase, job: &Job, durability: Durability) -> Result<IdbTransaction, JsValue> {
    let mode = match job {
        Job::Load { .. } => "readonly",
        Job::Store { .. } => "readwrite",
    };
    let durability = match durability {
        Durability::Relaxed => "relaxed",
        Durability::Strict => "strict",
    };
    let options = object(&[("durability", JsValue::from_str(durability))]);
    let stores: Array = STORES.iter().map(|store| JsValue::from_str(store)).collect();
    database.unchecked_ref::<Durable>().transaction(&stores, mode, &options)
}

impl Running {
    /// The end of the transaction: everything on disk, or the error that undid it.
    pub(crate) async fn ended(&self) -> Result<(), StorageError> {
        let (end, over) = promise();
        self.transaction.set_oncomplete(Some(&over));
        self.transaction.set_onabort(Some(&over));
        let event = within(PATIENCE_MS, &end).await;
        match property(&event, "type").and_then(|kind| kind.as_string()).as_deref() {
            Some("complete") => Ok(()),
            Some(_) => Err(match self.transaction.error() {
                Some(error) => storage_error(&error),
                None => closed("the transaction was aborted"),
            }),
            None => Err(closed("the database did not answer in time")),
        }
    }

    /// What a load has found; nothing after a batch.
    pub(crate) fn stored(&self) -> Result<Stored, StorageError> {
        let Some([meta, updates, outbox]) = &self.asked else { return Ok(Stored::default()) };
        let meta = answer(meta)?;
        Ok(Stored {
            meta: if meta.is_undefined() { None } else { Some(bytes(meta)?) },
            updates: rows(updates)?,
            outbox: rows(outbox)?,
        })
    }
}

fn put(store: &IdbObjectStore, key: &JsValue, value: &[u8]) -> Result<IdbRequest, JsValue> {
    // A copy of its own: cloning a view would clone the whole memory behind it.
    store.put_with_key(&Uint8Array::from(value), key)
}

fn put_row(store: &IdbObjectStore, room: &str, key: &RowKey, value: &[u8]) -> Result<IdbRequest, JsValue> {
    put(store, &row_key(room, key), &[value, &row(key)].concat())
}

fn row_key(room: &str, key: &RowKey) -> JsValue {
    Array::of2(&JsValue::from_str(room), &Uint8Array::from(row(key).as_slice())).into()
}

const ROW_BYTES: usize = 24;

fn row(key: &RowKey) -> [u8; ROW_BYTES] {
    let mut row = [0; ROW_BYTES];
    row[..8].copy_from_slice(&key.at.0.to_be_bytes());
    row[8..16].copy_from_slice(&key.writer.to_be_bytes());
    row[16..].copy_from_slice(&key.n.to_be_bytes());
    row
}

/// The rows that a `getAll` gave.
fn rows(request: &IdbRequest) -> Result<Vec<(RowKey, Vec<u8>)>, StorageError> {
    let values: Array = answer(request)?.unchecked_into();
    let split = |value| {
        let mut bytes = bytes(value)?;
        let row: [u8; ROW_BYTES] =
            *bytes.last_chunk().ok_or_else(|| corrupt("a row is shorter than its key"))?;
        bytes.truncate(bytes.len() - ROW_BYTES);
        let word = |at: usize| row[at..at + 8].iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        Ok((RowKey { at: Millis(word(0)), writer: word(8), n: word(16) }, bytes))
    };
    values.iter().map(split).collect()
}

/// All rows of a room: an array sorts after every binary key, and a shorter key before the longer ones.
fn room_range(room: &str) -> Result<IdbKeyRange, JsValue> {
    let room = JsValue::from_str(room);
    IdbKeyRange::bound(&Array::of1(&room), &Array::of2(&room, &Array::new()))
}

fn answer(request: &IdbRequest) -> Result<JsValue, StorageError> {
    request.result().map_err(|error| storage_error(&error))
}

fn bytes(value: JsValue) -> Result<Vec<u8>, StorageError> {
    match value.dyn_into::<Uint8Array>() {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(_) => Err(corrupt("a row is not bytes")),
    }
}

/// An exception of the database in the core's words.
pub(crate) fn storage_error(error: &JsValue) -> StorageError {
    let kind = match name_of(error).as_str() {
        "QuotaExceededError" => StorageErrorKind::Quota,
        // Chromium's words for rows whose bytes are gone or unreadable.
        "DataError" | "NotReadableError" | "DataCloneError" => StorageErrorKind::Corrupt,
        "SecurityError" | "VersionError" | "NotSupportedError" => StorageErrorKind::Unavailable,
        _ => StorageErrorKind::Closed,
    };
    StorageError { cause: text_of(error), kind }
}

pub(crate) fn closed(cause: &str) -> StorageError {
    StorageError { cause: cause.into(), kind: StorageErrorKind::Closed }
}

pub(crate) fn absent(cause: &str) -> StorageError {
    StorageError { cause: cause.into(), kind: StorageErrorKind::Absent }
}

pub(crate) fn corrupt(cause: &str) -> StorageError {
    StorageError { cause: cause.into(), kind: StorageErrorKind::Corrupt }
}
