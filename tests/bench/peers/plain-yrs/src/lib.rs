//! The CRDT alone, measured beside Hither: what a binding of yrs takes that does nothing else.
#![forbid(unsafe_code)]

pub mod document;

#[cfg(target_arch = "wasm32")]
mod border;
