//! What every JavaScript host has, page, worker and Node alike: a clock, timers, randomness, global names.
//!
//! Nothing here asks for a `window`: a global is looked up by name when it is needed, and a missing one is an
//! answer, not a panic.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::pin::Pin;

use hither_core::time::Millis;
use js_sys::futures::{JsFuture, spawn_local};
use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    // Node gives an object where a browser gives a number, so the id stays whatever it is.
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, delay_ms: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
    #[wasm_bindgen(catch, js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(into: &Uint8Array) -> Result<JsValue, JsValue>;
}

/// `setTimeout` keeps its delay in 31 bits and fires at once above that.
const LONGEST_DELAY_MS: f64 = 2_147_483_647.0;

pub(crate) fn now() -> Millis {
    Millis(js_sys::Date::now() as u64)
}

/// Fresh randomness for one client. Without `crypto` (no host that we know) the clock and `Math.random` serve: the
/// seed keeps clients apart, it keeps no secret.
pub(crate) fn seed() -> u64 {
    let bytes = Uint8Array::new_with_length(8);
    if get_random_values(&bytes).is_ok() {
        let mut seed = [0; 8];
        bytes.copy_to(&mut seed);
        return u64::from_le_bytes(seed);
    }
    let dice = || (js_sys::Math::random() * 4_294_967_296.0) as u64;
    (dice() << 32 | dice()) ^ now().0
}

/// A property of the global object, or of anything else; `None` when it is missing, `null`, or throws when touched
/// (as `indexedDB` does in a sandboxed frame).
pub(crate) fn property(of: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(of, &JsValue::from_str(name)).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

/// Runs in the next microtask and from then on whenever it can. Not generic: the page would get a queue for each caller.
pub(crate) fn spawn(task: Pin<Box<dyn Future<Output = ()>>>) {
    spawn_local(task);
}

/// A promise, and what resolves it.
pub(crate) fn promise() -> (Promise, Function) {
    let mut resolve = JsValue::UNDEFINED;
    let promise = Promise::new(&mut |settle, _| resolve = settle.into());
    (promise, resolve.unchecked_into())
}

/// A resolve function does not throw.
pub(crate) fn settle(resolve: &Function) {
    let _ = resolve.call0(&JsValue::NULL);
}

/// What a promise that cannot reject resolves to, or `undefined` if it takes longer than that.
pub(crate) async fn within(limit_ms: u32, promise: &Promise) -> JsValue {
    let (rings, ring) = self::promise();
    let id = set_timeout(&ring, f64::from(limit_ms));
    let first = JsFuture::from(Promise::race(&Array::of2(promise, &rings))).await;
    clear_timeout(&id);
    first.unwrap_or_default()
}

/// Keeps the WebAssembly memory ahead of what is needed.
///
/// The allocator grows it by a page of 64 KiB at a time, and each time the host makes a new buffer of it and thinks of
/// collecting garbage: 80,000 edits in a loop spent four fifths of their time there. What is taken in advance costs
/// addresses until it is used.
#[derive(Default)]
pub(crate) struct Memory {
    pages: Cell<usize>,
}

const PAGE_BYTES: usize = 65_536;

/// 16 MiB.
const SMALLEST_STEP_PAGES: usize = 256;

impl Memory {
    /// Takes half as much again if it has grown since the last time.
    pub(crate) fn keep_ahead(&self) {
        let pages = pages();
        if pages > self.pages.get() {
            // Given back at once: the allocator keeps it.
            drop(black_box(Vec::<u8>::with_capacity(SMALLEST_STEP_PAGES.max(pages / 2) * PAGE_BYTES)));
            self.pages.set(self::pages());
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn pages() -> usize {
    std::arch::wasm32::memory_size::<0>()
}

/// This crate compiles for other targets, but runs on none.
#[cfg(not(target_arch = "wasm32"))]
fn pages() -> usize {
    0
}

/// The one timer of an engine: armed for the next deadline, moved when the deadline moves.
pub(crate) struct Timer {
    callback: Closure<dyn FnMut()>,
    armed: RefCell<Option<(Millis, JsValue)>>,
}

impl Timer {
    pub(crate) fn new(fires: impl FnMut() + 'static) -> Timer {
        Timer { callback: Closure::new(fires), armed: RefCell::new(None) }
    }

    /// Arms for `deadline`, or disarms; arming again for the same deadline costs nothing.
    pub(crate) fn set(&self, deadline: Option<Millis>) {
        let mut armed = self.armed.borrow_mut();
        if armed.as_ref().map(|(at, _)| *at) == deadline {
            return;
        }
        if let Some((_, id)) = armed.take() {
            clear_timeout(&id);
        }
        if let Some(at) = deadline {
            let delay = (at.0 as f64 - now().0 as f64).clamp(0.0, LONGEST_DELAY_MS);
            *armed = Some((at, set_timeout(self.callback.as_ref().unchecked_ref(), delay)));
        }
    }

    /// The timer has fired: the next [`Timer::set`] arms anew, even for the same deadline (hosts fire early).
    pub(crate) fn spent(&self) {
        self.armed.borrow_mut().take();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.set(None);
    }
}
