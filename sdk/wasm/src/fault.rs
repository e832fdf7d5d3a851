//! Errors on their way across the border: JavaScript exceptions as text, ours as `Error` objects with a `code`.

use std::cell::{Cell, RefCell};
use std::rc::Weak;

use js_sys::{Error, Reflect};
use wasm_bindgen::prelude::*;

use crate::host::property;
use crate::shell::Shell;

thread_local! {
    static CRASHED: Cell<bool> = const { Cell::new(false) };
    // Whom a panic concerns: it takes the whole instance down, and every engine in it.
    static CONCERNED: RefCell<Vec<Weak<Shell>>> = const { RefCell::new(Vec::new()) };
}

#[wasm_bindgen]
extern "C" {
    /// An exception of code that we call, where nobody is left to catch it.
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub(crate) fn report(thrown: &JsValue);
}

/// An `Error` whose `code` is for programs and whose message is for people.
pub(crate) fn fault(code: &str, message: &str) -> JsValue {
    let error = Error::new(message);
    // Cannot fail: the object is fresh and ours.
    let _ = Reflect::set(&error, &JsValue::from_str("code"), &JsValue::from_str(code));
    error.into()
}

/// `name: message` of an exception, or whatever text the thrown value has.
pub(crate) fn text_of(thrown: &JsValue) -> String {
    match (text(thrown, "name"), text(thrown, "message")) {
        (Some(name), Some(message)) if !message.is_empty() => name + ": " + &message,
        (Some(name), _) => name,
        (None, _) => thrown.as_string().unwrap_or_else(|| "unknown error".into()),
    }
}

/// The `name` of an exception, by which the platform tells its kinds apart.
pub(crate) fn name_of(thrown: &JsValue) -> String {
    text(thrown, "name").unwrap_or_default()
}

fn text(of: &JsValue, name: &str) -> Option<String> {
    property(of, name)?.as_string()
}

/// What every method throws after a panic.
pub(crate) fn crashed() -> JsValue {
    fault("panic", "the engine has crashed: reload to go on from what is saved")
}

/// Whether this instance has panicked. Its memory is then as the panic left it, and nothing may go on with it.
pub(crate) fn is_crashed() -> bool {
    CRASHED.get()
}

/// Makes sure that this shell's sink hears of a panic. The exception that JavaScript sees says only "unreachable".
pub(crate) fn tell_panics_to(shell: Weak<Shell>) {
    CONCERNED.with_borrow_mut(|concerned| {
        if concerned.is_empty() {
            std::panic::set_hook(Box::new(|panic| {
                CRASHED.set(true);
                let message = panic.to_string();
                report(&JsValue::from_str(&message));
                for shell in CONCERNED.take().iter().filter_map(Weak::upgrade) {
                    shell.tell_all("panic", &message);
                }
            }));
        }
        concerned.retain(|shell| shell.strong_count() > 0);
        concerned.push(shell);
    });
}
