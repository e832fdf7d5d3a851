//! What was found: rows of works, printed as they come and written as JSON in the end.

use crate::Failed;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What one server did in one work.
pub(crate) struct Row {
    figure: f64,
    notes: Map<String, Value>,
}

impl Row {
    pub(crate) fn new(figure: f64) -> Row {
        Row { figure, notes: Map::new() }
    }

    /// Something beside the figure.
    pub(crate) fn note(&mut self, name: &str, value: f64) {
        self.notes.insert(name.to_owned(), json!(round(value)));
    }
}

/// All works so far.
#[derive(Default)]
pub(crate) struct Report {
    works: Vec<Value>,
}

impl Report {
    /// Begins a work. `id` is its name in the JSON.
    pub(crate) fn begin(&mut self, id: &str, title: &str, unit: &str) {
        println!("\n{title}, {unit}");
        self.works.push(json!({ "work": id, "title": title, "unit": unit, "servers": {} }));
    }

    /// A server that could not do it is shown with its reason: that is a finding too.
    pub(crate) fn add(&mut self, name: &str, row: Result<Row, Failed>) {
        let mut value = Map::new();
        match row {
            Ok(row) => {
                let notes: Vec<String> =
                    row.notes.iter().map(|(name, value)| format!("{name} {value}")).collect();
                println!("  {name:<24} {:>14.2}   {}", row.figure, notes.join(", "));
                value.insert("figure".into(), json!(round(row.figure)));
                value.extend(row.notes);
            }
            Err(reason) => {
                println!("  {name:<24} failed: {reason}");
                value.insert("failed".into(), json!(reason.to_string()));
            }
        }
        if let Some(servers) = self.works.last_mut().and_then(|work| work["servers"].as_object_mut()) {
            servers.insert(name.to_owned(), Value::Object(value));
        }
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), Failed> {
        Ok(std::fs::write(file, serde_json::to_string_pretty(&self.works)?)?)
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
