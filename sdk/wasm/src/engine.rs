//! The class that JavaScript sees. Arguments are checked and converted here, and nothing else happens here.

use std::rc::Rc;

use hither_core::{ChangeError, Config, OpenError, OpenOptions, RoomId, packet};
use js_sys::futures::JsFuture;
use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;

use crate::database::Database;
use crate::event::plain;
use crate::fault::{self, fault};
use crate::host::{self, promise, property, settle, spawn};
use crate::rows::Durability;
use crate::shell::{Shell, Storage};

/// One client: a connection, a database, any number of open rooms.
///
/// The sink hears `(room, kind, payload)`; kinds and payloads are listed in `event.rs`. Methods throw an `Error` with a
/// `code`. After a panic the sink hears `error` with code `panic` once, with room -1, and every method throws that code.
#[wasm_bindgen]
pub struct Engine {
    shell: Rc<Shell>,
    token: Vec<u8>,
}

/// What an app may say of a client, each under its own name. Read one by one: these few words need no general reader,
/// which brings the printing of every kind of number with it, for its errors.
struct Options(JsValue);

impl Options {
    /// `None` for an option that is not given; one of another type cannot work.
    fn get<T>(&self, name: &str, read: impl Fn(&JsValue) -> Option<T>) -> Result<Option<T>, JsValue> {
        let Some(value) = property(&self.0, name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| bad_option(name))
    }

    fn text(&self, name: &str, default: &str) -> Result<String, JsValue> {
        Ok(self.get(name, JsValue::as_string)?.unwrap_or_else(|| default.into()))
    }

    /// Whether the second of two words is chosen; the first is the default.
    fn is_second(&self, name: &str, words: [&str; 2]) -> Result<bool, JsValue> {
        let word = self.text(name, words[0])?;
        if words.contains(&word.as_str()) { Ok(word == words[1]) } else { Err(bad_option(name)) }
    }
}

fn bad_option(name: &str) -> JsValue {
    fault("bad-option", &(name.to_owned() + ": not what this option takes"))
}

#[wasm_bindgen]
impl Engine {
    /// Starts a client: `{ url, database?, name?, storage?, durability?, token?, connect? }`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue, sink: Function) -> Result<Engine, JsValue> {
        if fault::is_crashed() {
            return Err(fault::crashed());
        }
        let options = Options(options);
        let url = options.text("url", "")?;
        let database = options.text("database", "hither")?;
        let name = options.text("name", concat!("hither-wasm/", env!("CARGO_PKG_VERSION")))?;
        let token = options.text("token", "")?.into_bytes();
        let is_memory = options.is_second("storage", ["indexeddb", "memory"])?;
        let is_strict = options.is_second("durability", ["relaxed", "strict"])?;
        let connect = options.get("connect", JsValue::as_bool)?.unwrap_or(true);
        let storage = if is_memory {
            Storage::Memory
        } else {
            let durability = if is_strict { Durability::Strict } else { Durability::Relaxed };
            Storage::IndexedDb(Database::new(database, durability))
        };
        let config = Config { name, seed: host::seed(), connect, now: host::now() };
        let shell = Shell::new(config, url, storage, sink);
        fault::tell_panics_to(Rc::downgrade(&shell));
        shell.call(|_, _| ())?;
        Ok(Engine { shell, token })
    }

    /// Opens a room and returns its number; `ready` follows. `initial` is a packet with one map value, or empty.
    pub fn open(&self, name: &str, initial: &[u8]) -> Result<u32, JsValue> {
        let initial = match initial {
            [] => None,
            packet => {
                Some(packet::decode_value(packet).map_err(|error| fault("bad-value", &error.to_string()))?)
            }
        };
        let options = OpenOptions { initial, token: self.token.clone() };
        let room = self.shell.call(|client, now| client.open(now, name, options))?.map_err(open_fault)?;
        self.shell.opened(room);
        Ok(room.0)
    }

    /// Plants the initial content of a room that is still empty. What the sink has not heard yet it hears before this
    /// returns: operations that are put together now name places in the room as it is.
    pub fn plant(&self, room: u32) {
        self.shell.fact(|client, now| client.plant(now, RoomId(room)));
    }

    /// Applies a packet of operations as one transaction. Returns the number of the edit, a little-endian float of
    /// 8 bytes, and behind it the patch: each object that crosses the border costs as much as the edit itself.
    pub fn change(&self, room: u32, ops: &[u8]) -> Result<Vec<u8>, JsValue> {
        let ops = packet::decode_ops(ops).map_err(|error| fault("bad-edit", &error.to_string()))?;
        let change =
            self.shell.call(|client, now| client.change(now, RoomId(room), &ops))?.map_err(change_fault)?;
        Ok([&(change.edit as f64).to_le_bytes()[..], &change.patch].concat())
    }

    /// Sets what others in the room see of us, as JSON text; `undefined` takes it away.
    pub fn presence(&self, room: u32, json: Option<String>) -> Result<(), JsValue> {
        self.shell.call(|client, now| client.set_presence(now, RoomId(room), json))?.map_err(change_fault)
    }

    /// The way to the relay, whatever it says of one room or another: the first part of a `status`.
    pub fn connection(&self) -> Result<JsValue, JsValue> {
        Ok(plain(&self.shell.client()?.connection()))
    }

    /// Connects, and stays connected.
    pub fn connect(&self) -> Result<(), JsValue> {
        self.shell.call(|client, now| client.set_connect(now, true))
    }

    /// Cuts the connection until [`Engine::connect`].
    pub fn disconnect(&self) -> Result<(), JsValue> {
        self.shell.call(|client, now| client.set_connect(now, false))
    }

    /// Writes what is unwritten and closes a room; resolves after its `closed`.
    pub fn close_room(&self, room: u32) -> Result<Promise, JsValue> {
        self.shell.close_room(RoomId(room))
    }

    /// Closes every room, the connection and the database. `free()` comes after.
    pub fn close(&self) -> Result<Promise, JsValue> {
        let closing = Array::new();
        for room in self.shell.open_rooms() {
            closing.push(self.shell.close_room(room)?.as_ref());
        }
        let shell = self.shell.clone();
        let (closed, resolve) = promise();
        spawn(Box::pin(async move {
            // None of them rejects.
            let _ = JsFuture::from(Promise::all(&closing)).await;
            match shell.call(|client, now| client.set_connect(now, false)) {
                Ok(()) => {
                    shell.shut();
                    settle(&resolve);
                }
                Err(error) => {
                    let _ = resolve.call1(&JsValue::NULL, &Promise::reject(&error));
                }
            }
        }));
        Ok(closed)
    }
}

fn open_fault(error: OpenError) -> JsValue {
    let code = match error {
        OpenError::Name(_) | OpenError::TokenTooLong { .. } => "bad-option",
        OpenError::AlreadyOpen => "already-open",
        OpenError::InitialIsNoMap => "bad-value",
        OpenError::Initial(error) => return change_fault(error),
    };
    fault(code, &error.to_string())
}

fn change_fault(error: ChangeError) -> JsValue {
    let code = match error {
        ChangeError::NotOpen => "closed",
        ChangeError::NotReady => "not-ready",
        ChangeError::TooLarge { .. } => "too-large",
        ChangeError::Edit(_) => "bad-edit",
        ChangeError::Malformed(_) => "bad-value",
    };
    fault(code, &error.to_string())
}
