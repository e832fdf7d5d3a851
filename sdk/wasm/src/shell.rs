//! The shell around one client: every fact goes in here, every wish comes out here.
//!
//! ```text
//!  fact ──► client.handle_* ──► poll_wish until none ──► timer ──► wishes ──► events ──► sink
//!           └── borrowed ─────────────────────────┘      └── not borrowed: anything may call back ──┘
//! ```
//!
//! JavaScript never runs while the client is borrowed. It may call back from wherever it does run (the sink is app code
//! in the end); then its wishes and events queue up behind the ones at work, and the outermost loop finishes them, so
//! order holds. Events that an engine method causes are delivered after it has returned, in a microtask: the caller must
//! first have what it asked for, or a nested call would see its patches in the wrong order.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use hither_core::time::Millis;
use hither_core::{Client, Config, Event, Hint, RoomId, SUBPROTOCOL, SocketId, Wish};
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

use crate::database::Database;
use crate::event::{Seen, told, trouble};
use crate::fault;
use crate::host::{self, Memory, Timer, promise, settle, spawn};
use crate::lifecycle::Lifecycle;
use crate::rows::{Job, absent};
use crate::socket::{Heard, Socket};

pub(crate) struct Shell {
    client: RefCell<Client>,
    url: String,
    sink: Function,
    storage: Storage,
    wishes: RefCell<VecDeque<Wish>>,
    fulfilling: Cell<bool>,
    events: RefCell<VecDeque<(RoomId, Event)>>,
    delivering: Cell<bool>,
    /// A microtask will deliver.
    is_delivery_due: Cell<bool>,
    // A list: there are few, and another kind of map costs the page kilobytes.
    rooms: RefCell<Vec<(RoomId, Room)>>,
    socket: RefCell<Option<(SocketId, Socket)>>,
    timer: Timer,
    memory: Memory,
    lifecycle: RefCell<Option<Lifecycle>>,
    me: Weak<Shell>,
}

/// Where rooms are kept.
pub(crate) enum Storage {
    IndexedDb(Database),
    /// Nowhere: rooms live as long as the engine, and the status says that nothing is saved here.
    Memory,
}

/// What the shell remembers of an open room.
#[derive(Default)]
struct Room {
    seen: Seen,
    /// Resolve functions of everybody who waits for the room to be closed.
    waiting: Vec<Function>,
}

impl Shell {
    pub(crate) fn new(config: Config, url: String, storage: Storage, sink: Function) -> Rc<Shell> {
        Rc::new_cyclic(|me: &Weak<Shell>| Shell {
            client: RefCell::new(Client::new(config)),
            url,
            sink,
            storage,
            wishes: RefCell::default(),
            fulfilling: Cell::new(false),
            events: RefCell::default(),
            delivering: Cell::new(false),
            is_delivery_due: Cell::new(false),
            rooms: RefCell::default(),
            socket: RefCell::default(),
            timer: Timer::new({
                let me = me.clone();
                move || {
                    if let Some(shell) = me.upgrade() {
                        shell.timer.spent();
                        shell.fact(|client, now| client.handle_timeout(now));
                    }
                }
            }),
            memory: Memory::default(),
            lifecycle: RefCell::new(Some(Lifecycle::listen({
                let me = me.clone();
                move |hint| {
                    if let Some(shell) = me.upgrade() {
                        shell.on_hint(hint);
                    }
                }
            }))),
            me: me.clone(),
        })
    }

    /// A fact from the platform. What it causes is delivered before this returns.
    pub(crate) fn fact(&self, tell: impl FnOnce(&mut Client, Millis)) {
        // After a panic platform events fall on deaf ears.
        if self.step(tell).is_ok() {
            self.deliver();
        }
    }

    /// A call of the app. What it causes is delivered after the app has its answer.
    pub(crate) fn call<T>(&self, tell: impl FnOnce(&mut Client, Millis) -> T) -> Result<T, JsValue> {
        let answer = self.step(tell)?;
        self.deliver_soon();
        Ok(answer)
    }

    fn deliver_soon(&self) {
        if self.events.borrow().is_empty() || self.delivering.get() || self.is_delivery_due.replace(true) {
            return;
        }
        let me = self.me.clone();
        spawn(Box::pin(async move {
            if let Some(shell) = me.upgrade() {
                shell.is_delivery_due.set(false);
                shell.deliver();
            }
        }));
    }

    // Generic code is in the page once for each of a dozen callers: it calls the rest.
    fn step<T>(&self, tell: impl FnOnce(&mut Client, Millis) -> T) -> Result<T, JsValue> {
        let mut client = self.client()?;
        let answer = tell(&mut client, host::now());
        self.after_step(client);
        Ok(answer)
    }

    pub(crate) fn client(&self) -> Result<RefMut<'_, Client>, JsValue> {
        if fault::is_crashed() {
            return Err(fault::crashed());
        }
        self.client.try_borrow_mut().map_err(|_| fault::crashed())
    }

    fn after_step(&self, mut client: RefMut<'_, Client>) {
        let mut wishes = self.wishes.borrow_mut();
        while let Some(wish) = client.poll_wish() {
            match wish {
                Wish::Event { room, event } => queue(&mut self.events.borrow_mut(), room, event),
                wish => wishes.push_back(wish),
            }
        }
        let deadline = client.poll_timeout();
        // What follows runs foreign code, which may call again.
        drop(wishes);
        drop(client);
        self.memory.keep_ahead();
        self.timer.set(deadline);
        self.fulfil();
    }

    fn fulfil(&self) {
        if self.fulfilling.replace(true) {
            return;
        }
        loop {
            let Some(wish) = self.wishes.borrow_mut().pop_front() else { break };
            match wish {
                Wish::Load { room, name } => self.ask(Job::Load { room, name }),
                Wish::Store { batch, writes } => self.ask(Job::Store { batch, writes }),
                Wish::Connect { socket } => self.connect(socket),
                Wish::Send { socket, message } => {
                    if let Some((current, open)) = &*self.socket.borrow()
                        && *current == socket
                    {
                        open.send(&message);
                    }
                }
                Wish::Disconnect { socket, code } => {
                    let gone = self.socket.borrow_mut().take_if(|(current, _)| *current == socket);
                    if let Some((_, open)) = gone {
                        open.abandon(code);
                    }
                }
                // Went to the other queue already.
                Wish::Event { .. } => {}
            }
        }
        self.fulfilling.set(false);
    }

    /// Hands over every waiting event, in order. What the sink's own calls cause joins the end of the queue.
    fn deliver(&self) {
        if self.delivering.replace(true) {
            return;
        }
        loop {
            let Some((id, event)) = self.events.borrow_mut().pop_front() else { break };
            let is_closed = matches!(event, Event::Closed);
            let (kind, payload) = match room_of(&mut self.rooms.borrow_mut(), id) {
                Some(room) => told(event, &mut room.seen),
                None => continue, // closed before
            };
            let told =
                self.sink.call3(&JsValue::NULL, &JsValue::from(id.0), &JsValue::from_str(kind), &payload);
            if let Err(thrown) = told {
                fault::report(&thrown);
            }
            if is_closed {
                let mut rooms = self.rooms.borrow_mut();
                let waiting = room_of(&mut rooms, id).map(|room| std::mem::take(&mut room.waiting));
                rooms.retain(|(room, _)| *room != id);
                drop(rooms);
                for resolve in waiting.unwrap_or_default() {
                    settle(&resolve);
                }
            }
        }
        self.delivering.set(false);
    }

    pub(crate) fn opened(&self, room: RoomId) {
        self.rooms.borrow_mut().push((room, Room::default()));
    }

    /// Resolves when the room's [`Event::Closed`] has been delivered; at once for a room that is not open.
    pub(crate) fn close_room(&self, room: RoomId) -> Result<Promise, JsValue> {
        let (closed, resolve) = promise();
        match room_of(&mut self.rooms.borrow_mut(), room) {
            Some(room) => room.waiting.push(resolve),
            None => settle(&resolve),
        }
        self.call(|client, now| client.close(now, room))?;
        Ok(closed)
    }

    pub(crate) fn open_rooms(&self) -> Vec<RoomId> {
        self.rooms.borrow().iter().map(|(id, _)| *id).collect()
    }

    /// Lets go of everything that the platform holds for us.
    pub(crate) fn shut(&self) {
        self.lifecycle.borrow_mut().take();
        self.timer.set(None);
        self.socket.borrow_mut().take();
        if let Storage::IndexedDb(database) = &self.storage {
            database.shut();
        }
    }

    /// Tells JavaScript what no room is at fault for; the room is then -1.
    pub(crate) fn tell_all(&self, code: &str, message: &str) {
        let payload = trouble(code, message);
        let _ =
            self.sink.call3(&JsValue::NULL, &JsValue::from_f64(-1.0), &JsValue::from_str("error"), &payload);
    }

    fn on_hint(&self, hint: Hint) {
        let wakes = matches!(hint, Hint::Visible | Hint::Online);
        self.fact(|client, now| {
            client.handle_hint(now, hint);
            // A hidden page's timers run late; its deadlines are looked at the moment it wakes.
            if wakes && client.poll_timeout().is_some_and(|deadline| deadline <= now) {
                client.handle_timeout(now);
            }
        });
    }

    /// Gives a job to the disk and the answer to the core.
    fn ask(&self, job: Job) {
        let me = self.me.clone();
        let database = match &self.storage {
            Storage::IndexedDb(database) => Some(database.clone()),
            Storage::Memory => None,
        };
        spawn(Box::pin(async move {
            let answer = match database {
                Some(database) => database.run(&job).await,
                // As an environment without IndexedDB answers: the core works on and tells the truth.
                None => Err(absent("this client keeps rooms in memory only")),
            };
            if let Some(shell) = me.upgrade() {
                shell.fact(|client, now| match job {
                    Job::Load { room, .. } => client.handle_loaded(now, room, answer),
                    Job::Store { batch, .. } => client.handle_stored(now, batch, answer.map(|_| ())),
                });
            }
        }));
    }

    fn connect(&self, id: SocketId) {
        let me = self.me.clone();
        let opened = Socket::open(&self.url, SUBPROTOCOL, move |heard| {
            if let Some(shell) = me.upgrade() {
                shell.on_heard(id, heard);
            }
        });
        match opened {
            // An older socket that is still here is dropped, and with that forgotten.
            Ok(socket) => *self.socket.borrow_mut() = Some((id, socket)),
            Err(reason) => {
                let me = self.me.clone();
                spawn(Box::pin(async move {
                    if let Some(shell) = me.upgrade() {
                        shell.on_heard(id, Heard::Closed(None, reason));
                    }
                }));
            }
        }
    }

    fn on_heard(&self, id: SocketId, heard: Heard) {
        if let Heard::Closed(..) = heard {
            self.socket.borrow_mut().take_if(|(current, _)| *current == id);
        }
        self.fact(|client, now| match heard {
            Heard::Opened => client.handle_connected(now, id),
            Heard::Message(bytes) => client.handle_message(now, id, Bytes::from(bytes)),
            Heard::Text => client.handle_text(now, id),
            Heard::Closed(code, reason) => client.handle_disconnected(now, id, code, &reason),
        });
    }
}

/// A status that nobody has heard gives way to a newer one: a loop of edits causes one for each.
fn queue(events: &mut VecDeque<(RoomId, Event)>, room: RoomId, event: Event) {
    if let Event::Status(_) = event
        && let Some((last, Event::Status(_))) = events.back()
        && *last == room
    {
        events.pop_back();
    }
    events.push_back((room, event));
}

fn room_of(rooms: &mut [(RoomId, Room)], id: RoomId) -> Option<&mut Room> {
    rooms.iter_mut().find(|(room, _)| *room == id).map(|(_, room)| room)
}
