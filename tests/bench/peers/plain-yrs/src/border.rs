//! The document as JavaScript sees it. An edit gives its update, as an observer there would get it.

use crate::document::Document;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
#[derive(Default)]
pub struct Plain(Document);

#[wasm_bindgen]
impl Plain {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Plain {
        Plain::default()
    }

    pub fn listen(&self) {
        self.0.listen();
    }

    pub fn splice(&self, at: u32, deleted: u32, inserted: &str) -> Vec<u8> {
        self.0.splice(at, deleted, inserted);
        self.0.take_update()
    }

    pub fn push(&self, first: u32, count: u32) -> Vec<u8> {
        self.0.push(first, count);
        self.0.take_update()
    }

    pub fn set(&self, first: u32, sets: u32) -> Vec<u8> {
        self.0.set(first, sets);
        self.0.take_update()
    }

    pub fn apply(&self, update: &[u8]) {
        self.0.apply(update);
    }

    pub fn text(&self) -> String {
        self.0.text()
    }

    pub fn len(&self) -> u32 {
        self.0.len()
    }

    pub fn has_count(&self, index: u32, count: u32) -> bool {
        self.0.has_count(index, count)
    }

    /// The items as JSON: reading that is the quickest way to plain objects.
    pub fn json(&self) -> String {
        let mut json = String::new();
        self.0.plain().to_json(&mut json);
        json
    }

    pub fn heard(&self) -> u32 {
        self.0.heard()
    }
}
