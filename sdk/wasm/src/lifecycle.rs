//! The page's life as hints: going online and offline, shown and hidden, frozen and thawed.
//!
//! Events lie (an `online` page may have no network), so they are hints and nothing more: the core decides what to
//! probe. `visibilitychange` and `pagehide` are the last moments in which a mobile browser surely runs code. In a
//! worker only the network events exist, in Node none: what cannot be listened to is skipped.

use hither_core::Hint;
use js_sys::Function;
use wasm_bindgen::prelude::*;
use web_sys::{Event, EventTarget};

use crate::host::property;

/// Registered listeners; dropping it removes them all.
pub(crate) struct Lifecycle {
    callback: Closure<dyn FnMut(Event)>,
    heard: Vec<(EventTarget, &'static str)>,
}

const GLOBAL_EVENTS: [&str; 4] = ["online", "offline", "pagehide", "pageshow"];
const DOCUMENT_EVENTS: [&str; 3] = ["visibilitychange", "freeze", "resume"];

impl Lifecycle {
    pub(crate) fn listen(mut hinted: impl FnMut(Hint) + 'static) -> Lifecycle {
        let callback = Closure::new(move |event: Event| hinted(hint(&event.type_())));
        let mut lifecycle = Lifecycle { callback, heard: Vec::new() };
        let global = JsValue::from(js_sys::global());
        if let Some(document) = property(&global, "document") {
            lifecycle.hear(&document, &DOCUMENT_EVENTS);
        }
        lifecycle.hear(&global, &GLOBAL_EVENTS);
        lifecycle
    }

    fn hear(&mut self, target: &JsValue, events: &[&'static str]) {
        // By method, not by class: the globals of jsdom and its like are no instances of EventTarget.
        if !property(target, "addEventListener").is_some_and(|method| method.is_function()) {
            return;
        }
        let target: &EventTarget = target.unchecked_ref();
        let callback: &Function = self.callback.as_ref().unchecked_ref();
        for &event in events {
            if target.add_event_listener_with_callback(event, callback).is_ok() {
                self.heard.push((target.clone(), event));
            }
        }
    }
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        let callback: &Function = self.callback.as_ref().unchecked_ref();
        for (target, event) in &self.heard {
            // A page that is going away may refuse; then there is nothing left to remove either.
            let _ = target.remove_event_listener_with_callback(event, callback);
        }
    }
}

fn hint(event: &str) -> Hint {
    match event {
        "online" => Hint::Online,
        "offline" => Hint::Offline,
        "pagehide" | "freeze" => Hint::Hidden,
        // Includes `pageshow`, which restores a page from the back-forward cache without any other event.
        "visibilitychange" if is_hidden() => Hint::Hidden,
        _ => Hint::Visible,
    }
}

fn is_hidden() -> bool {
    property(&js_sys::global(), "document")
        .and_then(|document| property(&document, "visibilityState"))
        .is_some_and(|state| state == "hidden")
}
