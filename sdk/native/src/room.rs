//! An open room.

use crate::actor::{Ask, Command};
use crate::draft::{ChangeError, Draft, value_at};
use crate::path::IntoPath;
use crate::receipt::{Progress, Receipt};
use crate::{Closed, ReceiptError};
use hither_core::edit::{Node, Op};
use hither_core::presence::Presence;
use hither_core::status::{Connection, Edits, Status};
use hither_core::time::Millis;
use hither_core::value::Value;
use hither_core::{Client as Core, RoomError, RoomId};
use hither_protocol::ids::Cursor;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// An open room. Cheap to clone; all clones are the same room. It stays open until [`Room::close`] or until the
/// client ends, whether handles are dropped or not.
#[derive(Clone)]
pub struct Room {
    id: RoomId,
    name: Arc<str>,
    commands: mpsc::Sender<Command>,
    facts: Arc<Facts>,
}

/// What the actor publishes about a room.
pub(crate) struct Facts {
    pub(crate) status: watch::Sender<Status>,
    pub(crate) presence: watch::Sender<Presence>,
    pub(crate) progress: watch::Sender<Progress>,
    /// Counts changes of the state, of whoever.
    pub(crate) version: watch::Sender<u64>,
    pub(crate) notices: broadcast::Sender<Notice>,
}

/// What happened to a room besides changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something went wrong that no call can report: a relay that breaks the protocol, a damaged row on disk.
    Error(RoomError),
    /// The relay refuses these edits; they stay on this device.
    Refused {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
        /// The relay's code.
        code: u16,
        /// The relay's reason.
        message: String,
    },
}

/// Why a room will not get in sync by waiting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// The relay does not let this client in, or wants another token or another version of it.
    #[error("the relay does not let this client in: {0}")]
    Denied(String),
    /// The room or the client was closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Room {
    pub(crate) fn new(
        id: RoomId,
        name: Arc<str>,
        commands: mpsc::Sender<Command>,
        facts: Arc<Facts>,
    ) -> Self {
        Self { id, name, commands, facts }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    // ---- reading

    /// The whole state.
    pub async fn state(&self) -> Result<Value, Closed> {
        let id = self.id;
        self.ask(move |core, _| core.state(id)).await?.ok_or(Closed)
    }

    /// What is at a path; `None` if nothing is.
    pub async fn get(&self, path: impl IntoPath) -> Result<Option<Value>, Closed> {
        let (id, path) = (self.id, path.into_path());
        self.ask(move |core, _| value_at(core, id, &path)).await
    }

    /// The state whenever it has changed.
    pub fn watch(&self) -> Changes {
        Changes { room: self.clone(), version: self.facts.version.subscribe() }
    }

    /// The whole document as one Yjs update (v1), for [`Room::import`] and for every other Yjs program.
    pub async fn export(&self) -> Result<Vec<u8>, Closed> {
        let id = self.id;
        self.ask(move |core, _| core.export(id)).await?.ok_or(Closed)
    }

    // ---- writing

    /// Makes a change: everything that the closure does to the draft as one transaction, or nothing if it fails. The
    /// closure runs on the client's task: it should do nothing else that takes time.
    pub async fn change(
        &self,
        recipe: impl FnOnce(&mut Draft<'_>) -> Result<(), ChangeError> + Send + 'static,
    ) -> Result<Receipt, ChangeError> {
        let id = self.id;
        self.edit(move |core, now| {
            core.plant(now, id);
            let mut draft = Draft::new(core, id);
            recipe(&mut draft)?;
            let ops = draft.into_ops();
            Ok(core.change(now, id, &ops)?.edit)
        })
        .await
    }

    /// Applies operations of the core as one transaction: the way for programs that make very many edits.
    pub async fn apply(&self, ops: Vec<Op>) -> Result<Receipt, ChangeError> {
        let id = self.id;
        self.edit(move |core, now| {
            core.plant(now, id);
            Ok(core.change(now, id, &ops)?.edit)
        })
        .await
    }

    /// The handle of the container at a path, for [`Room::apply`].
    pub async fn node(&self, path: impl IntoPath) -> Result<Option<Node>, Closed> {
        let (id, path) = (self.id, path.into_path());
        let find = move |core: &mut Core, now| {
            core.plant(now, id);
            Draft::new(core, id).node(&path)
        };
        self.ask(find).await
    }

    /// Makes a Yjs update (v1) from elsewhere a local edit.
    pub async fn import(&self, update: Vec<u8>) -> Result<Receipt, ChangeError> {
        let id = self.id;
        self.edit(move |core, now| Ok(core.import(now, id, &update)?.edit)).await
    }

    /// Resolves when everything that was changed here until now is durable on the relay.
    pub async fn saved(&self) -> Result<(), ReceiptError> {
        let edits = self.edits().await.map_err(|_| ReceiptError::Closed)?;
        self.receipt(edits.made).server().await
    }

    /// How far this room's edits have come.
    pub async fn edits(&self) -> Result<Edits, Closed> {
        let id = self.id;
        self.ask(move |core, _| core.edits(id)).await?.ok_or(Closed)
    }

    /// How far the relay's log is in this room's document; `None` before the room was ever joined.
    pub async fn cursor(&self) -> Result<Option<Cursor>, Closed> {
        let id = self.id;
        self.ask(move |core, _| core.cursor(id)).await
    }

    // ---- status and people

    /// What is true now about the connection, this device's copy and the relay's copy.
    pub fn status(&self) -> Status {
        self.facts.status.borrow().clone()
    }

    /// The same, to be awaited.
    pub fn statuses(&self) -> watch::Receiver<Status> {
        self.facts.status.subscribe()
    }

    /// Resolves when the room has everything that the relay has. Without a relay it waits: give it a time limit.
    pub async fn synced(&self) -> Result<(), SyncError> {
        let mut statuses = self.statuses();
        let status = statuses
            .wait_for(|status| {
                matches!(
                    status.connection,
                    Connection::Online
                        | Connection::Denied { .. }
                        | Connection::NeedsAuth { .. }
                        | Connection::UpdateRequired { .. }
                ) || self.facts.progress.borrow().is_closed
            })
            .await
            .map_err(|_| Closed)?;
        match &status.connection {
            Connection::Online => Ok(()),
            Connection::Denied { reason }
            | Connection::NeedsAuth { reason }
            | Connection::UpdateRequired { reason } => Err(SyncError::Denied(reason.clone())),
            _ => Err(Closed.into()),
        }
    }

    /// Shows this to the others, a JSON text of at most 4 KiB; `None` hides it.
    pub async fn set_presence(&self, state: Option<String>) -> Result<(), ChangeError> {
        let id = self.id;
        Ok(self.ask(move |core, now| core.set_presence(now, id, state)).await??)
    }

    /// Who else is here.
    pub fn presence(&self) -> Presence {
        self.facts.presence.borrow().clone()
    }

    /// The same, to be awaited.
    pub fn presences(&self) -> watch::Receiver<Presence> {
        self.facts.presence.subscribe()
    }

    /// Errors and refusals, from now on. A reader that is more than 64 behind misses the oldest.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.facts.notices.subscribe()
    }

    /// Leaves the room; resolves when everything is on this device's disk. Changes that the relay does not have yet
    /// are sent when the room is opened again.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.commands.send(Command::CloseRoom { room: self.id, reply }).await.is_ok() {
            // An error: the whole client is gone, and the room with it.
            let _ = closed.await;
        }
    }

    // ---- how

    fn receipt(&self, edit: u64) -> Receipt {
        Receipt::new(edit, self.facts.progress.subscribe())
    }

    async fn edit(
        &self,
        act: impl FnOnce(&mut Core, Millis) -> Result<u64, ChangeError> + Send + 'static,
    ) -> Result<Receipt, ChangeError> {
        let edit = self.ask(act).await??;
        if edit != 0 {
            self.facts.version.send_modify(|version| *version += 1);
        }
        Ok(self.receipt(edit))
    }

    async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Core, Millis) -> T + Send + 'static,
    ) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        let ask: Ask = Box::new(move |core, now| {
            let answer = act(core, now);
            // Nobody may wait for it any more: the deed is done all the same.
            Box::new(move || drop(reply.send(answer)))
        });
        self.commands.send(Command::Ask(ask)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("name", &self.name).field("status", &self.status()).finish()
    }
}

/// The states of a room, each when it is asked for and newer than the last one. A slow reader skips what lies between.
#[derive(Debug)]
pub struct Changes {
    room: Room,
    version: watch::Receiver<u64>,
}

impl Changes {
    /// The state after the next change; `None` when the room is closed.
    pub async fn next(&mut self) -> Option<Value> {
        self.changed().await?;
        self.room.state().await.ok()
    }

    /// Resolves after the next change, without reading the state; `None` when the room is closed.
    pub async fn changed(&mut self) -> Option<()> {
        let mut progress = self.room.facts.progress.subscribe();
        tokio::select! {
            changed = self.version.changed() => changed.ok(),
            _ = progress.wait_for(|progress| progress.is_closed) => None,
        }
    }
}
