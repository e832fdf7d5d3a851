//! What the works of the client's benchmark do to a document, one transaction a call.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use yrs::types::ToJson;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, ArrayRef, Doc, GetString, Map, MapPrelim, MapRef, Observable, OffsetKind, Options, Out, Text,
    TextRef, Transact, Update,
};

/// A text `note` and a list `items`, with an observer that takes each update. Items that are pushed are kept at hand:
/// yrs walks a list to an index.
pub struct Document {
    doc: Doc,
    note: TextRef,
    items: ArrayRef,
    pushed: RefCell<Vec<MapRef>>,
    update: Rc<RefCell<Vec<u8>>>,
    updates: Rc<Cell<u32>>,
    heard: Rc<Cell<u32>>,
}

impl Default for Document {
    fn default() -> Self {
        let doc = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::default() });
        let note = doc.get_or_insert_text("note");
        let items = doc.get_or_insert_array("items");
        let update = Rc::new(RefCell::new(Vec::new()));
        let updates = Rc::new(Cell::new(0));
        let heard = Rc::new(Cell::new(0));
        let (taken, counted) = (update.clone(), updates.clone());
        doc.observe_update_v1("updates", move |_, event| {
            taken.borrow_mut().clone_from(&event.update);
            counted.set(counted.get() + 1);
        })
        .expect("nothing else is going on");
        Document { doc, note, items, pushed: RefCell::default(), update, updates, heard }
    }
}

impl Document {
    /// From now on the text's changes are read, as an editor does.
    pub fn listen(&self) {
        let heard = self.heard.clone();
        self.note.observe("changes", move |txn, event| {
            heard.set(heard.get() + u32::from(!event.delta(txn).is_empty()));
        });
    }

    /// One keystroke. Positions count UTF-16 units.
    pub fn splice(&self, at: u32, deleted: u32, inserted: &str) {
        let mut txn = self.doc.transact_mut();
        if deleted > 0 {
            self.note.remove_range(&mut txn, at, deleted);
        }
        if !inserted.is_empty() {
            self.note.insert(&mut txn, at, inserted);
        }
    }

    /// Appends items, the first with this number.
    pub fn push(&self, first: u32, count: u32) {
        let mut txn = self.doc.transact_mut();
        for index in first..first + count {
            let item: MapPrelim = [
                ("title", Any::from(format!("item {index}"))),
                ("done", Any::from(false)),
                ("count", Any::from(0)),
            ]
            .into();
            self.pushed.borrow_mut().push(self.items.push_back(&mut txn, item));
        }
    }

    /// Sets the field `count` of pushed items, from this one on, round and round, to growing values.
    pub fn set(&self, first: u32, sets: u32) {
        let mut txn = self.doc.transact_mut();
        let items = self.pushed.borrow();
        for value in first..first + sets {
            items[value as usize % items.len()].insert(&mut txn, "count", value);
        }
    }

    pub fn apply(&self, update: &[u8]) {
        let update = Update::decode_v1(update).expect("an update");
        self.doc.transact_mut().apply_update(update).expect("an update that fits");
    }

    pub fn text(&self) -> String {
        self.note.get_string(&self.doc.transact())
    }

    pub fn len(&self) -> u32 {
        self.items.len(&self.doc.transact())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items as plain values.
    pub fn plain(&self) -> Any {
        self.items.to_json(&self.doc.transact())
    }

    /// Whether this is the `count` of an item.
    pub fn has_count(&self, index: u32, count: u32) -> bool {
        let txn = self.doc.transact();
        let Some(Out::YMap(item)) = self.items.get(&txn, index) else { panic!("no item") };
        item.get(&txn, "count") == Some(Out::Any(Any::from(count)))
    }

    /// The update of the last transaction.
    pub fn take_update(&self) -> Vec<u8> {
        self.update.take()
    }

    /// How many updates there were.
    pub fn updates(&self) -> u32 {
        self.updates.get()
    }

    /// How many changes the text's observer was told.
    pub fn heard(&self) -> u32 {
        self.heard.get()
    }
}
