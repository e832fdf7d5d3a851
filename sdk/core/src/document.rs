//! One room's document: this module and those below it are all of the SDK that knows the CRDT.
//!
//! Edits go in as [`Op`]s and come out as a Yjs update for the relay and a patch for the reader; updates of
//! others go in and come out as a patch. Both patches have the same form, so a reader that applies them in
//! order always equals the document.
//!
//! ```text
//!   ops ────► apply ──────► update (to outbox and relay)
//!                    └────► patch  (to the reader)
//!   updates ► integrate ──► patch
//! ```
//!
//! The state is a map whose containers are Yjs root types of the same names, because Yjs merges roots by name: two
//! people who both begin a list "todos" share one. Primitives beside them live in the root map with the empty
//! name. A root that was assigned keeps a marker there, so that it stays visible when it is empty.

mod check;
mod insertion;
mod nodes;
mod pending;
mod roots;
mod sequence;
#[cfg(test)]
mod tests;
mod texts;
mod typing;
mod write;
mod xml;

use crate::edit::{Node, Op, Step};
use crate::packet::PacketWriter;
use crate::value::{Shape, Value};
pub use check::EditError;
use hither_protocol::contents::Contents;
use hither_protocol::id_set::IdSet;
use hither_protocol::scan::{self, RootHint, Scan};
use nodes::{Shared, Touched};
use pending::Pending;
use roots::{PRIMITIVES, Root, is_shown, marker, primitive, root_out, seen_shape};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use texts::Texts;
use write::{clear_root, perform, set_root};
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::{
    Array, Doc, Map, OffsetKind, Options, Out, ReadTxn, StateVector, Text, Transact, TransactionMut, Update,
};

/// A room's document.
pub(crate) struct Document {
    doc: Doc,
    nodes: Shared,
    texts: Texts,
    /// What was typed in texts that are open there: the CRDT takes it in before anybody asks it for anything.
    pending: RefCell<Pending>,
    /// The next own id, if it is known.
    clock: Option<u32>,
    /// Whether the CRDT waits for nothing, not even for what a deletion names.
    is_whole: bool,
    /// Roots that updates named and that have no shape yet, with what the updates showed of them.
    shapeless: Vec<RootHint>,
    /// The author of what is edited here.
    writer: u64,
    /// The ids of others that the document was given.
    known: IdSet,
    /// Updates of others that do not follow on what is here, or stand on what is not. The CRDT would keep a hole before
    /// them, and yrs 0.28.1 panics, or forgets content, when something deleted arrives that reaches over the end of a
    /// hole. It would also take in the first half of one: then edits stand on what is pushed only with the other half.
    waiting: Vec<(Vec<u8>, Scan)>,
    /// Updates that had to wait and were taken in since somebody asked.
    released: Vec<Vec<u8>>,
    declared: Vec<(String, Shape)>,
    /// A root turned out to be of another kind than it is here.
    is_misread: bool,
}

/// What an edit did.
pub(crate) struct Changed {
    /// The transaction as a Yjs update, `None` if nothing changed.
    pub(crate) update: Option<Vec<u8>>,
    pub(crate) patch: Vec<u8>,
}

/// Why an update of somebody else was not applied: it is well-formed, and the CRDT refuses it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("update refused: {0}")]
pub(crate) struct IntegrateError(&'static str);

impl Document {
    /// An empty document that edits as `client_id` (53 bits, never used before) and shows `declared` roots.
    pub(crate) fn new(client_id: u64, declared: &[(String, Shape)]) -> Self {
        Self::begin(client_id, declared, Shared::default())
    }

    fn begin(client_id: u64, declared: &[(String, Shape)], nodes: Shared) -> Self {
        let mut options = Options::with_client_id(ClientID::new(client_id));
        options.offset_kind = OffsetKind::Utf16;
        options.skip_gc = false;
        // Cleaning up would delete on the reader's side only: deletions that no update carries.
        options.cleanup_formatting = false;
        let mut document = Self {
            doc: Doc::with_options(options),
            nodes,
            texts: Texts::default(),
            pending: RefCell::default(),
            clock: None,
            is_whole: true,
            shapeless: Vec::new(),
            writer: client_id,
            known: IdSet::new(),
            waiting: Vec::new(),
            released: Vec::new(),
            declared: declared.to_vec(),
            is_misread: false,
        };
        document.root(PRIMITIVES, Shape::Map, false);
        for (name, shape) in declared {
            document.root(name, *shape, true);
        }
        document.observe_fresh();
        document
    }

    /// Applies operations as one transaction, or none of them.
    pub(crate) fn apply(&mut self, ops: &[Op]) -> Result<Changed, EditError> {
        if self.is_typing(ops) {
            return self.type_in(ops);
        }
        self.check(ops)?;
        for op in ops {
            if let Op::MapSet { node: Node::ROOT, key, value } = op
                && let Some(shape) = shape_of(value)
            {
                self.root(key, shape, false);
            }
        }
        let mut patch = PacketWriter::default();
        let mut touched = Vec::new();
        let before = self.texts_clock();
        let update = {
            let mut txn = self.reading().ok_or(EditError::Busy)?;
            self.nodes.lock().mute(true);
            for op in ops {
                match op {
                    Op::MapSet { node: Node::ROOT, key, value } => {
                        self.nodes.lock().forget_gaps();
                        set_root(&self.nodes, &mut txn, key, value);
                        touched.push(Touched { name: key.clone(), is_replaced: true });
                    }
                    Op::MapDelete { node: Node::ROOT, key } => {
                        self.nodes.lock().forget_gaps();
                        clear_root(&self.nodes, &mut txn, key);
                        touched.push(Touched { name: key.clone(), is_replaced: true });
                    }
                    op => {
                        if let Some(name) = perform(&self.nodes, &mut txn, op, &mut patch) {
                            touched.push(Touched { name, is_replaced: false });
                        }
                    }
                }
            }
            txn.commit();
            self.nodes.lock().mute(false);
            txn.encode_update_v1()
        };
        self.follow_edit(&update, before);
        self.settle(touched, &mut patch);
        self.open_walked_texts(ops);
        // An update without structs and deletions is two zeros.
        let update = (update != [0, 0]).then_some(update);
        Ok(Changed { update, patch: patch.finish() })
    }

    /// Applies updates of others, each with its scan, as one transaction. A refused one does not stop the others.
    pub(crate) fn integrate(&mut self, updates: &[(&[u8], &Scan)]) -> (Vec<u8>, Vec<IntegrateError>) {
        let typed = updates.iter().take_while(|(update, scan)| self.take_typing(update, scan)).count();
        let mut errors = Vec::new();
        if typed < updates.len() {
            errors = self.integrate_all(&updates[typed..]);
        }
        errors.append(&mut self.pending.get_mut().errors);
        self.nodes.lock().forget_gaps();
        let shaped = self.claim_shaped();
        let mut patch = PacketWriter::default();
        let mut touched = self.tell_texts(&mut patch);
        let (ops, more) = self.nodes.lock().take_changes();
        touched.extend(more);
        touched.extend(shaped.into_iter().map(|name| Touched { name, is_replaced: false }));
        for (node, op) in &ops {
            if !self.nodes.lock().is_hidden(*node) {
                patch.append(op);
            }
        }
        self.settle(touched, &mut patch);
        self.open_walked_texts(&[]);
        let is_lost = self.nodes.lock().take_lost();
        if std::mem::take(&mut self.is_misread) {
            self.read_anew();
        } else if !is_lost {
            return (patch.finish(), errors);
        }
        (self.reset_patch(), errors)
    }

    /// Reads everything as whoever comes later reads it. Two people made a root at once, of different kinds, and everybody
    /// has come to one of them: but the CRDT keeps a root as it was called first.
    fn read_anew(&mut self) {
        let all = self.encode();
        // Handles are not given out twice.
        let nodes = self.nodes.lock().successor();
        let mut anew = Self::begin(self.writer, &self.declared, nodes);
        let Ok(scan) = scan::scan(&all) else { return };
        if anew.integrate(&[(&all, &scan)]).1.is_empty() {
            anew.waiting.append(&mut self.waiting);
            anew.released.append(&mut self.released);
            *self = anew;
        }
    }

    fn integrate_all(&mut self, updates: &[(&[u8], &Scan)]) -> Vec<IntegrateError> {
        let mut errors = Vec::new();
        // Ids of our own come back with the log.
        let own = self.texts_clock();
        self.clock = None;
        self.catch_up();
        let Ok(mut txn) = self.doc.try_transact_mut() else {
            return vec![IntegrateError("the document is busy")];
        };
        let mut updates = updates.iter().map(|&(update, scan)| (Cow::Borrowed(update), Cow::Borrowed(scan)));
        loop {
            let waiting = &mut self.waiting;
            let mut next = updates.next();
            if let Some((update, scan)) = next.take_if(|(_, scan)| !follows(&self.known, self.writer, scan)) {
                waiting.push((update.into_owned(), scan.into_owned()));
                continue;
            }
            if next.is_none() {
                next = entangled(waiting, &self.known, self.writer);
                self.released.extend(next.iter().map(|(update, _)| update.to_vec()));
            }
            if next.is_none() {
                break;
            }
            while let Some((update, scan)) = next {
                let mut nodes = self.nodes.lock();
                nodes.has_formats |= scan.formats;
                let is_new = |hint: &&RootHint| nodes.root(&hint.name).is_none();
                self.shapeless.extend(scan.roots.iter().filter(is_new).cloned());
                drop(nodes);
                errors.extend(apply_update(&mut txn, &update).err());
                let (writer, known) = (self.writer, &self.known);
                let end = |author| if author == writer { own } else { known.prefix(author) };
                self.texts.follow(&update, &scan.deletes, &end);
                self.known.merge(&scan.inserts);
                if !are_there(&self.known, self.writer, &scan.deletes) {
                    // The CRDT deletes as soon as that comes, and nothing says so then.
                    self.texts.lose_all();
                }
                let ready = |(_, scan): &(Vec<u8>, Scan)| follows(&self.known, self.writer, scan);
                next = self.waiting.iter().position(ready).map(|index| {
                    let (update, scan) = self.waiting.remove(index);
                    self.released.push(update.clone());
                    (Cow::Owned(update), Cow::Owned(scan))
                });
            }
        }
        self.is_whole = !txn.has_missing_updates();
        drop(txn);
        if !self.is_whole || !errors.is_empty() {
            self.texts.lose_all();
        }
        self.close_deleted_texts();
        errors
    }

    /// The whole state as a patch that replaces everything a reader has.
    pub(crate) fn reset_patch(&mut self) -> Vec<u8> {
        let mut patch = PacketWriter::default();
        let names = self.names();
        let mut entries = PacketWriter::default();
        let mut count = 0;
        for name in names {
            let mut entry = PacketWriter::default();
            entry.string(&name);
            if self.write_entry(&name, &mut entry) {
                count += 1;
                entries.append(&entry);
            }
        }
        patch.reset(count);
        patch.append(&entries);
        self.observe_fresh();
        patch.finish()
    }

    /// The whole state as plain values.
    pub(crate) fn state(&self) -> Value {
        let names = self.names();
        let Some(txn) = self.reading() else { return Value::map() };
        let mut state = BTreeMap::new();
        for name in names {
            if let Some(out) = self.shown(&txn, &name) {
                state.insert(name, nodes::read_value(&out, &txn, 0));
            }
        }
        Value::Map(state)
    }

    /// The container at the end of a path from the state.
    pub(crate) fn node(&mut self, path: &[Step<'_>]) -> Option<Node> {
        if path.is_empty() {
            return Some(Node::ROOT);
        }
        let out = self.find(path)?;
        let node = {
            let mut nodes = self.nodes.lock();
            nodes.level = path.len() - 1;
            nodes.handle(&out)?
        };
        self.observe_fresh();
        Some(node)
    }

    /// The value at the end of a path from the state, without reading what is beside it.
    pub(crate) fn value(&self, path: &[Step<'_>]) -> Option<Value> {
        let out = match path {
            [] => return Some(self.state()),
            [Step::Key(name)] => self.shown(&self.reading()?, name)?,
            _ => self.find(path)?,
        };
        Some(nodes::read_value(&out, &self.reading()?, path.len() - 1))
    }

    /// What kind of container a handle names, and how much it holds: items, UTF-16 units, entries.
    pub(crate) fn measure(&self, node: Node) -> Option<(Shape, u32)> {
        if node == Node::ROOT {
            return Some((Shape::Map, u32::try_from(self.names().len()).unwrap_or(u32::MAX)));
        }
        let txn = self.reading()?;
        match self.nodes.lock().resolve(node, &txn)? {
            Out::YMap(map) => Some((Shape::Map, map.len(&txn))),
            Out::YArray(array) => Some((Shape::List, array.len(&txn))),
            Out::YText(text) => Some((Shape::Text, text.len(&txn))),
            _ => None,
        }
    }

    fn find(&self, path: &[Step<'_>]) -> Option<Out> {
        let (Step::Key(name), rest) = path.split_first()? else { return None };
        let root = self.nodes.lock().root(name)?;
        let txn = self.reading()?;
        let mut out = root_out(&txn, name, root.shape)?;
        for step in rest {
            out = match (step, &out) {
                (Step::Key(key), Out::YMap(map)) => map.get(&txn, key)?,
                (Step::Index(index), Out::YArray(array)) => array.get(&txn, u32::try_from(*index).ok()?)?,
                _ => return None,
            };
        }
        Some(out)
    }

    /// Everything as one Yjs update, updates that still miss something included.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self.reading() {
            Some(txn) => txn.encode_state_as_update_v1(&StateVector::default()),
            None => vec![0, 0],
        }
    }

    /// What the document has and `known` lacks, as one update; `None` if nothing. Deletions that wait for what they
    /// name are among it, updates that wait are not.
    pub(crate) fn missing_from(&self, known: &Contents) -> Option<Vec<u8>> {
        let txn = self.reading()?;
        let mut state = StateVector::default();
        for client in known.inserts.clients() {
            state.set_max(ClientID::new(client), known.inserts.prefix(client));
        }
        let update = txn.encode_state_as_update_v1(&state);
        let scan = scan::scan(&update).ok()?;
        let deletes = scan.deletes.difference(&known.deletes);
        if deletes.is_empty() && known.inserts.covers(&scan.inserts) {
            return None;
        }
        Some(scan::with_deletes(&update, &scan, &deletes))
    }

    /// One update that brings what `wanted` says, taken from the present state, where what was typed in one run is one
    /// item again. It inserts whatever else the authors of `wanted` wrote behind it, and deletes nothing else. `None` if
    /// something of it is not here.
    pub(crate) fn encode_from(&self, wanted: &Contents) -> Option<Vec<u8>> {
        let txn = self.reading()?;
        let mut state = txn.state_vector();
        for client in wanted.inserts.clients() {
            let first = wanted.inserts.ranges(client).first()?.start;
            // `set_min` keeps a 0 out: what begins at 0 must not be in the vector at all.
            state = state
                .iter()
                .map(|(&id, &clock)| (id, if id.get() == client { first } else { clock }))
                .filter(|&(_, clock)| clock > 0)
                .collect();
        }
        let update = txn.encode_state_as_update_v1(&state);
        let scan = scan::scan(&update).ok()?;
        if !scan.inserts.covers(&wanted.inserts) || scan.skips {
            return None;
        }
        Some(scan::with_deletes(&update, &scan, &wanted.deletes))
    }

    /// Whether these ids are in the document, and not waiting for others.
    pub(crate) fn holds(&self, inserts: &IdSet) -> bool {
        let Some(vector) = self.reading().map(|txn| txn.state_vector()) else { return false };
        let is_here = |(client, ranges): (u64, &[Range<u32>])| {
            ranges.last().is_none_or(|last| last.end <= vector.get(&ClientID::new(client)))
        };
        inserts.iter().all(is_here)
    }

    /// Whether everything that came could be taken in: an encoding leaves out what waits.
    pub(crate) fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.is_whole
    }

    /// What waits for other updates, and is in no encoding.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &[u8]> {
        self.waiting.iter().map(|(update, _)| &update[..])
    }

    /// What had to wait and was taken in since this was asked last.
    pub(crate) fn take_released(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.released)
    }

    /// Whether nothing was ever written.
    pub(crate) fn is_blank(&self) -> bool {
        self.reading().is_some_and(|txn| txn.state_vector().is_empty() && !txn.has_missing_updates())
            && self.waiting.is_empty()
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.nodes.lock().root_names();
        if let Some(txn) = self.reading()
            && let Some(map) = txn.get_map(PRIMITIVES)
        {
            names.extend(map.keys(&txn).map(str::to_owned));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A transaction to read in. It is of the kind that writes: with both kinds every function that takes one is in
    /// the page twice (2 KB gzipped). The end of one that wrote nothing changes nothing.
    fn reading(&self) -> Option<TransactionMut<'_>> {
        self.catch_up();
        self.doc.try_transact_mut().ok()
    }

    /// Makes sure that a root exists, has a shape and is listened to. An existing one keeps its shape.
    fn root(&mut self, name: &str, shape: Shape, is_declared: bool) {
        if self.nodes.lock().root(name).is_some() {
            return;
        }
        let out = match shape {
            Shape::Map => Out::YMap(self.doc.get_or_insert_map(name)),
            Shape::Text => Out::YText(self.doc.get_or_insert_text(name)),
            Shape::List => {
                // Read first: what a root is called for the first time it stays.
                let begins = self.reading().and_then(|txn| txn.get_array(name)?.get(&txn, 0));
                match begins {
                    Some(Out::YXmlElement(_) | Out::YXmlText(_) | Out::YXmlFragment(_)) => {
                        Out::YXmlFragment(self.doc.get_or_insert_xml_fragment(name))
                    }
                    _ => Out::YArray(self.doc.get_or_insert_array(name)),
                }
            }
        };
        let mut nodes = self.nodes.lock();
        nodes.level = 0;
        if name == PRIMITIVES {
            nodes.listen_to_primitives(&out);
        } else if let Some(node) = nodes.handle(&out) {
            nodes.name_root(name, Root { node, shape, is_declared });
        }
    }

    /// Ends a change: shows or hides the touched roots in the patch and listens to new containers.
    fn settle(&mut self, mut touched: Vec<Touched>, patch: &mut PacketWriter) {
        // A name that was replaced comes first and stays.
        touched.sort_unstable_by(|a, b| a.name.cmp(&b.name).then(b.is_replaced.cmp(&a.is_replaced)));
        touched.dedup_by(|a, b| a.name == b.name);
        for Touched { name, is_replaced } in touched {
            self.claim_marked(&name, is_replaced);
            let mut entry = PacketWriter::default();
            entry.map_set(Node::ROOT, &name);
            let was_hidden = {
                let nodes = self.nodes.lock();
                nodes.root(&name).is_none_or(|root| nodes.is_hidden(root.node))
            };
            if !is_replaced && !was_hidden && self.is_root_shown(&name) {
                continue;
            }
            if self.write_entry(&name, &mut entry) {
                patch.append(&entry);
            } else if is_replaced || !was_hidden {
                patch.map_delete(Node::ROOT, &name);
            }
        }
        self.observe_fresh();
    }

    /// Registers the roots whose shape has become visible and returns their names.
    fn claim_shaped(&mut self) -> Vec<String> {
        if self.shapeless.is_empty() {
            return Vec::new();
        }
        let mut hints = std::mem::take(&mut self.shapeless);
        // The clearest shape of a name comes first and stays.
        hints.sort_unstable_by(|a, b| a.name.cmp(&b.name).then(b.shape.cmp(&a.shape)));
        hints.dedup_by(|a, b| a.name == b.name);
        let mut shaped = Vec::new();
        for hint in hints {
            match self.reading().and_then(|txn| seen_shape(&txn, &hint.name, hint.shape)) {
                Some(shape) => {
                    self.root(&hint.name, shape, false);
                    shaped.push(hint.name);
                }
                None => self.shapeless.push(hint),
            }
        }
        shaped
    }

    /// A marker of somebody else names a root that is still empty: it exists from now on. A new one may say that a root is
    /// of another kind than here.
    fn claim_marked(&mut self, name: &str, is_new: bool) {
        let root = self.nodes.lock().root(name);
        if root.is_some_and(|root| root.is_declared || !is_new) {
            return;
        }
        let marked = self.reading().and_then(|txn| marker(&txn, name));
        match (marked, root) {
            (Some(shape), None) => self.root(name, shape, false),
            (Some(shape), Some(root)) => self.is_misread |= shape != root.shape,
            (None, _) => {}
        }
    }

    fn is_root_shown(&self, name: &str) -> bool {
        let Some(txn) = self.reading() else { return false };
        self.nodes.lock().root(name).is_some_and(|root| is_shown(&txn, name, &root))
    }

    /// What the state has under a name: the root, where it shows, or the primitive.
    fn shown(&self, txn: &TransactionMut, name: &str) -> Option<Out> {
        let root = self.nodes.lock().root(name);
        match root.filter(|root| is_shown(txn, name, root)) {
            Some(root) => root_out(txn, name, root.shape),
            None => primitive(txn, name).map(Out::Any),
        }
    }

    /// Writes what the state has under a name and says whether it has anything.
    fn write_entry(&mut self, name: &str, out: &mut PacketWriter) -> bool {
        self.claim_marked(name, false);
        let Some(txn) = self.reading() else { return false };
        let shown = self.shown(&txn, name);
        let mut nodes = self.nodes.lock();
        nodes.level = 0;
        if let Some(root) = nodes.root(name) {
            // Until it is written, which it is where it shows.
            nodes.hide(root.node, true);
        }
        if let Some(value) = &shown {
            nodes.write_value(value, &txn, out);
        }
        shown.is_some()
    }

    /// Starts to listen to containers that got a handle since the last call, and forgets deleted ones when
    /// they may be many.
    fn observe_fresh(&mut self) {
        if !self.nodes.lock().is_care_due() {
            return;
        }
        let Some(txn) = self.reading() else { return };
        let fresh = self.nodes.lock().take_fresh(&txn);
        self.nodes.lock().sweep(&txn);
        drop(txn);
        for (id, out) in fresh {
            nodes::observe(&self.nodes, &id, &out);
        }
    }
}

/// One update that says what these say; `None` if the CRDT cannot read one of them. What waits for others may be left
/// out: callers look at what came of it.
pub(crate) fn merge(updates: &[&[u8]]) -> Option<Vec<u8>> {
    yrs::merge_updates_v1(updates).ok()
}

/// The shape that a value has as a root, `None` for primitives.
pub(crate) fn shape_of(value: &Value) -> Option<Shape> {
    match value {
        Value::Map(_) => Some(Shape::Map),
        Value::List(_) => Some(Shape::List),
        Value::Text(_) => Some(Shape::Text),
        _ => None,
    }
}

/// Whether an update of others begins where the document ends, for every author, and stands on what is here.
fn follows(known: &IdSet, writer: u64, scan: &Scan) -> bool {
    let follow = |(author, ranges): (u64, &[Range<u32>])| {
        author == writer || ranges.last().is_none_or(|last| last.start <= known.prefix(author))
    };
    scan.inserts.iter().all(follow) && are_there(known, writer, &scan.needs)
}

/// Whether these ids are there. What this document wrote is.
fn are_there(known: &IdSet, writer: u64, ids: &IdSet) -> bool {
    let is_there = |(author, ranges): (u64, &[Range<u32>])| {
        author == writer || ranges.last().is_none_or(|last| last.end <= known.prefix(author))
    };
    ids.iter().all(is_there)
}

/// Takes out updates that wait for nothing but each other, as one. A client that sends what it has of several authors
/// cuts where it likes: of two updates each may have the beginning of what the other goes on with.
fn entangled<'a>(
    waiting: &mut Vec<(Vec<u8>, Scan)>,
    known: &IdSet,
    writer: u64,
) -> Option<(Cow<'a, [u8]>, Cow<'a, Scan>)> {
    let mut chosen: Vec<usize> = (0..waiting.len()).collect();
    loop {
        let mut together = known.clone();
        chosen.iter().for_each(|&index| together.merge(&waiting[index].1.inserts));
        let before = chosen.len();
        chosen.retain(|&index| {
            let scan = &waiting[index].1;
            are_there(&together, writer, &scan.inserts) && are_there(&together, writer, &scan.needs)
        });
        if chosen.len() == before {
            break;
        }
    }
    let updates: Vec<&[u8]> = chosen.iter().map(|&index| &waiting[index].0[..]).collect();
    let merged = merge(&updates).filter(|_| chosen.len() > 1)?;
    let scan = scan::scan(&merged).ok().filter(|scan| follows(known, writer, scan))?;
    chosen.iter().rev().for_each(|&index| drop(waiting.remove(index)));
    Some((Cow::Owned(merged), Cow::Owned(scan)))
}

fn apply_update(txn: &mut TransactionMut<'_>, update: &[u8]) -> Result<(), IntegrateError> {
    let update = Update::decode_v1(update).map_err(|_| IntegrateError("the CRDT cannot read it"))?;
    txn.apply_update(update).map_err(|_| IntegrateError("the CRDT cannot apply it"))
}
