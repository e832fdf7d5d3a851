//! The IndexedDB handle: one database for all rooms, opened when it is needed and reopened when it has died.
//!
//! A handle can die at any time (Safari in the background, a cleared site, another tab that upgrades):
//!
//! ```text
//!           open            opened                       close, versionchange, a failed transaction
//!  Closed ───────► Opening ────────► Open ──────────────────────────────────────► Closed
//!     ▲               │ failed                 shut, from anywhere ──► Shut (for good)
//!     └───────────────┘
//! ```
//!
//! Every operation opens when it must, and after a failure reopens and tries once more: retrying on the same handle is
//! what fails forever. A second failure goes to the core, which says "degraded" and comes back later. Nothing is
//! written on open.
//!
//! A database can also be deleted and made anew between two handles, by the user or by another tab, and then the core is
//! told once that what it has written is gone ([`StorageErrorKind::Corrupt`]). Each life of a database has a random name,
//! kept as the name of an empty object store: a handle tells it without any reading.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use hither_core::storage::{StorageError, StorageErrorKind, Stored};
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use web_sys::{Event, IdbDatabase, IdbFactory, IdbOpenDbRequest};

use crate::host::{promise, property, seed, settle, within};
use crate::rows::{self, Durability, FORMAT, Job, STORES, absent, closed, corrupt, storage_error};

/// Opening takes milliseconds, unless somebody blocks it or the browser is stuck. Then the room starts without the disk,
/// and what the disk has joins it later.
const OPEN_PATIENCE_MS: u32 = 5_000;

/// How the name of the store begins that names a life.
const LIFE: &str = "life-";

/// The rooms of this browser profile, on disk. Clones share one handle.
#[derive(Clone)]
pub(crate) struct Database(Rc<Inner>);

struct Inner {
    name: String,
    durability: Durability,
    handle: RefCell<Handle>,
    /// The life that the last handle belonged to.
    life: RefCell<Option<String>>,
    /// Another life has begun, and the core does not know yet.
    is_lost: Cell<bool>,
    /// Hears everything that happens to a request to open and to a handle. JavaScript's garbage collector has it: an
    /// answer may come when we are gone.
    listener: Function,
}

enum Handle {
    /// With the reason of the last failure, if opening failed.
    Closed(Option<StorageError>),
    /// The promise resolves, never rejects, when this state is over or has become hopeless.
    Opening(Promise, Function),
    Open(IdbDatabase),
    Shut,
}

impl Database {
    /// Names the database; opens nothing yet.
    pub(crate) fn new(name: String, durability: Durability) -> Database {
        Database(Rc::new_cyclic(|me: &Weak<Inner>| {
            let me = me.clone();
            let listener = Closure::<dyn FnMut(Event)>::new(move |event: Event| match me.upgrade() {
                Some(inner) => inner.hear(&event),
                None => close_late(&event),
            });
            Inner {
                name,
                durability,
                handle: RefCell::new(Handle::Closed(None)),
                life: RefCell::default(),
                is_lost: Cell::new(false),
                listener: listener.into_js_value().unchecked_into(),
            }
        }))
    }

    /// Reads everything that is stored of one room, or writes a batch: in one transaction, all of it or nothing.
    pub(crate) async fn run(&self, job: &Job) -> Result<Stored, StorageError> {
        let mut is_second = false;
        loop {
            let database = self.0.opened().await?;
            let result = self.0.run(&database, job).await;
            match &result {
                // A fresh handle gives no space, and no better bytes.
                Err(error)
                    if matches!(error.kind, StorageErrorKind::Closed | StorageErrorKind::Unavailable) =>
                {
                    self.0.discard(&database);
                }
                _ => return result,
            }
            if std::mem::replace(&mut is_second, true) {
                return result;
            }
        }
    }

    /// Closes the handle once its running transactions have ended, and refuses every later operation.
    pub(crate) fn shut(&self) {
        if let Handle::Open(database) = self.0.handle.replace(Handle::Shut) {
            close(&database);
        }
    }
}

impl Inner {
    async fn run(&self, database: &IdbDatabase, job: &Job) -> Result<Stored, StorageError> {
        // Before the batch: a cursor must not come to stand over rows that are gone.
        if let Job::Store { .. } = job
            && self.is_lost.replace(false)
        {
            return Err(corrupt("the database was deleted while it was in use"));
        }
        let running = rows::start(database, job, self.durability)?;
        running.ended().await?;
        running.stored()
    }

    /// An open handle; concurrent callers wait for the same one.
    async fn opened(&self) -> Result<IdbDatabase, StorageError> {
        let opening = match &mut *self.handle.borrow_mut() {
            Handle::Open(database) => return Ok(database.clone()),
            Handle::Shut => return Err(closed("the client is closed")),
            Handle::Opening(opening, _) => opening.clone(),
            state @ Handle::Closed(_) => {
                self.open()?;
                let (opening, over) = promise();
                *state = Handle::Opening(opening.clone(), over);
                opening
            }
        };
        within(OPEN_PATIENCE_MS, &opening).await;
        match &*self.handle.borrow() {
            Handle::Open(database) => Ok(database.clone()),
            Handle::Closed(Some(error)) => Err(error.clone()),
            Handle::Closed(None) => Err(closed("the database closed again at once")),
            Handle::Shut => Err(closed("the client is closed")),
            Handle::Opening(..) => {
                Err(unavailable("the database does not open: another tab may hold an older one"))
            }
        }
    }

    /// Asks for the database. Whatever comes of it is installed, even if the callers have lost patience by then.
    fn open(&self) -> Result<(), StorageError> {
        let factory: IdbFactory = property(&js_sys::global(), "indexedDB")
            .ok_or_else(|| absent("this environment has no IndexedDB"))?
            .unchecked_into();
        let request = factory.open_with_u32(&self.name, FORMAT).map_err(|error| open_error(&error))?;
        let listener = Some(&self.listener);
        request.set_onupgradeneeded(listener);
        request.set_onblocked(listener);
        request.set_onsuccess(listener);
        request.set_onerror(listener);
        Ok(())
    }

    fn hear(&self, event: &Event) {
        let Some(target) = event.target() else { return };
        match event.type_().as_str() {
            "upgradeneeded" => create_stores(target.unchecked_ref()),
            "blocked" => {
                if let Handle::Opening(_, over) = &*self.handle.borrow() {
                    settle(over);
                }
            }
            "success" | "error" => self.install(target.unchecked_ref()),
            // `versionchange`: another tab wants to upgrade or delete, and whoever holds on would block it. `close`: the
            // browser took the handle away, because site data was cleared or the backing store broke. The next
            // operation reopens.
            _ => self.discard(target.unchecked_ref()),
        }
    }

    fn install(&self, request: &IdbOpenDbRequest) {
        let next = match opened_database(request) {
            Ok((database, life)) => {
                let before = self.life.replace(Some(life.clone()));
                if before.is_some_and(|before| before != life) {
                    self.is_lost.set(true);
                }
                database.set_onversionchange(Some(&self.listener));
                database.set_onclose(Some(&self.listener));
                Handle::Open(database)
            }
            Err(error) => Handle::Closed(Some(error)),
        };
        let mut state = self.handle.borrow_mut();
        match (&*state, next) {
            (Handle::Shut, Handle::Open(database)) => close(&database),
            (Handle::Shut, _) => {}
            (_, next) => {
                if let Handle::Opening(_, over) = std::mem::replace(&mut *state, next) {
                    settle(&over);
                }
            }
        }
    }

    /// Gives up a handle; one that was replaced meanwhile stays.
    fn discard(&self, database: &IdbDatabase) {
        let mut state = self.handle.borrow_mut();
        if matches!(&*state, Handle::Open(open) if open == database) {
            *state = Handle::Closed(None);
            close(database);
        }
    }
}

fn close(database: &IdbDatabase) {
    database.set_onversionchange(None);
    database.set_onclose(None);
    database.close();
}

/// Whoever asked for this database is gone.
fn close_late(event: &Event) {
    if let Some(request) = event.target()
        && event.type_() == "success"
        && let Ok(database) = request.unchecked_ref::<IdbOpenDbRequest>().result()
    {
        database.unchecked_ref::<IdbDatabase>().close();
    }
}

fn create_stores(request: &IdbOpenDbRequest) {
    let Ok(database) = request.result() else { return };
    let database: &IdbDatabase = database.unchecked_ref();
    // A failure aborts the upgrade, and the request reports it.
    let _ = database.create_object_store(&(LIFE.to_owned() + &seed().to_string()));
    for store in STORES {
        let _ = database.create_object_store(store);
    }
}

/// The database that an open request has given, and its life.
fn opened_database(request: &IdbOpenDbRequest) -> Result<(IdbDatabase, String), StorageError> {
    if let Ok(Some(error)) = request.error() {
        return Err(open_error(&error));
    }
    let database: IdbDatabase = request.result().map_err(|error| open_error(&error))?.unchecked_into();
    let names = database.object_store_names();
    let life = (0..names.length()).filter_map(|at| names.item(at)).find(|name| name.starts_with(LIFE));
    match life {
        Some(life) if STORES.iter().all(|store| names.contains(store)) => Ok((database, life)),
        // Somebody else's database: deleting it is not ours to do.
        _ => {
            database.close();
            Err(unavailable("a database of this name holds something else: choose another name for ours"))
        }
    }
}

/// While opening nothing is lost yet: what is neither full nor damaged may be there later.
fn open_error(error: &JsValue) -> StorageError {
    let mut error = storage_error(error);
    if error.kind == StorageErrorKind::Closed {
        error.kind = StorageErrorKind::Unavailable;
    }
    error
}

fn unavailable(cause: &str) -> StorageError {
    StorageError { cause: cause.into(), kind: StorageErrorKind::Unavailable }
}
