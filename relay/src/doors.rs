//! The two doors into a relay: they turn what a socket says into facts of rooms. Rules about syncing are not
//! here but in [`crate::room`].

pub(crate) mod sync;
pub(crate) mod yjs;
