//! Core events as the sink hears them: a kind, and a payload of JavaScript's own types.

use hither_core::Event;
use hither_core::presence::Presence;
use js_sys::{Array, JSON, Object, Reflect, Uint8Array};
use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::*;

/// What other people's presence was last time, so that what did not change keeps its identity (and is not parsed again).
#[derive(Default)]
pub(crate) struct Seen(Vec<(u64, String, JsValue)>);

/// The kind and the payload of an event.
pub(crate) fn told(event: Event, seen: &mut Seen) -> (&'static str, JsValue) {
    match event {
        Event::Ready { patch } => ("ready", Uint8Array::from(patch.as_slice()).into()),
        Event::Patch { patch } => ("patch", Uint8Array::from(patch.as_slice()).into()),
        // Counters, far below the 2^53 that a number holds exactly.
        Event::Saved { edit } => ("saved", JsValue::from_f64(edit as f64)),
        Event::Acked { edit } => ("acked", JsValue::from_f64(edit as f64)),
        Event::Refused { from, to, code, message } => (
            "refused",
            object(&[
                ("from", JsValue::from_f64(from as f64)),
                ("to", JsValue::from_f64(to as f64)),
                ("code", JsValue::from_f64(f64::from(code))),
                ("message", JsValue::from_str(&message)),
            ]),
        ),
        Event::Status(status) => ("status", plain(&status)),
        Event::Presence(presence) => ("presence", people(&presence, seen)),
        Event::Error(error) => ("error", trouble(error.code, &error.message)),
        Event::Closed => ("closed", JsValue::UNDEFINED),
    }
}

/// What `error` carries.
pub(crate) fn trouble(code: &str, message: &str) -> JsValue {
    object(&[("code", JsValue::from_str(code)), ("message", JsValue::from_str(message))])
}

/// An object with these properties.
pub(crate) fn object(properties: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in properties {
        // Cannot fail: the object is fresh and ours.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object.into()
}

/// A value as JavaScript's own.
pub(crate) fn plain(value: &impl Serialize) -> JsValue {
    value.serialize(&Serializer::json_compatible()).unwrap_or(JsValue::UNDEFINED)
}

/// `{ self, others: [{ id, state }] }`. A state that is no JSON is left out: a relay may send anything.
fn people(presence: &Presence, seen: &mut Seen) -> JsValue {
    let mut now = Vec::with_capacity(presence.others.len());
    let others = Array::new();
    for (peer, json) in presence.others.iter() {
        // In order, as the core gives them.
        let before =
            seen.0.binary_search_by_key(&peer, |(peer, ..)| *peer).ok().and_then(|at| seen.0.get(at));
        let person = match before {
            Some((_, before, person)) if before == json => person.clone(),
            _ => match JSON::parse(json) {
                Ok(state) => object(&[("id", JsValue::from_f64(peer as f64)), ("state", state)]),
                Err(_) => continue,
            },
        };
        others.push(&person);
        now.push((peer, json.clone(), person));
    }
    seen.0 = now;
    let own = presence.self_peer.map_or(JsValue::NULL, |peer| JsValue::from_f64(peer as f64));
    object(&[("self", own), ("others", others.into())])
}
