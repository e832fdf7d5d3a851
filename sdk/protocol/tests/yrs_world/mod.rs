//! Random yrs documents that edit side by side and exchange updates: whatever yrs can write, the scanner
//! must read. A world is a function of its seed.
#![allow(dead_code, unreachable_pub)] // each test uses its part

use hither_protocol::id_set::IdSet;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use yrs::types::Attrs;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{
    Any, Array, ArrayPrelim, ArrayRef, ClientID, Doc, GetString, Map, MapPrelim, MapRef, OffsetKind, Options,
    Out, ReadTxn, StateVector, Text, TextPrelim, TextRef, Transact, TransactionMut, Update, WriteTxn, Xml,
    XmlElementPrelim, XmlFragment, XmlOut, XmlTextPrelim,
};

/// Numbers from a seed; the same on every machine.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        (self.number() % u64::from(limit.max(1))) as u32
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u32) as usize]
    }
}

/// What yrs holds in a set of ids, as ours.
pub fn ours(set: &yrs::IdSet) -> IdSet {
    let clients =
        set.iter().map(|(client, ranges)| (client.get(), ranges.iter().cloned().collect::<Vec<_>>()));
    clients.collect()
}

/// The updates that a few documents wrote while they edited side by side.
pub fn updates(seed: u64, steps: u32) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(seed);
    let docs: Vec<Doc> = (0..3).map(|index| document(&mut dice, index)).collect();
    let mut written: Vec<Vec<u8>> = Vec::new();
    for _ in 0..steps {
        let doc = dice.pick(&docs);
        if dice.below(3) > 0 {
            let mut txn = doc.transact_mut();
            for _ in 0..1 + dice.below(4) {
                edit(&mut dice, &mut txn);
            }
            written.push(txn.encode_update_v1());
        } else {
            let from = dice.pick(&docs);
            let vector = doc.transact().state_vector();
            let missing = from.transact().encode_state_as_update_v1(&vector);
            doc.transact_mut().apply_update(Update::decode_v1(&missing).unwrap()).unwrap();
            written.push(missing);
        }
    }
    for doc in &docs {
        written.push(doc.transact().encode_state_as_update_v1(&StateVector::default()));
    }
    // Any of them merged gives updates with holes; yrs itself panics on a few merges.
    for _ in 0..5 {
        let some: Vec<&Vec<u8>> = written.iter().filter(|_| dice.below(3) == 0).collect();
        if let Ok(Ok(merged)) = catch_unwind(AssertUnwindSafe(|| yrs::merge_updates_v1(some))) {
            let vector = docs[0].transact().state_vector().encode_v1();
            if let Ok(rest) = yrs::diff_updates_v1(&merged, &vector) {
                written.push(rest);
            }
            written.push(merged);
        }
    }
    written
}

fn document(dice: &mut Dice, index: u64) -> Doc {
    let client = if dice.below(2) == 0 { dice.number() >> 11 } else { dice.number() >> 32 };
    let mut options = Options::with_client_id(ClientID::new(client ^ index));
    options.offset_kind = OffsetKind::Utf16;
    options.skip_gc = dice.below(2) == 0;
    options.cleanup_formatting = dice.below(2) == 0;
    Doc::with_options(options)
}

fn edit(dice: &mut Dice, txn: &mut TransactionMut<'_>) {
    match dice.below(5) {
        0 | 1 => {
            let text = txn.get_or_insert_text(*dice.pick(&["text", "title"]));
            edit_text(dice, txn, &text);
        }
        2 => {
            let map = txn.get_or_insert_map(*dice.pick(&["map", ""]));
            edit_map(dice, txn, &map, 3);
        }
        3 => {
            let list = txn.get_or_insert_array("list");
            edit_list(dice, txn, &list, 3);
        }
        _ => edit_xml(dice, txn),
    }
}

fn edit_text(dice: &mut Dice, txn: &mut TransactionMut<'_>, text: &TextRef) {
    let length = text.len(txn);
    let at = dice.below(length + 1);
    let some = dice.below(5).min(length - at);
    match dice.below(7) {
        0..=2 => text.insert(txn, at, word(dice)),
        3 => text.insert_with_attributes(txn, at, word(dice), attributes(dice)),
        4 => text.remove_range(txn, at, some),
        5 => text.format(txn, at, some, attributes(dice)),
        _ => {
            let value = json_like(dice, 2);
            text.insert_embed(txn, at, value);
        }
    }
}

fn edit_map(dice: &mut Dice, txn: &mut TransactionMut<'_>, map: &MapRef, depth: u32) {
    let key = *dice.pick(&["a", "b", "ключ", "🔑", ""]);
    match dice.below(9) {
        0 | 1 => drop(map.insert(txn, key, value(dice, 3))),
        2 => drop(map.remove(txn, key)),
        3 => drop(map.insert(txn, key, MapPrelim::from([("inner", value(dice, 1))]))),
        4 => drop(map.insert(txn, key, ArrayPrelim::from([value(dice, 1), value(dice, 1)]))),
        5 => drop(map.insert(txn, key, TextPrelim::new(word(dice)))),
        6 => drop(map.insert(txn, key, subdocument(dice))),
        _ => match map.get(txn, key) {
            Some(inner) if depth > 0 => edit_inner(dice, txn, inner, depth - 1),
            _ => {}
        },
    }
}

fn edit_list(dice: &mut Dice, txn: &mut TransactionMut<'_>, list: &ArrayRef, depth: u32) {
    let length = list.len(txn);
    let at = dice.below(length + 1);
    match dice.below(9) {
        0 | 1 => {
            let values: Vec<Any> = (0..1 + dice.below(4)).map(|_| value(dice, 2)).collect();
            list.insert_range(txn, at, values);
        }
        2 => list.remove_range(txn, at, dice.below(3).min(length - at)),
        3 => drop(list.insert(txn, at, MapPrelim::from([("inner", value(dice, 1))]))),
        4 => drop(list.insert(txn, at, ArrayPrelim::from([value(dice, 1)]))),
        5 => drop(list.insert(txn, at, TextPrelim::new(word(dice)))),
        6 => drop(list.insert(txn, at, subdocument(dice))),
        _ => match list.get(txn, at) {
            Some(inner) if depth > 0 => edit_inner(dice, txn, inner, depth - 1),
            _ => {}
        },
    }
}

fn edit_inner(dice: &mut Dice, txn: &mut TransactionMut<'_>, inner: Out, depth: u32) {
    match inner {
        Out::YText(text) => edit_text(dice, txn, &text),
        Out::YMap(map) => edit_map(dice, txn, &map, depth),
        Out::YArray(list) => edit_list(dice, txn, &list, depth),
        _ => {}
    }
}

fn edit_xml(dice: &mut Dice, txn: &mut TransactionMut<'_>) {
    let fragment = txn.get_or_insert_xml_fragment("page");
    let length = fragment.len(txn);
    let at = dice.below(length + 1);
    match dice.below(5) {
        0 => drop(fragment.insert(txn, at, XmlElementPrelim::empty("p"))),
        1 => drop(fragment.insert(txn, at, XmlTextPrelim::new(word(dice)))),
        2 if at < length => fragment.remove_range(txn, at, 1),
        _ => match fragment.get(txn, at) {
            Some(XmlOut::Element(element)) => {
                element.insert_attribute(txn, "class", word(dice));
                element.push_back(txn, XmlTextPrelim::new(word(dice)));
            }
            Some(XmlOut::Text(text)) => {
                text.insert_with_attributes(txn, 0, word(dice), attributes(dice));
                text.insert_attribute(txn, "lang", word(dice));
                let _ = text.get_string(txn);
            }
            _ => {}
        },
    }
}

fn word(dice: &mut Dice) -> &'static str {
    const WORDS: &[&str] = &[
        "a",
        "hither",
        "h\u{e9}\u{e9}",
        "漢字",
        "👩\u{200d}🚀",
        "\u{0}\u{7f}",
        "🏳 and more",
        "\u{ffff}",
        "\\\"",
        "\n",
    ];
    WORDS[dice.below(WORDS.len() as u32) as usize]
}

fn subdocument(dice: &mut Dice) -> Doc {
    let mut options = Options::with_guid_and_client_id(word(dice).into(), ClientID::new(1));
    options.auto_load = dice.below(2) == 0;
    options.skip_gc = dice.below(2) == 0;
    options.collection_id = Some(Arc::from("collection"));
    Doc::with_options(options)
}

fn attributes(dice: &mut Dice) -> Attrs {
    let value = match dice.below(4) {
        0 => Any::Null,
        1 => Any::Bool(true),
        _ => json_like(dice, 2),
    };
    Attrs::from([(Arc::from(*dice.pick(&["bold", "href", "🖋"])), value)])
}

/// A value that survives JSON.
fn json_like(dice: &mut Dice, depth: u32) -> Any {
    match dice.below(if depth == 0 { 5 } else { 7 }) {
        0 => Any::Null,
        1 => Any::Bool(dice.below(2) == 0),
        2 => Any::from(dice.below(1000) as f64 / 3.0),
        3 => Any::from(i64::from(dice.below(u32::MAX)) - 1_000_000_000),
        4 => Any::from(word(dice)),
        5 => Any::from((0..dice.below(4)).map(|_| json_like(dice, depth - 1)).collect::<Vec<_>>()),
        _ => {
            let entries = (0..dice.below(4)).map(|_| (word(dice).to_string(), json_like(dice, depth - 1)));
            Any::from(entries.collect::<HashMap<_, _>>())
        }
    }
}

/// Any value.
fn value(dice: &mut Dice, depth: u32) -> Any {
    match dice.below(10) {
        0 => Any::Undefined,
        1 => Any::from(i64::MIN + i64::from(dice.below(9))),
        2 => Any::from((0..dice.below(9) as u8).collect::<Vec<u8>>()),
        3 => Any::from(*dice.pick(&[f64::NAN, f64::INFINITY, -0.0, 1e300, 0.5])),
        4 => Any::from(*dice.pick(&[0i64, -1, 63, 64, -64, (1 << 31) - 1, 1 << 31, (1 << 53) - 1, 1 << 53])),
        5 if depth > 0 => Any::from((0..dice.below(4)).map(|_| value(dice, depth - 1)).collect::<Vec<_>>()),
        _ => json_like(dice, depth),
    }
}
