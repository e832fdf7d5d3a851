//! Plain values: what an application reads and what it writes, without handles and without a CRDT.

use std::collections::BTreeMap;

/// A plain tree. Keys are ordered, so that equal trees are equal bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON's null.
    Null,
    /// JavaScript's undefined: other clients may store it, Hither never writes it.
    Undefined,
    /// A truth value.
    Bool(bool),
    /// A JavaScript number.
    Number(f64),
    /// An integer beyond JavaScript's safe range, from another client: Hither shows it and does not write it.
    BigInt(i64),
    /// An atomic text: replaced as a whole.
    String(String),
    /// Binary data.
    Bytes(Vec<u8>),
    /// A shared list.
    List(Vec<Value>),
    /// A shared map.
    Map(BTreeMap<String, Value>),
    /// A shared text: edited by character.
    Text(String),
    /// What Hither shows but cannot edit (XML of other Yjs clients), as text.
    Opaque(String),
}

/// What kind of shared container something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Values under keys.
    Map,
    /// Values in a row.
    List,
    /// Characters.
    Text,
}

impl Value {
    /// The empty map.
    pub fn map() -> Value {
        Value::Map(BTreeMap::new())
    }

    /// As JSON: bytes become arrays of numbers, what JSON lacks becomes null.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Null | Value::Undefined => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) if is_integral(*number) => Json::from(*number as i64),
            Value::Number(number) => serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::BigInt(number) => Json::from(*number),
            Value::String(text) | Value::Text(text) | Value::Opaque(text) => Json::String(text.clone()),
            Value::Bytes(bytes) => Json::from(bytes.clone()),
            Value::List(items) => Json::Array(items.iter().map(Value::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
        }
    }

    /// From JSON: texts become atomic strings.
    pub fn from_json(json: &serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::String(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(Value::from_json).collect()),
            Json::Object(entries) => Value::Map(
                entries.iter().map(|(key, value)| (key.clone(), Value::from_json(value))).collect(),
            ),
        }
    }

    /// Levels of containers below and including this one: 0 for a primitive.
    pub fn depth(&self) -> usize {
        match self {
            Value::List(items) => 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.values().map(Value::depth).max().unwrap_or(0),
            Value::Text(_) => 1,
            _ => 0,
        }
    }

    /// Whether this becomes a shared container of its own.
    pub fn is_container(&self) -> bool {
        matches!(self, Value::List(_) | Value::Map(_) | Value::Text(_))
    }

    /// Whether this is a container with nothing in it.
    pub fn is_empty_container(&self) -> bool {
        match self {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            Value::Text(text) => text.is_empty(),
            _ => false,
        }
    }

    /// An upper bound of the bytes that this takes as a Yjs update.
    pub fn size_bound(&self) -> usize {
        // An item of its own takes at most: info, two ids of 2 × 10 bytes, a type or a length.
        const ITEM: usize = 48;
        ITEM + match self {
            Value::String(text) | Value::Text(text) | Value::Opaque(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(items) => items.iter().map(Value::size_bound).sum(),
            Value::Map(entries) => entries.iter().map(|(key, value)| key.len() + value.size_bound()).sum(),
            _ => 0,
        }
    }
}

/// Whether a number is an integer that JavaScript holds exactly.
pub(crate) fn is_integral(number: f64) -> bool {
    number.fract() == 0.0
        && number.abs() <= 9_007_199_254_740_991.0
        && !(number == 0.0 && number.is_sign_negative())
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text)
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Value {
        Value::from_json(&json)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}
