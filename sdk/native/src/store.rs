//! Where rooms are kept. A store holds rows as the core gave them and looks into none; see
//! `hither_core::storage` for what they are.

mod file;
mod memory;

pub(crate) use file::FileStore;
pub use file::OpenFileError;
pub(crate) use memory::MemoryStore;

use hither_core::storage::{StorageError, Stored, Write};

/// Rows of rooms. Calls block; the actor makes them on threads for that.
pub(crate) trait Store: Send + Sync + 'static {
    /// Everything of one room, rows in the order of their keys.
    fn load(&self, room: &str) -> Result<Stored, StorageError>;

    /// All of the writes or none; durable when it returns, as far as the store can.
    fn write(&self, writes: &[Write]) -> Result<(), StorageError>;
}

#[cfg(test)]
mod contract {
    use super::*;
    use hither_core::storage::RowKey;
    use hither_core::time::Millis;

    fn key(at: u64, n: u64) -> RowKey {
        RowKey { at: Millis(at), writer: 7, n }
    }

    fn outbox(room: &str, at: u64, n: u64, byte: u8) -> Write {
        Write::PutOutbox { room: room.into(), key: key(at, n), update: vec![byte] }
    }

    /// What every store must do.
    fn keeps_rows(store: &dyn Store) {
        assert_eq!(store.load("a"), Ok(Stored::default()));
        let room = || "a".to_owned();
        store
            .write(&[
                outbox("a", 300, 1, 3),
                outbox("a", 2, 2, 2),
                outbox("ab", 1, 1, 9),
                Write::PutUpdates { room: room(), key: key(5, 5), pack: vec![1, 2, 3] },
                Write::PutMeta { room: room(), meta: vec![1] },
            ])
            .unwrap();
        let stored = store.load("a").unwrap();
        assert_eq!(stored.outbox, [(key(2, 2), vec![2]), (key(300, 1), vec![3])], "in the order of keys");
        assert_eq!(stored.updates, [(key(5, 5), vec![1, 2, 3])]);
        assert_eq!(stored.meta, Some(vec![1]));
        assert_eq!(store.load("ab").unwrap().outbox.len(), 1, "rooms do not see each other");

        store
            .write(&[
                Write::DeleteOutbox { room: room(), key: key(2, 2) },
                Write::DeleteUpdates { room: room(), key: key(5, 5) },
                Write::DeleteUpdates { room: room(), key: key(99, 99) },
                Write::PutMeta { room: room(), meta: vec![1, 9] },
            ])
            .unwrap();
        let stored = store.load("a").unwrap();
        assert_eq!(stored.outbox, [(key(300, 1), vec![3])]);
        assert_eq!((stored.updates.len(), stored.meta), (0, Some(vec![1, 9])));
        // The core repeats a batch whose end it could not see.
        store.write(&[outbox("a", 300, 1, 3)]).unwrap();
        assert_eq!(store.load("a").unwrap().outbox.len(), 1);
    }

    #[test]
    fn memory_keeps_rows() {
        keeps_rows(&MemoryStore::default());
    }

    #[test]
    fn a_file_keeps_rows_and_gives_them_back_after_it_was_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.hither");
        let store = FileStore::open(&path).unwrap();
        keeps_rows(&store);
        let before = store.load("a").unwrap();
        drop(store);
        assert_eq!(FileStore::open(&path).unwrap().load("a").unwrap(), before);
    }
}
